//! `varve env`: environments, named by their versions.

mod import;
mod list;
mod remove;
mod show;

use clap::{Args, Subcommand};

use crate::failure::Failure;
use crate::invocation::Invocation;

/// Freeze whole environments as documents of exact versions; show them
///
/// ENV is the path of a document, the name of a kept environment, its id or the beginning of that.
#[derive(Args, Debug)]
pub(crate) struct Env {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    Import(import::Import),
    List(list::List),
    Show(show::Show),
    Remove(remove::Remove),
}

impl Env {
    pub(crate) fn run(self, invocation: &Invocation) -> Result<(), Failure> {
        match self.verb {
            Verb::Import(verb) => verb.run(invocation),
            Verb::List(verb) => verb.run(invocation),
            Verb::Show(verb) => verb.run(invocation),
            Verb::Remove(verb) => verb.run(invocation),
        }
    }
}
