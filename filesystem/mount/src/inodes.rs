//! Inode numbers: computed from (catalog, row), so that no table of files is needed.
//!
//! Every catalog that is entered gets a range of numbers, as long as it has rows: `inode = first + row`. Ranges are given in the
//! order of first use, written to the journal before the first number reaches the kernel, and never given to anything else
//! while the mount lives. So an inode never changes its content, and a new worker goes on with the same numbers. Numbers
//! stay small for as long as possible: 32-bit programs without large file support can't see larger ones.
//!
//! Number 1 is the root of the mount, which alone shows another directory after an update. In a tree of repositories, every
//! repository's root directory has a range of one number, for the same reason.
//!
//! Looking a number up takes no lock: a binary search over an immutable list that is replaced as a whole when it grows.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use arc_swap::{ArcSwap, ArcSwapOption, Guard};
use parking_lot::{Mutex, RwLock};
use varve_content::ContentHash;
use varve_repository::{Catalog, CatalogReference, RepositoryName, RepositoryPath};

use crate::attached::Attached;
use crate::failure::Failure;
use crate::fuse::session::{from_digits, to_digits};
use crate::process::journal::{CatalogRecord, Journal, RangeRecord, Record};

/// The root of the mount.
pub(crate) const ROOT: u64 = 1;
/// The cache maps indexes only that have more bytes.
const SMALL: u64 = 64 << 10;
/// The first number that a range may have.
const FIRST: u64 = 2;

/// The inode numbers of one catalog, or the one of a repository's root directory.
pub(crate) struct Range {
    pub(crate) first: u64,
    pub(crate) length: u64,
    pub(crate) repository: RepositoryName,
    /// `None` for a repository's root directory.
    pub(crate) reference: Option<CatalogReference>,
    /// The catalog, once it has been needed.
    loaded: ArcSwapOption<Loaded>,
}

/// A catalog in use.
pub(crate) struct Loaded {
    pub(crate) attached: Arc<Attached>,
    pub(crate) catalog: Arc<Catalog>,
    pub(crate) first: u64,
    /// The ranges of nested catalogs that were entered, by the row of their mount point.
    nested: RwLock<HashMap<u32, Arc<Range>>>,
    /// Whether it was asked since the last look of [`Inodes::retire`].
    asked: AtomicBool,
    /// So many looks in a row found that it was not.
    idle: AtomicU32,
}

impl Loaded {
    /// Notes that it is needed. Written once per look, so that threads don't fight for the line.
    pub(crate) fn note_use(&self) {
        if !self.asked.load(Ordering::Relaxed) {
            self.asked.store(true, Ordering::Relaxed);
        }
    }

    /// The range of the nested catalog at a row, if it was entered before.
    pub(crate) fn nested(&self, row: u32) -> Option<Arc<Range>> {
        self.nested.read().get(&row).cloned()
    }

    pub(crate) fn remember_nested(&self, row: u32, range: Arc<Range>) {
        self.nested.write().insert(row, range);
    }
}

impl Range {
    /// The catalog, if it is in use.
    pub(crate) fn loaded(&self) -> Guard<Option<Arc<Loaded>>> {
        self.loaded.load()
    }

    /// Puts the catalog into use.
    pub(crate) fn load(&self, attached: Arc<Attached>, catalog: Arc<Catalog>) {
        self.loaded.store(Some(Arc::new(Loaded {
            attached,
            catalog,
            first: self.first,
            nested: RwLock::default(),
            asked: AtomicBool::new(true),
            idle: AtomicU32::new(0),
        })));
    }

    fn record(&self) -> RangeRecord {
        RangeRecord {
            repository: self.repository.to_string(),
            catalog: self.reference.as_ref().map(record_of),
            first: self.first,
            length: self.length,
        }
    }

    fn of_record(record: &RangeRecord) -> Option<Self> {
        Some(Self {
            first: record.first,
            length: record.length,
            repository: record.repository.parse().ok()?,
            reference: match &record.catalog {
                Some(catalog) => Some(reference_of(catalog)?),
                None => None,
            },
            loaded: ArcSwapOption::empty(),
        })
    }
}

/// A catalog as the journal names it.
pub(crate) fn record_of(reference: &CatalogReference) -> CatalogRecord {
    CatalogRecord {
        hash: reference.hash.to_string(),
        path: to_digits(reference.path.as_bytes()),
        size: reference.size,
    }
}

/// The inverse of [`record_of`].
pub(crate) fn reference_of(record: &CatalogRecord) -> Option<CatalogReference> {
    Some(CatalogReference {
        path: RepositoryPath::new(&from_digits(&record.path)?).ok()?,
        hash: record.hash.parse().ok()?,
        size: record.size,
    })
}

type Key = (RepositoryName, Option<(ContentHash, RepositoryPath)>);

fn key_of(repository: &RepositoryName, reference: Option<&CatalogReference>) -> Key {
    (repository.clone(), reference.map(|reference| (reference.hash, reference.path.clone())))
}

/// All ranges.
pub(crate) struct Inodes {
    /// Sorted by their first numbers.
    ranges: ArcSwap<Vec<Arc<Range>>>,
    by_catalog: Mutex<HashMap<Key, Arc<Range>>>,
    journal: Arc<Journal>,
}

impl Inodes {
    /// The ranges that a predecessor gave, none at first.
    pub(crate) fn restore(journal: Arc<Journal>) -> Result<Self, Failure> {
        let mut ranges: Vec<_> = journal
            .read()
            .map_err(Failure::Journal)?
            .iter()
            .filter_map(|record| match record {
                Record::Range(record) => Range::of_record(record).map(Arc::new),
                _ => None,
            })
            .collect();
        ranges.sort_by_key(|range| range.first);
        let by_catalog = ranges
            .iter()
            .map(|range| (key_of(&range.repository, range.reference.as_ref()), Arc::clone(range)))
            .collect();
        Ok(Self { ranges: ArcSwap::from_pointee(ranges), by_catalog: Mutex::new(by_catalog), journal })
    }

