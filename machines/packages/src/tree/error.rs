//! What can go wrong when a tree is built or verified.

use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;

use super::installed::Differences;
use crate::lock::LockError;
use crate::name::NameError;

/// Why there is no tree, or none that can be published.
#[derive(Debug, thiserror::Error)]
pub enum TreeError {
    /// A file operation.
    #[error("cannot {action} {}", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// With what.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// The place of the tree is taken.
    #[error("{} is there already", .0.display())]
    Taken(PathBuf),
    /// Another build is under way.
    #[error("{} is being built by another process", .0.display())]
    Busy(PathBuf),
    /// A text that is not a lock.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// A list whose name can't be a system's.
    #[error("the list's name cannot be a system's")]
    Name(#[from] NameError),
    /// The lock has nothing to install.
    #[error("the lock has no packages")]
    Empty,
    /// A program that is not installed.
    #[error("cannot run {program}, which is needed to {purpose}")]
    Program {
        /// The program.
        program: &'static str,
        /// What for.
        purpose: &'static str,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// A program that failed.
    #[error("{program} failed ({status}): {said}")]
    Failed {
        /// The program.
        program: &'static str,
        /// How it ended.
        status: ExitStatus,
        /// The last that it said.
        said: String,
    },
    /// The sandbox is none.
    #[error("cannot set the host name of the sandbox")]
    Hostname(#[source] io::Error),
    /// A package's file that is not what the lock says.
    #[error("{} is not the package {package} of the lock: {reason}", path.display())]
    WrongFile {
        /// Where it is.
        path: PathBuf,
        /// What it should be.
        package: String,
        /// What differs.
        reason: String,
    },
    /// A package that is neither installed nor not.
    #[error("package '{package}' is not installed to the end: its status is '{status}'")]
    Unfinished {
        /// The package.
        package: String,
        /// As the database has it.
        status: String,
    },
    /// Other packages than the lock's.
    #[error("the packages of {} are not those of its lock: {differences}", tree.display())]
    Different {
        /// The tree.
        tree: PathBuf,
        /// How they differ.
        differences: Differences,
    },
    /// A directory that was not built by this crate.
    #[error("{} has no record of what it was built from", tree.display())]
    NoRecord {
        /// The directory.
        tree: PathBuf,
    },
    /// A record that cannot be read.
    #[error("the record in {} is not one", tree.display())]
    BadRecord {
        /// The tree.
        tree: PathBuf,
        /// What is wrong with it, where its form is.
        #[source]
        source: Option<Box<toml::de::Error>>,
    },
    /// A record that is of another lock than the one beside it.
    #[error("the lock in {} is not the one that it was built from", tree.display())]
    OtherLock {
        /// The tree.
        tree: PathBuf,
    },
    /// A date of an index that is none.
    #[error("'{0}' is not a date of an index")]
    Date(String),
}

impl TreeError {
    /// For `map_err`.
    pub(super) fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self + use<> {
        let path = path.to_owned();
        move |source| Self::Io { action, path, source }
    }

    /// What a person can do about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::Taken(_) => "choose another directory, or remove it",
            Self::Program { program, .. } => {
                return Some(format!("install it; on Debian it is in the package {}", package_of(program)));
            }
            Self::NoRecord { .. } | Self::BadRecord { .. } => {
                "`varve os build` makes trees that can be published"
            }
            Self::Different { .. } | Self::Unfinished { .. } | Self::OtherLock { .. } => {
                "build the tree again with `varve os build`"
            }
            Self::WrongFile { .. } => "remove the file; it will be fetched again",
            _ => return None,
        };
        Some(hint.to_owned())
    }

    /// Whether something is not what was signed or recorded.
    #[must_use]
    pub fn is_integrity(&self) -> bool {
        matches!(
            self,
            Self::WrongFile { .. }
                | Self::Different { .. }
                | Self::Unfinished { .. }
                | Self::OtherLock { .. }
        )
    }
}

/// Debian's package that has a program.
fn package_of(program: &str) -> &str {
    match program {
        "unshare" => "util-linux",
        "dpkg-deb" => "dpkg",
        "chroot" => "coreutils",
        other => other,
    }
}
