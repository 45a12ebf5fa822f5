//! Licences, bans and sources of all dependencies; known vulnerabilities where their database can be reached.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Result, bail};

use super::{Outcome, install};
use crate::command;

/// How long cargo-deny may take to build where it is not installed.
const BUILD_BUDGET: Duration = Duration::from_secs(15 * 60);
/// How long the database of vulnerabilities may take to arrive.
const DATABASE_BUDGET: Duration = Duration::from_secs(60);

pub(super) fn run(root: &Path) -> Result<Outcome> {
    let program = match install::find_or_build(root, "cargo-deny", BUILD_BUDGET) {
        Ok(program) => program,
        Err(error) => return Ok(Outcome::Skipped(format!("{error:#}"))),
    };
    let deny = |arguments: &[&str]| {
        let mut command = Command::new(&program);
        command.current_dir(root).arg("--locked").args(arguments);
        command
    };
    command::run(&mut deny(&["check", "bans", "licenses", "sources"]))?;
    let mut fetch = deny(&["fetch", "db"]);
    fetch.stdout(Stdio::null()).stderr(Stdio::null());
    if command::run_limited(&mut fetch, DATABASE_BUDGET).is_err() {
        return Ok(Outcome::Skipped("advisories, their database can't be reached".to_owned()));
    }
    if command::run(&mut deny(&["check", "advisories"])).is_err() {
        bail!("a dependency has a known vulnerability or was withdrawn");
    }
    Ok(Outcome::Passed)
}
