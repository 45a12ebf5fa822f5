//! `varve repo`: repositories that lie on this machine. One file per verb in `repo/`.

mod check;
mod list;

use clap::{Args, Subcommand};

use crate::failure::Failure;
use crate::invocation::Invocation;

/// Work with the repositories of this machine
#[derive(Args, Debug)]
pub(crate) struct Repo {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    Check(check::Check),
    List(list::List),
}

impl Repo {
    pub(crate) fn run(self, invocation: &Invocation) -> Result<(), Failure> {
        match self.verb {
            Verb::Check(verb) => verb.run(invocation),
            Verb::List(verb) => verb.run(invocation),
        }
    }
}
