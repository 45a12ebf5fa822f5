//! What can go wrong when a repository is read, sorted by what a caller can do about it.

use std::sync::Arc;

use varve_content::ContentHash;
use varve_store::StoreError;

use crate::{CatalogError, DatabaseError, MetaInfoError, RepositoryName, TrustError};

/// Why a repository or a part of it could not be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RepositoryError {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A catalog that has the right hash can't be used.
    #[error("the catalog {hash} of '{path}' can't be used")]
    Catalog {
        /// The directory that the catalog lists.
        path: String,
        /// Its hash.
        hash: ContentHash,
        /// What is wrong with it.
        #[source]
        source: CatalogError,
    },
    /// A directory was needed.
    #[error("'{path}' is not a directory")]
    NotADirectory {
        /// The path.
        path: String,
    },
    /// A regular file was needed.
    #[error("'{path}' is not a regular file")]
    NotAFile {
        /// The path.
        path: String,
    },
    /// The bytes of the file are not in the repository.
    #[error("the content of '{path}' lies outside the repository, on a server that is not known here")]
    External {
        /// The path.
        path: String,
    },
    /// A file of the repository is not genuine.
    #[error(transparent)]
    Trust(#[from] TrustError),
    /// A genuine manifest, but an older one than was seen before.
    #[error("{repository} is offered in revision {offered} after revision {seen} was seen")]
    Downgrade {
        /// The repository.
        repository: RepositoryName,
        /// The revision offered.
        offered: u64,
        /// The revision seen before.
        seen: u64,
    },
    /// No tag tells which revision is meant.
    #[error("{repository} has no revision '{reference}'")]
    NoSuchRevision {
        /// The repository.
        repository: RepositoryName,
        /// What was asked for.
        reference: String,
    },
    /// A history that has the right hash can't be used.
    #[error("the tags of {repository} can't be used")]
    Database {
        /// The repository.
        repository: RepositoryName,
        /// What is wrong.
        #[source]
        source: DatabaseError,
    },
    /// A description that has the right hash can't be used.
    #[error("the description of {repository} can't be used")]
    MetaInfo {
        /// The repository.
        repository: RepositoryName,
        /// What is wrong with it.
        #[source]
        source: MetaInfoError,
    },
    /// What another thread met, that tried the same.
    #[error(transparent)]
    Shared(Arc<Self>),
}

impl RepositoryError {
    /// The error itself, whichever thread met it: what to match on.
    #[must_use]
    pub fn met(&self) -> &Self {
        match self {
            Self::Shared(error) => error.met(),
            error => error,
        }
    }

    /// The bytes were wrong: never serve them, retrying the same place is in vain.
    pub fn is_integrity(&self) -> bool {
        match self.met() {
            Self::Store(error) => error.is_integrity(),
            Self::Catalog { .. }
            | Self::Trust(_)
            | Self::Downgrade { .. }
            | Self::Database { .. }
            | Self::MetaInfo { .. } => true,
            _ => false,
        }
    }

    /// An object definitely does not exist where it should. This is not a missing path: lookups tell that by `None`.
    pub fn is_absence(&self) -> bool {
        matches!(self.met(), Self::Store(error) if error.is_absence())
    }

    /// What whoever reads the message can do about it, where that is known.
    pub fn hint(&self) -> Option<&'static str> {
        match self.met() {
            Self::Trust(error) => Some(error.hint()),
            Self::Downgrade { .. } => Some(
                "the server is behind or was set back; if its maintainers began the repository anew, remove what the \
                 cache keeps of it",
            ),
            Self::NoSuchRevision { .. } => Some("`varve repo tag` lists the revisions that have a name"),
            _ => None,
        }
    }

    /// Nothing came in time; with more time it may.
    pub fn is_timeout(&self) -> bool {
        matches!(self.met(), Self::Store(StoreError::TimedOut { .. }))
    }
}
