//! Why a directory could not be mounted, unmounted or kept mounted. What applications see instead is in `fuse/errno.rs`.

use std::io;
use std::path::{Path, PathBuf};

/// Why a mount did not begin, or ended.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MountError {
    /// A call to the operating system failed.
    #[error("cannot {action} {path}")]
    Io {
        /// What was tried.
        action: &'static str,
        /// The file or directory.
        path: PathBuf,
        /// What the operating system said.
        #[source]
        source: io::Error,
    },
    /// The two processes of a mount could not talk to each other.
    #[error("the processes of the mount cannot {action}")]
    Link {
        /// What was tried.
        action: &'static str,
        /// What the operating system said.
        #[source]
        source: io::Error,
    },
    /// A message or a line of the journal is not what this program writes.
    #[error("malformed {what} between the processes of the mount")]
    Malformed {
        /// What it should have been.
        what: &'static str,
    },
    /// The worker said why it could not begin.
    #[error("{message}")]
    Worker {
        /// Its words, causes included.
        message: String,
    },
    /// A process of the mount ended without a word.
    #[error("the process that should serve {directory} ended unexpectedly")]
    Vanished {
        /// The mount point.
        directory: PathBuf,
    },
    /// The worker crashed again and again.
    #[error("the worker of {directory} ended {count} times in short order; the directory is unmounted")]
    CrashLoop {
        /// The mount point.
        directory: PathBuf,
        /// How often it was started.
        count: usize,
    },
    /// Something is mounted there already.
    #[error("{directory} is a mount point already ({source_name})")]
    Occupied {
        /// The mount point.
        directory: PathBuf,
        /// What is mounted, as the mount table has it.
        source_name: String,
    },
    /// Nothing that this program could unmount is mounted there.
    #[error("{directory} is not mounted")]
    NotMounted {
        /// The directory.
        directory: PathBuf,
    },
    /// Files below the directory are in use.
    #[error("{directory} is in use")]
    Busy {
        /// The mount point.
        directory: PathBuf,
    },
    /// The helper that mounts for unprivileged users refused.
    #[error("fusermount3 could not {action} {directory}: {message}")]
    Helper {
        /// `mount` or `unmount`.
        action: &'static str,
        /// The mount point.
        directory: PathBuf,
        /// What it wrote.
        message: String,
    },
}

impl MountError {
    pub(crate) fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { action, path, source }
    }

    pub(crate) fn link(action: &'static str) -> impl FnOnce(rustix::io::Errno) -> Self {
        move |errno| Self::Link { action, source: errno.into() }
    }
}

/// An error and its causes in one line.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        text.push_str(": ");
        text.push_str(&inner.to_string());
        cause = inner.source();
    }
    text
}
