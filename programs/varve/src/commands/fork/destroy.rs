//! `varve fork destroy`.

use clap::Args;
use varve_environment::EnvironmentName;

use crate::exit_code::ExitCode;
use crate::failure::Failure;
use crate::forks::Fork;
use crate::invocation::Invocation;

/// Remove forks and all that was written in them
#[derive(Args, Debug)]
#[command(visible_alias = "rm")]
pub(crate) struct Destroy {
    /// The forks
    #[arg(required = true)]
    names: Vec<EnvironmentName>,
    /// End what runs in them
    #[arg(short, long)]
    force: bool,
}

impl Destroy {
    pub(crate) fn run(self, invocation: &Invocation) -> Result<(), Failure> {
        let places = invocation.places()?;
        for name in self.names {
            let fork = Fork::of(&places, name).existing()?;
            if self.force {
                fork.stop()?;
            } else if fork.is_running() {
                let what = format!("a command runs in the fork '{}'", fork.name.as_str());
                return Err(Failure::new(ExitCode::Busy, what)
                    .hint("wait for its end, end it with `varve fork stop`, or say --force"));
            }
            fork.destroy()?;
        }
        Ok(())
    }
}
