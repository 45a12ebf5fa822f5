//! `varve context`: what user data make of a machine. One file per verb in `context/`.

mod check;
mod explain;
mod input;
mod keygen;
mod render;
mod schema;
mod seal;

use clap::{Args, Subcommand};

use crate::failure::Failure;
use crate::invocation::Invocation;

/// Check, explain and apply what user data make of a machine
#[derive(Args, Debug)]
pub(crate) struct Context {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    Check(check::Check),
    Explain(explain::Explain),
    Render(render::Render),
    Seal(seal::Seal),
    Keygen(keygen::Keygen),
    Schema(schema::Schema),
}

impl Context {
    pub(crate) fn run(self, invocation: &Invocation) -> Result<(), Failure> {
        match self.verb {
            Verb::Check(verb) => verb.run(invocation),
            Verb::Explain(verb) => verb.run(invocation),
            Verb::Render(verb) => verb.run(invocation),
            Verb::Seal(verb) => verb.run(invocation),
            Verb::Keygen(verb) => verb.run(invocation),
            Verb::Schema(verb) => verb.run(invocation),
        }
    }
}
