//! `varve image`: boot images. One file per verb in `image/`.

mod build;
pub(super) mod inputs;
mod kernel;
mod show;
mod verify;

use clap::{Args, Subcommand};

use crate::failure::Failure;
use crate::invocation::Invocation;

/// Make boot images of machines whose operating system is streamed
#[derive(Args, Debug)]
pub(crate) struct Image {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    Build(Box<build::Build>),
    Kernel(kernel::Kernel),
    Verify(verify::Verify),
    Show(show::Show),
}

impl Image {
    pub(crate) fn run(self, invocation: &Invocation) -> Result<(), Failure> {
        match self.verb {
            Verb::Build(verb) => verb.run(invocation),
            Verb::Kernel(verb) => verb.run(invocation),
            Verb::Verify(verb) => verb.run(invocation),
            Verb::Show(verb) => verb.run(invocation),
        }
    }
}
