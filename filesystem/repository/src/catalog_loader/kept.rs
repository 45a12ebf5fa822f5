//! The catalogs that are kept open, found without a lock, bounded by recent use.
//!
//! Time is counted in insertions: a hit writes to the catalog's stamp at most once per insertion, so that many threads
//! reading the same catalog don't fight for its cache line.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arc_swap::ArcSwap;
use parking_lot::Mutex;
use varve_content::ContentHash;

use super::Catalog;

/// Catalogs by hash.
pub(super) struct Kept {
    most: usize,
    catalogs: ArcSwap<HashMap<ContentHash, Arc<Stamped>>>,
    insertions: AtomicU64,
    /// Held while the map is copied and replaced.
    writing: Mutex<()>,
}

struct Stamped {
    catalog: Arc<Catalog>,
    last_used: AtomicU64,
}

impl Kept {
    /// Keeps at most `most` catalogs.
    pub(super) fn new(most: usize) -> Self {
        Self { most, catalogs: ArcSwap::default(), insertions: AtomicU64::new(0), writing: Mutex::new(()) }
    }

    pub(super) fn get(&self, hash: &ContentHash) -> Option<Arc<Catalog>> {
        let catalogs = self.catalogs.load();
        let stamped = catalogs.get(hash)?;
        let now = self.insertions.load(Ordering::Relaxed);
        if stamped.last_used.load(Ordering::Relaxed) != now {
            stamped.last_used.store(now, Ordering::Relaxed);
        }
        Some(Arc::clone(&stamped.catalog))
    }

    /// Keeps a catalog, dropping the quarter that was not used for longest if there are too many.
    pub(super) fn insert(&self, catalog: &Arc<Catalog>) {
        let _writing = self.writing.lock();
        let now = self.insertions.fetch_add(1, Ordering::Relaxed) + 1;
        let mut catalogs = HashMap::clone(&self.catalogs.load());
        if catalogs.len() >= self.most {
            let mut by_use: Vec<(u64, ContentHash)> = catalogs
                .iter()
                .map(|(hash, stamped)| (stamped.last_used.load(Ordering::Relaxed), *hash))
                .collect();
            by_use.sort_unstable();
            for (_, hash) in by_use.iter().take((catalogs.len() / 4).max(1)) {
                catalogs.remove(hash);
            }
        }
        let stamped = Stamped { catalog: Arc::clone(catalog), last_used: AtomicU64::new(now) };
        catalogs.insert(catalog.reference.hash, Arc::new(stamped));
        self.catalogs.store(Arc::new(catalogs));
    }

    pub(super) fn remove(&self, hash: &ContentHash) {
        let _writing = self.writing.lock();
        let mut catalogs = HashMap::clone(&self.catalogs.load());
        if catalogs.remove(hash).is_some() {
            self.catalogs.store(Arc::new(catalogs));
        }
    }

    pub(super) fn for_each(&self, visit: impl Fn(&Catalog)) {
        for stamped in self.catalogs.load().values() {
            visit(&stamped.catalog);
        }
    }

    pub(super) fn len(&self) -> usize {
        self.catalogs.load().len()
    }
}

#[cfg(test)]
mod tests {
    use varve_content::Algorithm;

    use super::*;
    use crate::{
        CatalogIndex, CatalogProperties, CatalogReader, CatalogReference, CatalogWriter, Entry, HardLink,
        Metadata, Mtime, NestedRole, Node, RepositoryPath, TreeCounters, Xattrs,
    };

    fn catalog(number: u32) -> Arc<Catalog> {
        let mut writer = CatalogWriter::new(CatalogProperties::default()).expect("because memory suffices");
        let root = Entry {
            name: None,
            metadata: Metadata { permissions: 0o755, uid: 0, gid: 0, mtime: Mtime::default() },
            node: Node::Directory { size: 4096 },
            hard_link: HardLink::SINGLE,
            xattrs: Xattrs::default(),
            nested: NestedRole::Plain,
            hidden: false,
        };
        writer.add(&RepositoryPath::ROOT, &root).expect("a root");
        let (_, bytes) = writer.finish(TreeCounters::default()).expect("because memory suffices");
        let reader = CatalogReader::from_bytes(bytes).expect("a catalog");
        let index = CatalogIndex::build(&reader, &RepositoryPath::ROOT).expect("a tree");
        Arc::new(Catalog {
            reference: CatalogReference {
                path: RepositoryPath::ROOT,
                hash: Algorithm::Sha1.hash(&number.to_le_bytes()),
                size: None,
            },
            index: CatalogIndex::open(index).expect("because it was just built"),
            bundles: std::sync::OnceLock::new(),
        })
    }

    #[test]
    fn what_is_in_use_stays() {
        let kept = Kept::new(8);
        let favourite = catalog(1000);
        kept.insert(&favourite);
        for number in 0..100 {
            kept.insert(&catalog(number));
            assert!(kept.len() <= 8);
            assert!(kept.get(&favourite.reference.hash).is_some(), "after {number}");
        }
        assert!(kept.get(&catalog(99).reference.hash).is_some());
        assert!(kept.get(&catalog(0).reference.hash).is_none());
        let before = kept.len();
        kept.remove(&favourite.reference.hash);
        assert!(kept.get(&favourite.reference.hash).is_none());
        assert_eq!(kept.len(), before - 1);
    }
}
