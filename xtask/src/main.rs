//! `cargo xtask`: the checks that CI runs, and the rules of the code base. Nothing that is needed to build.
#![allow(clippy::print_stdout, clippy::print_stderr)]

use std::env;
use std::path::PathBuf;
use std::process::ExitCode;

mod check;
mod command;
mod tidy;

const USAGE: &str = "\
cargo xtask check [STEP…]    everything that CI runs: fmt, tidy, clippy, deny, docs, tests
cargo xtask tidy             the rules of the code base alone (takes a second)";

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let result = match words.as_slice() {
        ["check", steps @ ..] => check::run(&workspace_root(), steps),
        ["tidy"] => tidy::run(&workspace_root()),
        _ => {
            eprintln!("{USAGE}");
            return ExitCode::from(2);
        }
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// The directory above this package: the place where everything is run.
fn workspace_root() -> PathBuf {
    let package = env::var_os("CARGO_MANIFEST_DIR")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")), PathBuf::from);
    package.parent().map_or_else(|| PathBuf::from("."), PathBuf::from)
}
