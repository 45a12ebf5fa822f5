//! Why a request of the kernel has no answer. Which errno an application sees is told in `fuse/errno.rs`.

use varve_repository::RepositoryError;
use varve_store::{Deadline, StoreError};

/// Why a request has no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// The answer needs the network, and the caller may not wait for it. Never reaches the kernel.
    #[error("the answer needs the network")]
    WouldBlock,
    /// There is no such name.
    #[error("no such file")]
    NoEntry,
    /// Not an inode that this mount has given out.
    #[error("inode {inode} is not known")]
    NoInode { inode: u64 },
    /// It is no directory.
    #[error("not a directory")]
    NotDirectory,
    /// It is a directory.
    #[error("a directory")]
    IsDirectory,
    /// It is no symbolic link, or no regular file.
    #[error("another kind of file")]
    OtherKind,
    /// There is no such extended attribute.
    #[error("no such attribute")]
    NoAttribute,
    /// The bytes lie outside the repository, and nobody said where.
    #[error("the content is external, and no server for it is configured (--external-server)")]
    External,
    /// A catalog or another object that describes the repository.
    #[error(transparent)]
    Repository(#[from] RepositoryError),
    /// An object of a file.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The range of inode numbers could not be written down.
    #[error("cannot write the journal")]
    Journal(#[source] std::io::Error),
    /// The configuration of a repository that was looked up.
    #[error("cannot attach {name}")]
    Attach {
        name: String,
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

/// How long an answer may be waited for.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Patience {
    /// Not at all: from memory and the disk only, else [`Failure::WouldBlock`].
    None,
    /// Until then.
    Until(Deadline),
}

impl Patience {
    /// The deadline, or [`Failure::WouldBlock`].
    pub(crate) fn deadline(self) -> Result<Deadline, Failure> {
        match self {
            Self::None => Err(Failure::WouldBlock),
            Self::Until(deadline) => Ok(deadline),
        }
    }
}
