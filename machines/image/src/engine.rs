//! Outside programs and files of outside packages: run or read, and when one is missing, named with the package that
//! brings it.

use std::ffi::OsStr;
use std::fs;
use std::io;
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
        let Output { status, stdout, stderr } = self.command.output().map_err(|source| {
            let (program, package) = (self.program, self.package);
            match source.kind() {
                io::ErrorKind::NotFound => EngineError::Missing { what: program.to_owned(), package },
                _ => EngineError::Start { program, source },
            }
        })?;
        if status.success() {
            return Ok(stdout);
        }
        let text = String::from_utf8_lossy(if stderr.is_empty() { &stdout } else { &stderr }).into_owned();
        let from = text.len().saturating_sub(SAID_LIMIT);
        let said = text.get(from..).unwrap_or(&text).trim().to_owned();
        Err(EngineError::Failed { program: self.program, said })
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
    }
}
