//! `cargo xtask check`: the steps of CI, cheap ones first. It stops at the first step that fails.

use std::path::Path;
use std::process::Command;
use std::time::Instant;

use anyhow::{Context as _, Result, bail};

use crate::{command, tidy};

mod deny;
mod install;
mod tests;

/// How a step ended well.
enum Outcome {
    Passed,
    /// Not done, and why.
    Skipped(String),
}

/// Runs the named steps, or all if none is named, in the workspace at `root`.
pub(crate) fn run(root: &Path, only: &[&str]) -> Result<()> {
    type Step = fn(&Path) -> Result<Outcome>;
    let steps: [(&str, Step); 6] = [
        ("fmt", fmt),
        ("tidy", |root| tidy::run(root).map(|()| Outcome::Passed)),
        ("clippy", clippy),
        ("deny", deny::run),
        ("docs", docs),
        ("tests", tests::run),
    ];
    if let Some(unknown) = only.iter().find(|name| !steps.iter().any(|(step, _)| step == *name)) {
        bail!("there is no step '{unknown}'");
    }
    let mut lines = Vec::new();
    for (name, step) in steps.into_iter().filter(|(name, _)| only.is_empty() || only.contains(name)) {
        println!("── {name}");
        let start = Instant::now();
        let outcome = step(root).with_context(|| format!("{name} failed"))?;
        let seconds = start.elapsed().as_secs_f64();
        lines.push(match outcome {
            Outcome::Passed => format!("{name:8} passed   {seconds:7.1} s"),
            Outcome::Skipped(reason) => format!("{name:8} partly   {seconds:7.1} s  skipped: {reason}"),
        });
    }
    println!("── in all\n{}", lines.join("\n"));
    Ok(())
}

fn fmt(root: &Path) -> Result<Outcome> {
    cargo(root, &["fmt", "--all", "--check"], &[])
}

fn clippy(root: &Path) -> Result<Outcome> {
    cargo(root, &["clippy", "--workspace", "--all-targets", "--locked", "--", "-D", "warnings"], &[])
}

fn docs(root: &Path) -> Result<Outcome> {
    cargo(root, &["doc", "--workspace", "--no-deps", "--locked"], &[("RUSTDOCFLAGS", "-D warnings")])
}

fn cargo(root: &Path, arguments: &[&str], environment: &[(&str, &str)]) -> Result<Outcome> {
    let mut command = Command::new("cargo");
    command.current_dir(root).args(arguments).envs(environment.iter().copied());
    command::run(&mut command).with_context(|| format!("cargo {}", arguments.join(" ")))?;
    Ok(Outcome::Passed)
}
