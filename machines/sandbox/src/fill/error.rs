//! Why something of a tree could not be filled, and which errno a program sees then.
//!
//! | failure | errno |
//! |---|---|
//! | nothing came by the deadline | ETIMEDOUT |
//! | the local disk is full, or a quota on it is used up | ENOSPC, EDQUOT |
//! | wrong content, servers that fail, a damaged tree | EIO |

use std::io;
use std::path::{Path, PathBuf};

use varve_repository::RepositoryError;

/// Why something of a tree could not be filled.
#[derive(Debug, thiserror::Error)]
pub enum FillError {
    /// A catalog or an object of the repository.
    #[error(transparent)]
    Repository(#[from] RepositoryError),
    /// The tree's own files.
    #[error("cannot {action} {path}", path = path.display())]
    Io {
        /// What was to be done.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The tree's own files are not as this program makes them.
    #[error("the tree in {path} is damaged: {what}; remove it, it is filled again", path = path.display())]
    Damaged {
        /// The tree.
        path: PathBuf,
        /// What is wrong.
        what: &'static str,
    },
    /// Somebody else fills the same, and didn't end in time.
    #[error("somebody else has been filling {path} for too long", path = path.display())]
    Late {
        /// The file or directory.
        path: PathBuf,
    },
    /// A tree can't be opened.
    #[error("cannot fill {target}: {message}")]
    Open {
        /// What was wanted.
        target: String,
        /// Why not.
        message: String,
    },
    /// The process that has the trees.
    #[error("the process that fills trees is gone")]
    Filler {
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The calls of a process can't be watched.
    #[error("cannot watch a program's system calls ({action})")]
    Watch {
        /// What failed.
        action: &'static str,
        /// What the system said.
        #[source]
        source: io::Error,
    },
}

impl FillError {
    /// For use with `map_err`.
    pub(super) fn io<E: Into<io::Error>>(
        action: &'static str,
        path: &Path,
    ) -> impl FnOnce(E) -> Self + use<E> {
        let path = path.to_owned();
        move |source| Self::Io { action, path, source: source.into() }
    }

    /// The errno that a program sees.
    pub(super) fn errno(&self) -> i32 {
        match self {
            Self::Late { .. } => return libc::ETIMEDOUT,
            Self::Repository(error) if error.is_timeout() => return libc::ETIMEDOUT,
            _ => {}
        }
        let mut cause = std::error::Error::source(self);
        while let Some(error) = cause {
            let errno = error.downcast_ref().and_then(io::Error::raw_os_error);
            if let Some(errno @ (libc::ENOSPC | libc::EDQUOT)) = errno {
                return errno;
            }
            cause = error.source();
        }
        libc::EIO
    }
}
