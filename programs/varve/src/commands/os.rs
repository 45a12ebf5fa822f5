//! `varve os`: operating systems as lists of packages, and the trees that are built of them. One file per verb in `os/`.

mod build;
mod inputs;
mod list;
mod lock;
mod publish;
pub(crate) mod sandboxed;
mod update;
mod why;

use clap::{Args, Subcommand};

use crate::failure::Failure;
use crate::invocation::Invocation;

/// Make operating systems: lock their packages, build them, publish them
#[derive(Args, Debug)]
pub(crate) struct Os {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    List(list::List),
    Lock(lock::Lock),
    Update(update::Update),
    Why(why::Why),
    Build(build::Build),
    Publish(publish::Publish),
}

impl Os {
    pub(crate) fn run(self, invocation: &Invocation) -> Result<(), Failure> {
        match self.verb {
            Verb::List(verb) => verb.run(invocation),
            Verb::Lock(verb) => verb.run(invocation),
            Verb::Update(verb) => verb.run(invocation),
            Verb::Why(verb) => verb.run(invocation),
            Verb::Build(verb) => verb.run(invocation),
            Verb::Publish(verb) => verb.run(invocation),
        }
    }
}
