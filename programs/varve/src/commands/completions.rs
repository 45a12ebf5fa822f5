//! `varve completions`: the shell's knowledge of the command line.

use clap::{Args, CommandFactory as _};
use clap_complete::Shell;

use crate::cli::Cli;
use crate::failure::Failure;
use crate::invocation::Invocation;

/// Print the completion script of a shell
#[derive(Args, Debug)]
#[command(after_help = "Example: varve completions bash > ~/.local/share/bash-completion/completions/varve")]
pub(crate) struct Completions {
    /// The shell that will read it
    shell: Shell,
}

impl Completions {
    pub(crate) fn run(self, invocation: &Invocation) -> Result<(), Failure> {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut Cli::command(), "varve", &mut script);
        invocation.output.write(&script)
    }
}
