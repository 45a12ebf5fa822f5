//! Why a command could not be run in a sandbox.

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};

use crate::support::Obstacle;

/// Why a command could not be run in a sandbox.
#[derive(Debug, thiserror::Error)]
pub enum SandboxError {
    /// A file or directory could not be used.
    #[error("cannot {action} {path}", path = path.display())]
    Io {
        /// What was to be done, as in "cannot `action` `path`".
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The system does not let this user have namespaces.
    #[error("cannot make namespaces")]
    Namespaces {
        /// What stands in the way, as far as it is known.
        obstacle: Option<Obstacle>,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The place for the command could not be put together.
    #[error("{message}")]
    Inside {
        /// What could not be done, and why.
        message: String,
        /// What stands in the way, as far as it is known.
        obstacle: Option<Obstacle>,
    },
    /// The place is there, but the command can't be started.
    #[error("cannot run {program}", program = Path::new(program).display())]
    Command {
        /// The command's program.
        program: OsString,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The directory that keeps what is written is in use.
    #[error("{path} is in use by another command", path = path.display())]
    InUse {
        /// The directory.
        path: PathBuf,
    },
    /// A limit can't be had.
    #[error("cannot limit {what}: {why}")]
    Limit {
        /// What was to be limited.
        what: &'static str,
        /// What is missing.
        why: String,
    },
    /// The process that holds the mounts could not be reached or started.
    #[error("cannot {action} the process that holds the mounts")]
    Holder {
        /// What was to be done.
        action: &'static str,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// A repository could not be mounted.
    #[error("cannot mount {target}: {message}")]
    Mount {
        /// What was to be mounted.
        target: String,
        /// Why it isn't.
        message: String,
    },
    /// The process that holds the mounts has ended, and the command with it.
    #[error("the process behind what the command sees has ended, and so has the command")]
    Lost,
    /// The processes between this one and the command ended without a word.
    #[error("the sandbox ended before the command was started")]
    Vanished,
}

impl SandboxError {
    /// For use with `map_err`.
    pub(crate) fn io<E: Into<io::Error>>(action: &'static str, path: &Path) -> impl FnOnce(E) -> Self {
        move |source| Self::Io { action, path: path.to_owned(), source: source.into() }
    }

    /// What the user could do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Namespaces { obstacle, .. } | Self::Inside { obstacle, .. } => {
                obstacle.as_ref().map(Obstacle::hint)
            }
            Self::Mount { message, .. }
                if message.contains("/dev/fuse") || message.contains("fusermount3") =>
            {
                Some(Obstacle::NoFuse.hint())
            }
            Self::InUse { .. } => Some("wait for its end, or choose another directory".to_owned()),
            _ => None,
        }
    }
}
