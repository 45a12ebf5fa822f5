//! What a cache counts. How it is shown is decided elsewhere.

use std::sync::atomic::{AtomicU64, Ordering};

/// Counts since this process opened the cache; taken one by one, not at a single instant.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CacheCounters {
    /// Objects that were there, on disk or in memory.
    pub hits: u64,
    /// Objects that had to be fetched.
    pub misses: u64,
    /// Content bytes of the objects that were fetched.
    pub bytes_fetched: u64,
    /// Files deleted to stay below the quota or to make room on a full disk.
    pub evictions: u64,
    /// Files found damaged.
    pub damaged: u64,
    /// Objects that could not be written to the disk and were kept in memory.
    pub unwritable: u64,
}

#[derive(Default)]
pub(crate) struct Counts {
    pub(crate) hits: AtomicU64,
    pub(crate) misses: AtomicU64,
    pub(crate) bytes_fetched: AtomicU64,
    pub(crate) evictions: AtomicU64,
    pub(crate) damaged: AtomicU64,
    pub(crate) unwritable: AtomicU64,
}

impl Counts {
    pub(crate) fn snapshot(&self) -> CacheCounters {
        CacheCounters {
            hits: self.hits.load(Ordering::Relaxed),
            misses: self.misses.load(Ordering::Relaxed),
            bytes_fetched: self.bytes_fetched.load(Ordering::Relaxed),
            evictions: self.evictions.load(Ordering::Relaxed),
            damaged: self.damaged.load(Ordering::Relaxed),
            unwritable: self.unwritable.load(Ordering::Relaxed),
        }
    }
}

/// Adds to one count.
pub(crate) fn count(counter: &AtomicU64, by: u64) {
    counter.fetch_add(by, Ordering::Relaxed);
}
