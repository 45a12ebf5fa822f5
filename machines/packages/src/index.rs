//! Indexes of mirrors: which ones, and what becomes of them when they are fetched and verified.

use std::time::SystemTime;

use crate::archive::{Archive, ArchiveError};
use crate::debian::{self, DebianUniverse, RecordError, ReleaseError};
use crate::expand::ExpandError;
use crate::family::Family;
use crate::location::MirrorUrl;
use crate::lock::LockedIndex;
use crate::name::{Architecture, IndexId};
use crate::openpgp::{Keyring, SignatureError};
use crate::rpm::{self, RpmError, RpmTexts, RpmUniverse};
use crate::transfer::{TransferError, Transfers};
use crate::universe::{EntryError, Universe};

/// Where an index is, and who must have signed it.
#[derive(Clone, Debug)]
pub struct IndexSource {
    /// What lists and locks call it.
    pub id: IndexId,
    /// Where it is fetched from.
    pub mirror: MirrorUrl,
    /// Debian's suite; a path with a slash at the end if all files lie there. Empty for RPM.
    pub suite: String,
    /// Debian's components.
    pub components: Vec<String>,
    /// The keys that may sign it.
    pub keyring: Keyring,
    /// Whether it may be unsigned.
    pub unsigned: bool,
    /// Whether one whose time is over is refused.
    pub check_age: bool,
    /// Whether an update always takes its newer versions; by its label or suite if nothing is said.
    pub security: Option<bool>,
}

/// An index that was verified.
#[derive(Clone, Debug)]
pub struct Index {
    /// What a lock says of it.
    pub locked: LockedIndex,
    /// Whether an update always takes its newer versions.
    pub security: bool,
    /// Whether its versions are taken without being asked for.
    pub automatic: bool,
    pub(crate) text: IndexText,
}

/// The lists of packages, decompressed.
#[derive(Clone, Debug)]
pub(crate) enum IndexText {
    Debian(Vec<String>),
    Rpm(Box<RpmTexts>),
}

/// What indexes are fetched with.
#[derive(Clone, Copy, Debug)]
pub struct IndexAccess<'a> {
    /// The way to the mirrors.
    pub transfers: &'a Transfers,
    /// Where signed files are kept.
    pub archive: &'a Archive,
    /// For expired indexes and signatures.
    pub now: SystemTime,
}

/// Why an index can't be used.
#[derive(Debug, thiserror::Error)]
#[error("index '{index}' of {mirror}")]
pub struct IndexError {
    /// Which one.
    pub index: IndexId,
    /// Where it is.
    pub mirror: MirrorUrl,
    /// Why.
    #[source]
    pub fault: Box<IndexFault>,
}

