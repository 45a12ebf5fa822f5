//! What can go wrong with a transaction itself; what can go wrong with publishing is a [`crate::PublishError`].

use std::io;
use std::path::PathBuf;

use varve_repository::{RepositoryName, RepositoryPath};

/// Why a transaction can't go on.
#[derive(Debug, thiserror::Error)]
pub enum TransactionError {
    /// There is one already.
    #[error("a transaction of {name} is open, its view is {}", view.display())]
    Open {
        /// The repository.
        name: RepositoryName,
        /// Where it is mounted.
        view: PathBuf,
    },
    /// There is none.
    #[error("no transaction of {name} is open")]
    None {
        /// The repository.
        name: RepositoryName,
    },
    /// A shell is running in its view, or it is just being ended.
    #[error("the transaction of {name} is in use by another process")]
    InUse {
        /// The repository.
        name: RepositoryName,
    },
    /// What shall be changed is no directory.
    #[error("{name} has no directory {path}")]
    NoDirectory {
        /// The repository.
        name: RepositoryName,
        /// The path in it.
        path: RepositoryPath,
    },
    /// The repository has changed by other means.
    #[error("the transaction of {name} began with revision {began}, but revision {now} is there now")]
    Stale {
        /// The repository.
        name: RepositoryName,
        /// The revision that it began with.
        began: u64,
        /// The one that is there.
        now: u64,
    },
    /// A file of the transaction can't be used.
    #[error("cannot {action} {}", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// The file or directory.
        path: PathBuf,
        /// What the operating system said.
        #[source]
        source: io::Error,
    },
}
