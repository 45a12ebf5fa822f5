//! `varve fork`: named, persistent copies of environments, each with its own writable layer.

mod destroy;
mod exec;
mod list;
mod stop;

use std::ffi::OsString;

use clap::{Args, Subcommand};
use varve_environment::EnvironmentName;

use crate::environments::Environments;
use crate::exit_code::ExitCode;
use crate::failure::Failure;
use crate::forks;
use crate::invocation::Invocation;

/// Keep named copies of environments, each with what was written in it
///
/// `varve fork NAME --env ENV` makes one and enters it; `varve fork NAME` enters it again.
#[derive(Args, Debug)]
#[command(
    args_conflicts_with_subcommands = true,
    subcommand_negates_reqs = true,
    after_help = "Examples:\n  varve fork try-gcc --env analysis-2012\n  varve fork exec try-gcc -- make\n  varve fork list\n  varve \
                  fork destroy try-gcc"
)]
pub(crate) struct Fork {
    #[command(subcommand)]
    verb: Option<Verb>,
    /// The fork, made if it isn't there
    #[arg(required = true)]
    name: Option<EnvironmentName>,
    /// The environment that it is to be a copy of
    #[arg(short, long)]
    env: Option<String>,
    #[command(flatten)]
    inside: exec::Inside,
    /// The command; without it the environment's own, or a shell
    #[arg(last = true, value_name = "COMMAND")]
    command: Vec<OsString>,
}

/// What is done with forks.
#[derive(Debug, Subcommand)]
enum Verb {
    List(list::List),
    #[command(visible_aliases = ["enter", "console"])]
    Exec(Box<exec::Exec>),
    Stop(stop::Stop),
    Destroy(destroy::Destroy),
}

impl Fork {
    pub(crate) fn run(self, invocation: &Invocation) -> Result<(), Failure> {
        match self.verb {
            Some(Verb::List(verb)) => return verb.run(invocation),
            Some(Verb::Exec(verb)) => return verb.run(invocation),
            Some(Verb::Stop(verb)) => return verb.run(invocation),
            Some(Verb::Destroy(verb)) => return verb.run(invocation),
            None => {}
        }
        let places = invocation.places()?;
        let Some(name) = self.name else { return Err(Failure::usage("a fork has a name")) };
        let fork = forks::Fork::of(&places, name);
        let asked = self.env.map(|env| Environments::of(&places).find(&env)).transpose()?;
        match (fork.exists(), asked) {
            (true, None) => {}
            (true, Some(asked)) => {
                let document = fork.document();
                let own = Environments::of(&places).find(&document.to_string_lossy())?;
                if own.id() != asked.id() {
                    let what = format!("the fork '{}' is a copy of another environment", fork.name.as_str());
                    return Err(Failure::new(ExitCode::Usage, what)
                        .hint("choose another name, or remove it with `varve fork destroy`"));
                }
            }
            (false, Some(environment)) => fork.create(&environment)?,
            (false, None) => return fork.existing().map(drop),
        }
        exec::enter(invocation, &fork, self.inside, self.command)
    }
}
