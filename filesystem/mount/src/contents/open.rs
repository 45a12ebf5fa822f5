//! Large objects held open, so that reading on costs no look into the cache's directory.

use lru::LruCache;
use parking_lot::Mutex;
use varve_content::ContentHash;
use varve_store::CachedObject;

/// Shards of the open objects, and how many each holds.
const SHARDS: usize = 16;
const OPEN_PER_SHARD: usize = 32;

/// Objects held open, the least recently used go first. Shared by all repositories of a mount.
pub(crate) struct OpenObjects {
    shards: Vec<Mutex<LruCache<ContentHash, CachedObject>>>,
}

impl OpenObjects {
    pub(crate) fn new() -> Self {
        Self { shards: (0..SHARDS).map(|_| Mutex::new(LruCache::unbounded())).collect() }
    }

    fn shard(&self, hash: &ContentHash) -> &Mutex<LruCache<ContentHash, CachedObject>> {
        &self.shards[usize::from(hash.digest()[0]) % SHARDS]
    }

    pub(super) fn get(&self, hash: &ContentHash) -> Option<CachedObject> {
        self.shard(hash).lock().get(hash).cloned()
    }

    pub(super) fn holds(&self, hash: &ContentHash) -> bool {
        self.shard(hash).lock().contains(hash)
    }

    pub(super) fn put(&self, hash: ContentHash, object: &CachedObject) {
        let mut object = object.clone();
        object.release_memory();
        let evicted = {
            let mut shard = self.shard(&hash).lock();
            shard.put(hash, object);
            (shard.len() > OPEN_PER_SHARD).then(|| shard.pop_lru())
        };
        // Closed outside of the lock.
        drop(evicted);
    }

    pub(super) fn forget(&self, hash: &ContentHash) {
        let forgotten = self.shard(hash).lock().pop(hash);
        drop(forgotten);
    }

    /// How many are open.
    pub(crate) fn len(&self) -> usize {
        self.shards.iter().map(|shard| shard.lock().len()).sum()
    }
}
