//! A new version of the operating system under the changes that were made on top of the old one: what becomes of each change,
//! and doing it.
//!
//! Three trees are compared: the base *before*, the base *after*, and the upper directory of the overlay over the first, which
//! holds the changes. Where only one side changed a path there is nothing to do. Where both did:
//!
//! - accounts (`passwd`, `group`, `shadow`, …) are merged entry by entry; numbers that collide are given anew to the accounts made here,
//! - the list of installed packages (`var/lib/dpkg/status`) is merged package by package,
//! - text below `etc` is merged line by line, if the changes don't touch each other,
//! - of everything else the copy made here stays, and the report says so. Below `etc` the new one is put beside it.
//!
//! A [`Rebase`] is computed without touching anything, and is complete: [`Rebase::apply`] doesn't look at the bases any more. It
//! may be stopped at any instant and done again, and it keeps what [`Undo`] needs to bring back the state before.

mod accounts;
mod apply;
mod bytes;
mod entry;
mod packages;
mod plan;
mod report;
mod undo;

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

pub use plan::plan;
pub use undo::Undo;

/// What can go wrong.
#[derive(Debug, thiserror::Error)]
pub enum RebaseError {
    /// A file can't be read or written.
    #[error("cannot {what} {}", path.display())]
    Io {
        /// What was tried.
        what: &'static str,
        /// With which file.
        path: PathBuf,
        /// Why it failed.
        #[source]
        source: io::Error,
    },
    /// A file that a rebase left for itself is not what it was.
    #[error("{} was damaged: {reason}", path.display())]
    Damaged {
        /// Which.
        path: PathBuf,
        /// How.
        reason: String,
    },
}

/// Writes a whole file: the old one or the new one is there at any instant.
///
/// # Errors
/// [`RebaseError::Io`].
pub(crate) fn write_whole(path: &Path, content: &[u8]) -> Result<(), RebaseError> {
    apply::write(path, content, None)
}

impl RebaseError {
    fn io(what: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { what, path, source }
    }
}

/// What a new base makes of the changes in an upper directory.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rebase {
    /// What is done, in this order, sorted by path.
    pub steps: Vec<Step>,
    /// User numbers of accounts made here that the new base needs for its own: old number to new.
    pub users: BTreeMap<u32, u32>,
    /// The same of groups.
    pub groups: BTreeMap<u32, u32>,
    /// How many changes the new base doesn't touch.
    pub untouched: u64,
}

/// What becomes of one change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    /// Below the root.
    #[serde(with = "bytes::path")]
    pub path: PathBuf,
    /// What is done.
    pub resolution: Resolution,
}

/// What is done with a path that both sides have changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Resolution {
    /// The copy made here says the same as a base does and is removed, so that what the base has shows through.
    Dropped {
        /// Why.
        because: Dropped,
    },
    /// Both changes are kept.
    Merged {
        /// By which rules.
        by: Merge,
        /// The whole new content.
        #[serde(with = "bytes")]
        content: Vec<u8>,
        /// The owner and the permissions.
        attributes: Attributes,
    },
    /// Owner and permissions of a directory are those of the new base.
    Attributes {
        /// The new ones.
        attributes: Attributes,
        /// What they are now.
        was: Attributes,
    },
    /// The changes contradict each other: what was made here stays.
    Conflict {
        /// How they do.
        kind: Conflict,
        /// What the base has, where it is put beside the file: see [`BESIDE`].
        #[serde(with = "bytes::optional")]
        beside: Option<Vec<u8>>,
    },
}

/// Owner and permissions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attributes {
    /// Permission bits, those for other users' rights included.
    pub mode: u32,
    /// The number of the owner.
    pub user: u32,
    /// The number of the group.
    pub group: u32,
}

/// What is put behind the name of a file that a base brings and that can't take its place.
pub const BESIDE: &str = ".varve-new";

/// Why a copy isn't needed any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Dropped {
    /// It is what the new base has.
    SameAsNew,
    /// It was never different from the base before.
    Unchanged,
    /// It is computed from other files, and the new base's is nearer to the truth.
    Derived,
}

/// How two changes of a file become one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Merge {
    /// Account by account.
    Accounts,
    /// Package by package.
    Packages,
    /// Line by line.
    Lines,
}

/// How changes contradict each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Conflict {
    /// Both changed the same place.
    BothChanged,
    /// Changed here, removed from the new base.
    RemovedFromBase,
    /// Removed here, changed in the new base.
    RemovedHere,
    /// Another kind of file in the new base, such as a directory in place of a link.
    AnotherKind,
    /// A directory that was replaced here as a whole, and has other contents in the new base.
    Replaced,
}