/// What is wrong with an index.
#[derive(Debug, thiserror::Error)]
pub enum IndexFault {
    /// A file of it did not come.
    #[error(transparent)]
    Transfer(#[from] TransferError),
    /// A file of it is not what the signed one says, or can't be kept.
    #[error(transparent)]
    Archive(#[from] ArchiveError),
    /// It is not signed as it should be.
    #[error(transparent)]
    Signature(#[from] SignatureError),
    /// No keys are given for it.
    #[error("no keys are named that may sign it")]
    NoKeys,
    /// The signed file makes no sense, or its time is over.
    #[error(transparent)]
    Release(#[from] ReleaseError),
    /// The signed file doesn't name what is needed.
    #[error(
        "the signed file names no list of packages for component '{component}' and architecture {architecture}"
    )]
    NoComponent {
        /// Which one.
        component: String,
        /// For which machines.
        architecture: Architecture,
    },
    /// A file can't be decompressed.
    #[error(transparent)]
    Expand(#[from] ExpandError),
    /// A list of packages makes no sense.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// As above, of RPM.
    #[error(transparent)]
    Rpm(#[from] RpmError),
    /// An entry makes no sense.
    #[error(transparent)]
    Entry(#[from] EntryError),
    /// A path of it would leave the mirror.
    #[error(transparent)]
    Location(#[from] crate::location::LocationError),
}

impl IndexFault {
    /// Whether bytes are not what they should be, or nobody vouches for them.
    #[must_use]
    pub fn is_integrity(&self) -> bool {
        match self {
            Self::Archive(error) => error.is_integrity(),
            Self::Signature(_)
            | Self::Release(_)
            | Self::Expand(_)
            | Self::Record(_)
            | Self::Rpm(_)
            | Self::Entry(_) => true,
            _ => false,
        }
    }
}

/// Larger lists of packages are not read.
pub(crate) const LARGEST: u64 = 2 << 30;

impl Index {
    /// Fetches an index, checks who signed it, and keeps its files in the archive.
    ///
    /// # Errors
    /// If it doesn't come, is not signed as it should be, or makes no sense.
    pub fn fetch(
        source: &IndexSource,
        family: Family,
        architecture: &Architecture,
        access: IndexAccess<'_>,
    ) -> Result<Self, IndexError> {
        let fetched = match family {
            Family::Debian => debian::fetch(source, architecture, access),
            Family::Rpm => rpm::fetch(source, access),
        };
        fetched.map_err(|fault| IndexError {
            index: source.id.clone(),
            mirror: source.mirror.clone(),
            fault: Box::new(fault),
        })
    }

    /// Reads the index that a lock was made from out of the archive, without any mirror.
    ///
    /// # Errors
    /// If a file of it is not in the archive, or has changed.
    pub fn recall(
        locked: &LockedIndex,
        family: Family,
        architecture: &Architecture,
        archive: &Archive,
    ) -> Result<Self, IndexError> {
        let recalled = match family {
            Family::Debian => debian::recall(locked, architecture, archive),
            Family::Rpm => rpm::recall(locked, archive),
        };
        recalled.map_err(|fault| IndexError {
            index: locked.id.clone(),
            mirror: locked.mirror.clone(),
            fault: Box::new(fault),
        })
    }
}

/// All packages of some indexes.
///
/// # Errors
/// If an entry can't be understood.
pub fn universe<'a>(
    indexes: &'a [Index],
    family: Family,
    architecture: &Architecture,
    threads: usize,
) -> Result<Box<dyn Universe + 'a>, UniverseError> {
    let failed = |locked: &LockedIndex, fault: IndexFault| {
        UniverseError::Index(IndexError {
            index: locked.id.clone(),
            mirror: locked.mirror.clone(),
            fault: Box::new(fault),
        })
    };
    match family {
        Family::Debian => {
            let mut all = Vec::with_capacity(indexes.len());
            for index in indexes {
                let IndexText::Debian(texts) = &index.text else { continue };
                let mut records = Vec::new();
                for text in texts {
                    let read = debian::records(text, architecture.as_str(), threads);
                    records.append(&mut read.map_err(|error| failed(&index.locked, error.into()))?);
                }
                all.push((index.locked.id.clone(), records));
            }
            Ok(Box::new(DebianUniverse::new(all)?))
        }
        Family::Rpm => {
            let (mut texts, mut locked) = (Vec::new(), Vec::new());
            for index in indexes {
                let IndexText::Rpm(text) = &index.text else { continue };
                texts.push((index.locked.id.clone(), text.as_ref()));
                locked.push(&index.locked);
            }
            let universe = RpmUniverse::new(&texts, architecture.as_str());
            let universe = universe.map_err(|(number, error)| failed(locked[number], error.into()))?;
            Ok(Box::new(universe))
        }
    }
}

/// Why indexes can't be put together.
#[derive(Debug, thiserror::Error)]
pub enum UniverseError {
    /// One of them makes no sense.
    #[error(transparent)]
    Index(#[from] IndexError),
    /// The entry of a package makes no sense.
    #[error(transparent)]
    Entry(#[from] EntryError),
}
