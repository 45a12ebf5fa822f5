//! Why a replication has ended early, sorted by what a caller can do about it.

use varve_content::ObjectName;
use varve_repository::{DatabaseError, RepositoryError, RepositoryName, TrustError};
use varve_store::{RepositoryFile, StoreError};

/// Why a replication has ended early. The replica still serves what it held before.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MirrorError {
    /// The source failed.
    #[error(transparent)]
    Source(#[from] StoreError),
    /// What the source has is not genuine, is older than what is held, or can't be used.
    #[error(transparent)]
    Repository(#[from] RepositoryError),
    /// The replica can't be read or written.
    #[error("the replica failed")]
    Replica(#[source] StoreError),
    /// The place of the replica holds another repository.
    #[error("{place} holds {held}, not {name}")]
    OtherRepository {
        /// The repository that was to be replicated.
        name: RepositoryName,
        /// The one that is there.
        held: RepositoryName,
        /// Where.
        place: String,
    },
    /// The place of the replica is where the repository is published.
    #[error("{place} holds the original of {name}, which a replica would overwrite")]
    Original {
        /// The repository.
        name: RepositoryName,
        /// Where.
        place: String,
    },
    /// What the replica has in the place of a file is no such file.
    #[error("{file} of the replica in {place} is damaged")]
    Damaged {
        /// The file.
        file: RepositoryFile,
        /// Where.
        place: String,
    },
    /// The source does not want to be copied.
    #[error(
        "{name} at {place} is not meant to be replicated: {} is missing there",
        RepositoryFile::MasterReplica
    )]
    NotReplicatable {
        /// The repository.
        name: RepositoryName,
        /// The source.
        place: String,
    },
    /// Something of the newest revision does not exist, and the manifest is still the same.
    #[error("revision {revision} is not complete at the source: {object} does not exist at {place}")]
    Incomplete {
        /// The revision.
        revision: u64,
        /// What is missing.
        object: ObjectName,
        /// Where it was looked for.
        place: String,
    },
    /// The source published again and again while it was copied, and collected at once what it had published before.
    #[error(
        "the source moves on faster than it can be copied: {object} of revision {revision} was gone from {place}"
    )]
    Unsettled {
        /// The last revision that was tried.
        revision: u64,
        /// What was missing of it.
        object: ObjectName,
        /// Where it was looked for.
        place: String,
    },
    /// The tags can't be read.
    #[error("the tags of {repository} can't be used")]
    History {
        /// The repository.
        repository: RepositoryName,
        /// What is wrong.
        #[source]
        source: DatabaseError,
    },
    /// The replica's own log of references can't be read or written.
    #[error("the log of references of the replica can't be used")]
    Log(#[source] DatabaseError),
    /// A thread panicked; it has said so itself.
    #[error("a thread of the replication has failed")]
    Panicked,
}

impl From<TrustError> for MirrorError {
    fn from(error: TrustError) -> Self {
        Self::Repository(error.into())
    }
}

impl MirrorError {
    /// What can be done about it.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Repository(RepositoryError::Downgrade { .. }) => Some(
                "the source was set back or is itself behind; if the repository was begun anew, remove the replica's \
                 directory first",
            ),
            Self::Repository(error) => error.hint(),
            Self::OtherRepository { .. } => Some("replicate into another directory with --to"),
            Self::Original { .. } => {
                Some("replicate on another machine, or into another directory with --to")
            }
            Self::Damaged { .. } => {
                Some("remove that file and replicate again: what is stored already is not fetched again")
            }
            Self::NotReplicatable { .. } => {
                Some("its maintainers may allow it; --unmarked-source replicates nevertheless")
            }
            Self::Incomplete { .. } => Some(
                "the replica stays at its revision; if `varve repo check` finds the source damaged, publish what is \
                 missing again",
            ),
            Self::Unsettled { .. } => {
                Some("replicate again; the source should keep old revisions for a while")
            }
            Self::Log(_) => Some("remove .cvmfsreflog of the replica: it is written anew"),
            Self::Source(_) | Self::Replica(_) | Self::History { .. } | Self::Panicked => None,
        }
    }

    /// What the source has is wrong: trying again will not help before it has changed.
    pub fn is_integrity(&self) -> bool {
        match self {
            Self::Source(error) => error.is_integrity(),
            Self::Repository(error) => error.is_integrity(),
            Self::Incomplete { .. } | Self::Damaged { .. } | Self::History { .. } | Self::Log(_) => true,
            _ => false,
        }
    }
}
