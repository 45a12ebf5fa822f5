//! Finds a cargo subcommand, or builds it from crates.io into `target/tools` within a time budget.

use std::env;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result};

use crate::command;

/// The program of a cargo subcommand such as `cargo-deny`: an installed one, else one built here.
///
/// # Errors
/// If it is not there and can't be built in `budget`.
pub(crate) fn find_or_build(root: &Path, program: &str, budget: Duration) -> Result<PathBuf> {
    let tools = root.join("target/tools");
    for candidate in [PathBuf::from(program), tools.join("bin").join(program)] {
        if works(&candidate) {
            return Ok(candidate);
        }
    }
    println!("{program} is not installed: building it from crates.io (at most {} s)", budget.as_secs());
    let mut command = Command::new("cargo");
    // Away from the workspace: neither its toolchain file nor its lock file may matter. Unoptimized builds fast.
    command.current_dir(env::temp_dir()).args(["install", "--quiet", "--locked", "--debug", program]);
    command.arg("--root").arg(&tools);
    command::run_limited(&mut command, budget).with_context(|| format!("cannot install {program}"))?;
    Ok(tools.join("bin").join(program))
}

fn works(program: &Path) -> bool {
    Command::new(program)
        .arg("--version")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}
