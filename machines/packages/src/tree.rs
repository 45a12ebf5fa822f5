//! A lock becomes the tree of an operating system.
//!
//! ```text
//! lock + archive ─▶ install ─▶ configure ─▶ remove traces ─▶ record ─▶ verify ─▶ set times back ─▶ rename
//!                  (mmdebstrap, rpm)                                 (installed = lock)
//! ```
//!
//! The packages are installed by their families' own programs, in a [`sandbox`]: [`build_tree`] is to be called in it.
//!
//! Invariants:
//! - Only files whose digests are the lock's are installed, and when all is done the tree's own database has exactly the
//!   lock's packages, or there is no tree.
//! - The same lock gives the same tree: nothing of this machine, of the time, or secret is in it.
//! - A tree appears under its name when it is whole.

mod debian;
mod error;
mod installed;
mod machine;
mod program;
mod record;
mod rooted;
mod rpm;
mod sandbox;
mod traces;
mod work;

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::digest::Sha256;
use crate::family::Family;
use crate::lock::{Lock, LockedPackage};
use crate::name::PackageName;

pub use error::TreeError;
pub use installed::Differences;
pub use record::{Role, TreeRecord, TreeVersion};
pub use sandbox::{Privilege, sandbox, with_ids_of_trees};

use rooted::Root;
use work::Work;

/// A tree that is to be built.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct TreeOrder {
    /// The lock's text.
    pub lock: String,
    /// The directory of the archive, with all files of the lock.
    pub archive: PathBuf,
    /// Where the tree appears.
    pub tree: PathBuf,
    /// Its version.
    pub version: TreeVersion,
    /// What it is for.
    pub role: Role,
}

/// Builds a tree. To be called as root of a [`sandbox`].
///
/// # Errors
/// Any [`TreeError`]; there is no tree then.
pub fn build_tree(order: &TreeOrder) -> Result<TreeRecord, TreeError> {
    let lock = Lock::parse(&order.lock)?;
    if lock.packages.is_empty() {
        return Err(TreeError::Empty);
    }
    let epoch = epoch(&lock)?;
    let record = TreeRecord {
        name: PackageName::new(lock.list.name.as_str())?,
        version: order.version.clone(),
        role: order.role,
        lock: Sha256::of(order.lock.as_bytes()),
    };
    let archive = std::path::absolute(&order.archive).map_err(TreeError::io("find", &order.archive))?;
    let work = Work::begin(&order.tree)?;
    // Scripts write it into configuration; the sandbox has a name of its own.
    rustix::system::sethostname(b"localhost").map_err(|errno| TreeError::Hostname(errno.into()))?;
    match lock.family {
        Family::Debian => debian::install(&lock, &archive, &work, epoch)?,
        Family::Rpm => rpm::install(&lock, &archive, &work, epoch)?,
    }
    let top = work.root();
    let root = Root::open(&top).map_err(TreeError::io("open", &top))?;
    machine::configure(&root, order.role, &work, epoch)?;
    let settled = match lock.family {
        Family::Debian => debian::settle(&root, &lock),
        Family::Rpm => rpm::settle(&root),
    };
    settled
        .and_then(|()| traces::remove(&root))
        .and_then(|()| record::write(&root, &record, &order.lock))
        .map_err(TreeError::io("finish", &top))?;
    installed::verify(&root, &lock, &work.temporary())?;
    traces::clamp_times(&top, epoch).map_err(TreeError::io("set the times of", &top))?;
    work.finish()?;
    Ok(record)
}

/// Checks that a tree has exactly the packages of the lock that it was built from. Temporary files go to `scratch`.
///
/// # Errors
/// If it hasn't, or is no tree.
pub fn verify_tree(tree: &Path, scratch: &Path) -> Result<TreeRecord, TreeError> {
    let root = Root::open(tree).map_err(TreeError::io("open", tree))?;
    let (record, lock) = record::read(&root)?;
    installed::verify(&root, &lock, scratch)?;
    Ok(record)
}

/// A package's file in the archive.
fn archived(archive: &Path, package: &LockedPackage) -> PathBuf {
    let digest = package.sha256.to_string();
    archive.join("sha256").join(&digest[..2]).join(&digest[2..])
}

/// The time of a tree, in seconds since 1970: when the newest of its indexes was made.
fn epoch(lock: &Lock) -> Result<i64, TreeError> {
    let mut newest = None;
    for index in &lock.indexes {
        let date: jiff::Timestamp = index.date.parse().map_err(|_| TreeError::Date(index.date.clone()))?;
        newest = newest.max(Some(date.as_second()));
    }
    newest.filter(|&second| second >= 0).ok_or_else(|| TreeError::Date(String::new()))
}
