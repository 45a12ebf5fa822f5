//! `varve fork stop`.

use clap::Args;
use varve_environment::EnvironmentName;

use crate::failure::Failure;
use crate::forks::Fork;
use crate::invocation::Invocation;

/// End the command that runs in a fork
///
/// It is asked to end, and killed ten seconds later. What it wrote stays.
#[derive(Args, Debug)]
pub(crate) struct Stop {
    /// The fork
    name: EnvironmentName,
}

impl Stop {
    pub(crate) fn run(self, invocation: &Invocation) -> Result<(), Failure> {
        let fork = Fork::of(&invocation.places()?, self.name).existing()?;
        if !fork.stop()? {
            invocation.output.say(format!("nothing runs in the fork '{}'", fork.name.as_str()));
        }
        Ok(())
    }
}
