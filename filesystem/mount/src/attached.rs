//! A repository in the mount: what it is, which revision it shows, how its files are read.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::SystemTime;

use arc_swap::ArcSwap;
use varve_repository::{Catalog, CatalogLoader, CatalogReference, Manifest, Reference, RepositoryName};

use crate::contents::Contents;
use crate::inodes::Range;
use crate::plan::MountedRepository;

/// A repository in the mount.
pub(crate) struct Attached {
    pub(crate) name: RepositoryName,
    /// The inode of its root directory, whatever the revision.
    pub(crate) root_inode: u64,
    pub(crate) mounted: MountedRepository,
    pub(crate) loader: Arc<CatalogLoader>,
    pub(crate) contents: Contents,
    /// What it shows now.
    pub(crate) current: ArcSwap<Revision>,
    pub(crate) errors: ErrorCount,
}

/// A revision of a repository.
pub(crate) struct Revision {
    /// Its manifest, where that was needed to find it.
    pub(crate) manifest: Option<Arc<Manifest>>,
    pub(crate) reference: CatalogReference,
    pub(crate) catalog: Arc<Catalog>,
    /// The inode numbers of the root catalog.
    pub(crate) range: Arc<Range>,
}

impl Revision {
    /// Its number.
    pub(crate) fn number(&self) -> u64 {
        self.catalog.index().properties().revision
    }
}

impl Attached {
    /// Whether it moves to new revisions.
    pub(crate) fn follows(&self) -> bool {
        matches!(self.mounted.reference, Reference::Latest)
    }
}

/// Requests that ended in an error which is not about a name.
#[derive(Default)]
pub(crate) struct ErrorCount {
    count: AtomicU64,
    last: AtomicI64,
}

impl ErrorCount {
    pub(crate) fn add(&self, now: SystemTime) {
        self.count.fetch_add(1, Ordering::Relaxed);
        let seconds = now.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |age| age.as_secs());
        self.last.store(seconds as i64, Ordering::Relaxed);
    }

    /// How many, and when the last was, in seconds since 1970.
    pub(crate) fn get(&self) -> (u64, i64) {
        (self.count.load(Ordering::Relaxed), self.last.load(Ordering::Relaxed))
    }
}
