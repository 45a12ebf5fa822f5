//! `varve env`: environments, named by their versions.

mod archive;
mod compare;
mod effort;
mod export;
mod freeze;
mod import;
mod keep;
mod list;
mod opened;
mod prune;
mod remove;
mod show;
mod verify;

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
    Freeze(freeze::Freeze),
    List(list::List),
    Show(show::Show),
    Compare(compare::Compare),
    Verify(verify::Verify),
    Export(export::Export),
    Import(import::Import),
    Keep(keep::Keep),
    Remove(remove::Remove),
    Prune(prune::Prune),
}

impl Env {
    pub(crate) fn run(self, invocation: &Invocation) -> Result<(), Failure> {
        match self.verb {
            Verb::Freeze(verb) => verb.run(invocation),
            Verb::Export(verb) => verb.run(invocation),
            Verb::Compare(verb) => verb.run(invocation),
            Verb::Verify(verb) => verb.run(invocation),
            Verb::Keep(verb) => verb.run(invocation),
            Verb::Import(verb) => verb.run(invocation),
            Verb::List(verb) => verb.run(invocation),
            Verb::Show(verb) => verb.run(invocation),
            Verb::Remove(verb) => verb.run(invocation),
            Verb::Prune(verb) => verb.run(invocation),
        }
    }
}