    /// The range that a number lies in.
    pub(crate) fn find(&self, inode: u64) -> Option<Arc<Range>> {
        let ranges = self.ranges.load();
        position(&ranges, inode).map(|at| Arc::clone(&ranges[at]))
    }

    /// The catalog that a number lies in, if it is in use. The path of every hit: no lock, no shared counter.
    pub(crate) fn find_loaded(&self, inode: u64) -> Option<Guard<Option<Arc<Loaded>>>> {
        let ranges = self.ranges.load();
        let loaded = ranges[position(&ranges, inode)?].loaded.load();
        loaded.is_some().then_some(loaded)
    }

    /// The range of a catalog, or of a repository's root directory; a new one if it has none yet.
    pub(crate) fn range_of(
        &self,
        repository: &RepositoryName,
        reference: Option<&CatalogReference>,
        length: u64,
    ) -> Result<Arc<Range>, Failure> {
        let key = key_of(repository, reference);
        let mut by_catalog = self.by_catalog.lock();
        if let Some(range) = by_catalog.get(&key) {
            return Ok(Arc::clone(range));
        }
        let before = self.ranges.load_full();
        let range = Arc::new(Range {
            first: before.last().map_or(FIRST, |last| last.first + last.length),
            length,
            repository: repository.clone(),
            reference: reference.cloned(),
            loaded: ArcSwapOption::empty(),
        });
        self.journal.append(&Record::Range(range.record())).map_err(Failure::Journal)?;
        let mut after = Vec::with_capacity(before.len() + 1);
        after.extend(before.iter().cloned());
        after.push(Arc::clone(&range));
        self.ranges.store(Arc::new(after));
        by_catalog.insert(key, Arc::clone(&range));
        Ok(range)
    }

    /// Puts the catalogs out of use that were not asked in so many looks in a row, this one included, and tells the cache of
    /// the others that they are in use. The numbers stay: a request for one of them loads its catalog again. `keep` says which
    /// are never put out of use.
    pub(crate) fn retire(&self, looks: u32, keep: impl Fn(&Range) -> bool) -> Vec<Arc<Loaded>> {
        let mut retired = Vec::new();
        for range in self.ranges.load().iter() {
            let Some(loaded) = range.loaded.load_full() else { continue };
            let idle = if loaded.asked.swap(false, Ordering::Relaxed) {
                loaded.idle.store(0, Ordering::Relaxed);
                0
            } else {
                loaded.idle.fetch_add(1, Ordering::Relaxed) + 1
            };
            let index = loaded.catalog.index();
            if idle >= looks && !keep(range) && returns_without_network(&loaded) {
                range.loaded.compare_and_swap(&loaded, None);
                retired.push(loaded);
            } else {
                index.mark_used();
            }
        }
        retired
    }

    /// How many catalogs are in use, and the largest number given.
    pub(crate) fn summary(&self) -> (usize, u64) {
        let ranges = self.ranges.load();
        let loaded = ranges.iter().filter(|range| range.loaded().is_some()).count();
        (loaded, ranges.last().map_or(ROOT, |last| last.first + last.length - 1))
    }
}

/// Whether the cache's disk has the catalog, unless it was evicted. The cache does not map what is small, so that small ones
/// lie in memory as well.
fn returns_without_network(loaded: &Loaded) -> bool {
    let index = loaded.catalog.index();
    index.lies_in_cache() || (index.size() <= SMALL && !loaded.attached.loader.cache().is_read_only())
}

fn position(ranges: &[Arc<Range>], inode: u64) -> Option<usize> {
    let at = ranges.partition_point(|range| range.first <= inode).checked_sub(1)?;
    (inode - ranges[at].first < ranges[at].length).then_some(at)
}

#[cfg(test)]
mod tests {
    use varve_content::Algorithm;

    use super::*;

    fn reference(content: &[u8], path: &[u8]) -> CatalogReference {
        CatalogReference {
            path: RepositoryPath::new(path).unwrap(),
            hash: Algorithm::Rmd160.hash(content),
            size: Some(7),
        }
    }

    #[test]
    fn a_successor_goes_on_with_the_same_numbers() {
        let name: RepositoryName = "a.example".parse().unwrap();
        let journal = Arc::new(Journal::create().unwrap());
        let inodes = Inodes::restore(Arc::clone(&journal)).unwrap();
        let root = inodes.range_of(&name, Some(&reference(b"root", b"")), 10).unwrap();
        let nested = inodes.range_of(&name, Some(&reference(b"nested", b"/\xff")), 5).unwrap();
        let directory = inodes.range_of(&name, None, 1).unwrap();
        assert_eq!((root.first, nested.first, directory.first), (2, 12, 17));
        assert_eq!(inodes.range_of(&name, Some(&reference(b"root", b"")), 10).unwrap().first, 2);

        let successor = Inodes::restore(journal).unwrap();
        for (inode, first) in
            [(2, Some(2)), (11, Some(2)), (12, Some(12)), (17, Some(17)), (18, None), (1, None)]
        {
            assert_eq!(successor.find(inode).map(|range| range.first), first, "{inode}");
        }
        assert_eq!(successor.find(12).unwrap().reference, Some(reference(b"nested", b"/\xff")));
        assert_eq!(successor.range_of(&name, Some(&reference(b"nested", b"/\xff")), 5).unwrap().first, 12);
        assert_eq!(successor.range_of(&name, Some(&reference(b"new", b"")), 3).unwrap().first, 18);
    }
}
