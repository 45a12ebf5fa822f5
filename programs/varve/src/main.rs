//! The program `varve`: composition of the crates below into one command line, and nothing else.
//!
//! From the outside in: [`cli`] says what may be typed, [`commands`] holds one file per subcommand, [`invocation`] is what
//! each of them is given, [`failure`] turns what went wrong into a message, a hint and an exit code.

mod bench;
mod cli;
mod client;
mod commands;
mod copies;
mod demo;
mod environment;
mod environments;
mod exit_code;
mod failure;
mod forks;
mod invocation;
mod namespace;
mod output;
mod persona;
mod places;
mod progress;
mod scratch;
mod terminal;

use std::ffi::OsString;
use std::process;

use clap::Parser as _;

use crate::environment::Environment;
use crate::exit_code::ExitCode;
use crate::invocation::Invocation;
use crate::persona::Persona;

fn main() -> process::ExitCode {
    let arguments: Vec<OsString> = std::env::args_os().collect();
    let environment = Environment::read(|name| std::env::var_os(name));
    let code = match Persona::of(arguments.first().map(OsString::as_os_str)) {
        Persona::Varve => run(arguments, environment),
    };
    process::ExitCode::from(code.number())
}

/// The command line under its own name.
fn run(arguments: Vec<OsString>, environment: Environment) -> ExitCode {
    let cli = match cli::Cli::try_parse_from(arguments) {
        Ok(cli) => cli,
        Err(error) => {
            // Nothing is left to be done when even this can't be written.
            let _ = error.print();
            return if error.use_stderr() { ExitCode::Usage } else { ExitCode::Success };
        }
    };
    let invocation = Invocation::new(&cli.global, environment);
    match invocation.start_logging(&cli.global).and_then(|()| cli.command.run(&invocation)) {
        Ok(()) => ExitCode::Success,
        Err(failure) => {
            failure.report(&invocation.output);
            failure.code()
        }
    }
}
