//! Runs the commands that the steps consist of: to their end, or for a limited time.

use std::io;
use std::os::unix::process::CommandExt as _;
use std::process::{Command, ExitStatus, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

/// Runs `command` without input and fails if it fails.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    let name = name_of(command);
    let status = command.stdin(Stdio::null()).status().with_context(|| format!("cannot run {name}"))?;
    judge(&name, status)
}

/// As [`run`], and fails if it takes longer than `limit`: it is killed then with all its children.
pub(crate) fn run_limited(command: &mut Command, limit: Duration) -> Result<()> {
    let name = name_of(command);
    match status_within(command, limit).with_context(|| format!("cannot run {name}"))? {
        Some(status) => judge(&name, status),
        None => bail!("{name} was stopped after {} s", limit.as_secs()),
    }
}

fn name_of(command: &Command) -> String {
    command.get_program().to_string_lossy().into_owned()
}

fn judge(name: &str, status: ExitStatus) -> Result<()> {
    if status.success() { Ok(()) } else { bail!("{name} failed ({status})") }
}

fn status_within(command: &mut Command, limit: Duration) -> io::Result<Option<ExitStatus>> {
    let mut child = command.stdin(Stdio::null()).process_group(0).spawn()?;
    let end = Instant::now() + limit;
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status));
        }
        if Instant::now() >= end {
            // The group has the child's number: compilers that cargo started end with it.
            let group = format!("-{}", child.id());
            Command::new("kill").args(["-KILL", "--", &group]).status()?;
            child.kill()?;
            child.wait()?;
            return Ok(None);
        }
        sleep(Duration::from_millis(50));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_that_takes_too_long_is_ended() {
        let result = run_limited(Command::new("sleep").arg("1000"), Duration::from_millis(100));
        assert!(result.expect_err("because a second is not enough").to_string().contains("stopped"));
    }

    #[test]
    fn failure_and_success_are_told_apart() {
        run(&mut Command::new("true")).expect("because true succeeds");
        run(&mut Command::new("false")).expect_err("because false fails");
        run_limited(&mut Command::new("true"), Duration::from_secs(60)).expect("because true succeeds");
    }
}
