//! Outside programs and files of outside packages: run or read, and when one is missing, named with the package that
//! brings it.

use std::ffi::OsStr;
use std::fs;
use std::io::{self, BufRead as _, BufReader, Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

/// The most that is shown of what a program said.
const SAID_LIMIT: usize = 2000;

/// A program that does a part of the work.
#[derive(Debug)]
pub(crate) struct Engine {
    program: &'static str,
    package: &'static str,
    command: Command,
}

impl Engine {
    /// `program`, which Debian's `package` brings. It is run without the caller's input, in the C locale, in UTC.
    pub(crate) fn new(program: &'static str, package: &'static str) -> Self {
        let mut command = Command::new(program);
        command.stdin(Stdio::null()).env("LC_ALL", "C").env("TZ", "UTC");
        Self { program, package, command }
    }

    /// Adds an argument.
    pub(crate) fn arg(mut self, argument: impl AsRef<OsStr>) -> Self {
        self.command.arg(argument);
        self
    }

    /// Adds arguments.
    pub(crate) fn args(mut self, arguments: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Self {
        self.command.args(arguments);
        self
    }

    /// Sets a variable of its environment.
    pub(crate) fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.command.env(name, value);
        self
    }

    /// Lets it run in a directory.
    pub(crate) fn directory(mut self, path: &Path) -> Self {
        self.command.current_dir(path);
        self
    }

    /// Runs it to its end: what it wrote to standard output.
    ///
    /// # Errors
    /// [`EngineError`] if it is missing or fails.
    pub(crate) fn run(mut self) -> Result<Vec<u8>, EngineError> {
        let Output { status, stdout, stderr } =
            self.command.output().map_err(|source| self.cannot_start(source))?;
        let said = if stderr.is_empty() { &stdout } else { &stderr };
        if status.success() { Ok(stdout) } else { Err(self.failed(said)) }
    }

    /// Runs it to its end, and tells each line of its standard output when it comes. The end of standard error is kept for
    /// the error.
    ///
    /// # Errors
    /// [`EngineError`] if it is missing or fails.
    pub(crate) fn watch(mut self, mut each_line: impl FnMut(&str)) -> Result<(), EngineError> {
        let read = |program| move |source| EngineError::Start { program, source };
        let mut said = tempfile::tempfile().map_err(read(self.program))?;
        let stderr = said.try_clone().map_err(read(self.program))?;
        let started = self.command.stdout(Stdio::piped()).stderr(stderr).spawn();
        let mut child = started.map_err(|source| self.cannot_start(source))?;
        if let Some(stdout) = child.stdout.take() {
            for line in BufReader::new(stdout).split(b'\n') {
                each_line(&String::from_utf8_lossy(&line.map_err(read(self.program))?));
            }
        }
        if child.wait().map_err(read(self.program))?.success() {
            return Ok(());
        }
        let mut text = Vec::new();
        let length = said.metadata().map_or(0, |metadata| metadata.len());
        let from = SeekFrom::Start(length.saturating_sub(SAID_LIMIT as u64));
        said.seek(from).and_then(|_| said.read_to_end(&mut text)).map_err(read(self.program))?;
        Err(self.failed(&text))
    }

    fn cannot_start(&self, source: io::Error) -> EngineError {
        let (program, package) = (self.program, self.package);
        match source.kind() {
            io::ErrorKind::NotFound => EngineError::Missing { what: program.to_owned(), package },
            _ => EngineError::Start { program, source },
        }
    }

    fn failed(&self, said: &[u8]) -> EngineError {
        let from = said.len().saturating_sub(SAID_LIMIT);
        let said = String::from_utf8_lossy(&said[from..]).trim().to_owned();
        EngineError::Failed { program: self.program, said }
    }
}

/// Reads a file that Debian's `package` installs.
///
/// # Errors
/// [`EngineError`] if it can't be read.
pub(crate) fn file_of(path: &str, package: &'static str) -> Result<Vec<u8>, EngineError> {
    fs::read(path).map_err(|source| match source.kind() {
        io::ErrorKind::NotFound => EngineError::Missing { what: path.to_owned(), package },
        _ => EngineError::Read { path: path.into(), source },
    })
}

/// Why an outside program or file was of no use.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EngineError {
    /// It isn't installed.
    #[error("{what} is not installed; Debian's package {package} has it")]
    Missing {
        /// The program or file.
        what: String,
        /// The package.
        package: &'static str,
    },
    /// It can't be started.
    #[error("cannot start {program}")]
    Start {
        /// The program.
        program: &'static str,
        /// What the operating system said.
        #[source]
        source: io::Error,
    },
    /// It ended with an error.
    #[error("{program} failed: {said}")]
    Failed {
        /// The program.
        program: &'static str,
        /// The end of what it said.
        said: String,
    },
    /// A file can't be read or written.
    #[error("cannot use {path}")]
    Read {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        #[source]
        source: io::Error,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_program_is_named_with_its_package() {
        let error = Engine::new("no-such-program", "nothing").run().expect_err("missing");
        assert_eq!(error.to_string(), "no-such-program is not installed; Debian's package nothing has it");
        let error = Engine::new("sh", "dash").arg("-c").arg("echo because >&2; false").run();
        assert_eq!(error.expect_err("fails").to_string(), "sh failed: because");
        let mut lines = Vec::new();
        let script = "echo one; echo two; echo because >&2; false";
        let error = Engine::new("sh", "dash").arg("-c").arg(script).watch(|line| lines.push(line.to_owned()));
        assert_eq!(error.expect_err("fails").to_string(), "sh failed: because");
        assert_eq!(lines, ["one", "two"]);
    }
}
