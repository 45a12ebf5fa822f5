//! Large objects held open, so that reading on costs no look into the cache's directory.

use lru::LruCache;
use parking_lot::Mutex;
use varve_content::{Compression, ContentHash};
use varve_store::{CachedObject, ObjectRequest};

/// Shards of the open objects, and how many each holds.
const SHARDS: usize = 16;
const OPEN_PER_SHARD: usize = 32;

/// An object and how it is stored: the same bytes have another content as a file that is not compressed.
type Key = (ContentHash, Compression);

/// Objects held open, the least recently used go first. Shared by all repositories of a mount.
pub(crate) struct OpenObjects {
    shards: Vec<Mutex<LruCache<Key, CachedObject>>>,
}

impl OpenObjects {
    pub(crate) fn new() -> Self {
        Self { shards: (0..SHARDS).map(|_| Mutex::new(LruCache::unbounded())).collect() }
    }

    fn shard(&self, (hash, _): &Key) -> &Mutex<LruCache<Key, CachedObject>> {
        &self.shards[usize::from(hash.digest()[0]) % SHARDS]
    }

    pub(super) fn get(&self, request: &ObjectRequest) -> Option<CachedObject> {
        let key = key_of(request);
        self.shard(&key).lock().get(&key).cloned()
    }

    pub(super) fn holds(&self, request: &ObjectRequest) -> bool {
        let key = key_of(request);
        self.shard(&key).lock().contains(&key)
    }

    pub(super) fn put(&self, request: &ObjectRequest, object: &CachedObject) {
        let key = key_of(request);
        let mut object = object.clone();
        object.release_memory();
        let evicted = {
            let mut shard = self.shard(&key).lock();
            shard.put(key, object);
            (shard.len() > OPEN_PER_SHARD).then(|| shard.pop_lru())
        };
        // Closed outside of the lock.
        drop(evicted);
    }

    pub(super) fn forget(&self, request: &ObjectRequest) {
        let key = key_of(request);
        let forgotten = self.shard(&key).lock().pop(&key);
        drop(forgotten);
    }

    /// How many are open.
    pub(crate) fn len(&self) -> usize {
        self.shards.iter().map(|shard| shard.lock().len()).sum()
    }
}

fn key_of(request: &ObjectRequest) -> Key {
    (request.name.hash, request.compression)
}

#[cfg(test)]
mod tests {
    use varve_content::{Algorithm, Compressor, Effort, ObjectKind, ObjectName};
    use varve_store::{Cache, CacheConfig, Deadline, MemoryStore, ObjectStore as _, PlainSize};

    use super::*;

    #[test]
    fn the_same_bytes_stored_plainly_are_another_object() {
        let place = tempfile::tempdir().unwrap();
        let cache = Cache::open(&CacheConfig::new(place.path(), std::time::SystemTime::now)).unwrap();
        let mut stored = Vec::new();
        Compressor::new(Compression::Zlib, Effort::Fast).compress(b"abc", &mut stored).unwrap();
        let name = ObjectName::new(Algorithm::Sha1.hash(&stored), ObjectKind::File);
        let store = MemoryStore::new();
        store.put(&name, &stored).unwrap();
        let open = OpenObjects::new();
        let request = |compression| ObjectRequest { name, compression, size: PlainSize::AtMost(1000) };
        for compression in [Compression::Zlib, Compression::None] {
            let request = request(compression);
            assert!(!open.holds(&request));
            let deadline = Deadline::after(std::time::Duration::from_secs(60));
            open.put(&request, &cache.get(&request, &store, deadline).unwrap());
        }
        let length = |compression| open.get(&request(compression)).unwrap().len();
        assert_eq!(length(Compression::Zlib), 3);
        assert_eq!(length(Compression::None), stored.len() as u64);
    }
}
