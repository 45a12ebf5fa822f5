//! Programs that are run to build a tree: their environment, what they say, and how they end.

use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::Path;
use std::process::{Command, Stdio};

use super::error::TreeError;

/// Of what a program said, an error repeats so much of the end.
const REPEATED: u64 = 2000;

/// A program with nothing of this machine's environment. Times in what it makes are `epoch`.
pub(super) fn clean(program: &'static str, epoch: i64, temporary: &Path) -> Command {
    let mut command = Command::new(program);
    command.env_clear().envs([
        ("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"),
        ("HOME", "/root"),
        ("LC_ALL", "C.UTF-8"),
        ("TZ", "UTC"),
        ("DEBIAN_FRONTEND", "noninteractive"),
    ]);
    command.env("SOURCE_DATE_EPOCH", epoch.to_string()).env("TMPDIR", temporary);
    command
}

/// Runs a program to its end with its talk going to a file.
pub(super) fn run(
    command: &mut Command,
    program: &'static str,
    purpose: &'static str,
    log: &Path,
) -> Result<(), TreeError> {
    let open = || File::options().create(true).append(true).read(true).open(log);
    let failed = TreeError::io("write", log);
    let (mut file, out, err) = match (open(), open(), open()) {
        (Ok(file), Ok(out), Ok(err)) => (file, out, err),
        (Err(error), ..) | (_, Err(error), _) | (.., Err(error)) => return Err(failed(error)),
    };
    let begin = file.metadata().map_or(0, |metadata| metadata.len());
    let status = command
        .stdin(Stdio::null())
        .stdout(out)
        .stderr(err)
        .status()
        .map_err(|source| TreeError::Program { program, purpose, source })?;
    if status.success() {
        return Ok(());
    }
    let end = file.metadata().map_or(0, |metadata| metadata.len());
    let mut said = Vec::new();
    let start = begin.max(end.saturating_sub(REPEATED));
    file.seek(SeekFrom::Start(start))
        .and_then(|_| file.take(REPEATED).read_to_end(&mut said))
        .map_err(TreeError::io("read", log))?;
    Err(TreeError::Failed { program, status, said: last_words(&String::from_utf8_lossy(&said)) })
}

/// Runs a program and returns what it printed.
pub(super) fn output(
    command: &mut Command,
    program: &'static str,
    purpose: &'static str,
) -> Result<Vec<u8>, TreeError> {
    let output = command.stdin(Stdio::null()).output().map_err(|source| TreeError::Program {
        program,
        purpose,
        source,
    })?;
    if output.status.success() {
        return Ok(output.stdout);
    }
    let said = last_words(&String::from_utf8_lossy(&output.stderr));
    Err(TreeError::Failed { program, status: output.status, said })
}

/// The last lines in one.
fn last_words(said: &str) -> String {
    let lines: Vec<&str> = said.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    lines[lines.len().saturating_sub(6)..].join(" | ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_that_fails_is_told_with_its_last_words() {
        let directory = tempfile::tempdir().expect("a directory");
        let log = directory.path().join("log");
        std::fs::write(&log, "before\n").expect("written");
        let mut command = clean("sh", 5, directory.path());
        command.args(["-c", "echo $SOURCE_DATE_EPOCH; echo why >&2; exit 3"]);
        let told = run(&mut command, "sh", "test", &log).expect_err("it fails").to_string();
        assert_eq!(told, "sh failed (exit status: 3): 5 | why");
        let mut none = Command::new("/nowhere/none");
        let told = output(&mut none, "none", "test").expect_err("it is missing").to_string();
        assert_eq!(told, "cannot run none, which is needed to test");
    }
}
