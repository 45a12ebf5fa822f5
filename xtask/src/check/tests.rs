//! All tests: through cargo-nextest, which ends those that hang; doc tests through cargo itself.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result};

use super::{Outcome, cargo, install};
use crate::command;

/// How long cargo-nextest may take to build where it is not installed.
/// What the guest is built for: it stands alone, without any library.
const GUEST_TARGET: &str = "x86_64-unknown-linux-musl";
const BUILD_BUDGET: Duration = Duration::from_secs(15 * 60);

pub(super) fn run(root: &Path) -> Result<Outcome> {
    // Tests boot machines with it, as images have it.
    cargo(
        root,
        &[
            "build",
            "--package",
            "varve-guest-program",
            "--profile",
            "guest",
            "--target",
            GUEST_TARGET,
            "--locked",
        ],
        &[],
    )?;
    let outcome = match install::find_or_build(root, "cargo-nextest", BUILD_BUDGET) {
        Ok(program) => {
            let mut command = Command::new(program);
            command.current_dir(root).args(["nextest", "run", "--workspace", "--locked", "--no-fail-fast"]);
            command::run(&mut command).context("cargo nextest run")?;
            Outcome::Passed
        }
        Err(error) => {
            cargo(root, &["test", "--workspace", "--all-targets", "--locked", "--no-fail-fast"], &[])?;
            Outcome::Skipped(format!("cargo-nextest ({error:#}); cargo test ran the tests instead"))
        }
    };
    cargo(root, &["test", "--workspace", "--doc", "--locked"], &[])?;
    Ok(outcome)
}
