//! `varve fork exec`: a command, or a shell, in a fork.

use std::ffi::OsString;

use clap::Args;
use varve_environment::EnvironmentName;

use crate::commands::run::{PlaceOptions, SoftwareOptions, VariableOptions, execute};
use crate::failure::Failure;
use crate::forks::Fork;
use crate::invocation::Invocation;

/// Run a command in a fork; a shell without one
///
/// One command at a time: what it writes is there for the next.
#[derive(Args, Debug)]
pub(crate) struct Exec {
    /// The fork
    name: EnvironmentName,
    #[command(flatten)]
    inside: Inside,
    /// The command; without it the environment's own, or a shell
    #[arg(last = true, value_name = "COMMAND")]
    command: Vec<OsString>,
}

/// How it is run.
#[derive(Args, Debug)]
pub(crate) struct Inside {
    #[command(flatten)]
    place: PlaceOptions,
    #[command(flatten)]
    variables: VariableOptions,
}

impl Exec {
    pub(crate) fn run(self, invocation: &Invocation) -> Result<(), Failure> {
        let fork = Fork::of(&invocation.places()?, self.name).existing()?;
        enter(invocation, &fork, self.inside, self.command)
    }
}

/// Runs it. Doesn't return where the command was run.
pub(super) fn enter(
    invocation: &Invocation,
    fork: &Fork,
    inside: Inside,
    command: Vec<OsString>,
) -> Result<(), Failure> {
    let software = SoftwareOptions::of_document(&fork.document());
    let place = inside.place.kept_in(fork.written(), fork.name.as_str())?;
    let begun = || fork.note_process();
    match execute(invocation, software, place, &inside.variables, command, &begun) {
        Ok(code) => std::process::exit(i32::from(code)),
        Err(failure) => Err(failure.not_run()),
    }
}
