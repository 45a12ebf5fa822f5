//! What can go wrong with the operations on a repository.

use varve_content::CompressionError;
use varve_repository::{
    DatabaseError, HistoryError, ManifestError, PublicKeysError, RepositoryName, SigningError, TrustError,
};
use varve_store::{CredentialsError, StoreError};

use crate::apply::ApplyError;
use crate::base_revision::BaseError;
use crate::collect::CollectError;
use crate::ingest::{ContainerError, IngestError};
use crate::lock::LockError;
use crate::pipeline::{ObjectError, PipelineError};
use crate::settings::SettingsError;
use crate::state::StateError;
use crate::transaction::TransactionError;
use crate::walk::WalkError;

/// Why an operation on a repository failed. The repository is as before it, or as after an earlier operation.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PublishError {
    /// There is no such repository on this machine.
    #[error("there is no repository {name} on this machine")]
    Unknown {
        /// Its name.
        name: RepositoryName,
    },
    /// There is one already.
    #[error("the repository {name} exists already")]
    Exists {
        /// Its name.
        name: RepositoryName,
    },
    /// Another process is at it.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// Its settings are wrong.
    #[error(transparent)]
    Settings(#[from] SettingsError),
    /// Its keys are missing or can't sign.
    #[error(transparent)]
    Signing(#[from] SigningError),
    /// The public half of its master key can't be read.
    #[error(transparent)]
    PublicKeys(#[from] PublicKeysError),
    /// Its manifest is no manifest.
    #[error("the manifest of {name} is damaged")]
    Manifest {
        /// The repository's name.
        name: RepositoryName,
        /// What is wrong.
        #[source]
        source: ManifestError,
    },
    /// Its manifest is signed by nobody who may.
    #[error(transparent)]
    Trust(#[from] TrustError),
    /// Its store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The certificate or the history does not decompress.
    #[error("{name} is damaged")]
    Compression {
        /// The object.
        name: String,
        /// What is wrong.
        #[source]
        source: CompressionError,
    },
    /// A transaction can't go on, or is in the way.
    #[error(transparent)]
    Transaction(#[from] TransactionError),
    /// The history or the reflog can't be read or written.
    #[error(transparent)]
    Database(#[from] DatabaseError),
    /// A tag can't be made or found.
    #[error(transparent)]
    History(#[from] HistoryError),
    /// The tree to publish can't be opened.
    #[error("cannot open the tree {path}")]
    Tree {
        /// The directory.
        path: std::path::PathBuf,
        /// What the operating system said.
        #[source]
        source: std::io::Error,
    },
    /// The tree can't be read.
    #[error(transparent)]
    Walk(#[from] WalkError),
    /// The archive can't be ingested.
    #[error(transparent)]
    Ingest(#[from] IngestError),
    /// The container image can't be ingested.
    #[error("the container image can't be ingested")]
    Container(#[from] ContainerError),
    /// Contents can't be read or stored.
    #[error(transparent)]
    Pipeline(#[from] PipelineError),
    /// The changes can't be applied.
    #[error(transparent)]
    Apply(#[from] ApplyError),
    /// The base revision can't be read.
    #[error(transparent)]
    Base(#[from] BaseError),
    /// Nothing can be collected.
    #[error(transparent)]
    Collect(#[from] CollectError),
    /// The certificate, the history or the description can't be stored.
    #[error("cannot store the {what}")]
    Object {
        /// What it is.
        what: &'static str,
        /// Why.
        #[source]
        source: ObjectError,
    },
    /// A directory can't be made, or a file not be written.
    #[error("cannot {action} {path}")]
    Io {
        /// What was tried.
        action: &'static str,
        /// The directory or file.
        path: std::path::PathBuf,
        /// What the operating system said.
        #[source]
        source: std::io::Error,
    },
    /// The memory of former publishes can't be kept.
    #[error(transparent)]
    State(#[from] StateError),
    /// There is nothing to go back to.
    #[error("tag '{tag}' is the current revision already")]
    AlreadyThere {
        /// The tag.
        tag: String,
    },
    /// Branches are kept, not changed.
    #[error("tag '{tag}' is on the branch '{branch}'; only the trunk can be rolled back")]
    Branch {
        /// The tag.
        tag: String,
        /// Its branch.
        branch: String,
    },
}

impl PublishError {
    /// What whoever reads the message can do about it.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Unknown { .. } => {
                Some("`varve repo create NAME` makes one, `varve repo list` shows those there are")
            }
            Self::Lock(LockError::Held { .. }) => {
                Some("wait until it has ended; nothing is left behind if it dies")
            }
            Self::Transaction(TransactionError::Open { .. }) => {
                Some("end it with `varve repo commit NAME` or `varve repo abort NAME`")
            }
            Self::Transaction(TransactionError::None { .. }) => {
                Some("`varve repo transaction NAME` opens one")
            }
            Self::Transaction(TransactionError::Stale { .. }) => {
                Some("its changes lie in its directory, but only `varve repo abort NAME` can end it")
            }
            Self::Container(error) => error.hint(),
            Self::Trust(error) => Some(error.hint()),
            Self::Collect(error) => self.store_error().and_then(StoreError::hint).or(Some(error.hint())),
            Self::Settings(SettingsError::Credentials(CredentialsError::None)) => Some(
                "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or name a file with storage.credentials in the settings",
            ),
            Self::Pipeline(PipelineError::Changing { .. } | PipelineError::Replaced { .. }) => {
                Some("publish a tree that nobody writes to, for example a snapshot or a copy")
            }
            _ => self.store_error().and_then(StoreError::hint),
        }
    }

    /// What the store said, if it was the store that failed.
    pub fn store_error(&self) -> Option<&StoreError> {
        if let Self::Store(error) = self {
            return Some(error);
        }
        let mut cause = std::error::Error::source(self);
        while let Some(error) = cause {
            if let Some(ObjectError::Store(error)) = error.downcast_ref() {
                return Some(error);
            }
            if let Some(error) = error.downcast_ref() {
                return Some(error);
            }
            cause = error.source();
        }
        None
    }
}
