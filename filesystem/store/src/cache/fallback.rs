//! Objects that could not be written to the disk: a bounded number of bytes of them, the least recently used go first.

use std::sync::atomic::{AtomicUsize, Ordering};

use lru::LruCache;
use parking_lot::Mutex;

use super::name::CacheName;
use super::object::CachedObject;

/// The most bytes kept.
const CAPACITY: usize = 64 << 20;

pub(super) struct Fallback {
    /// How many objects there are, so that the usual case of none takes no lock.
    count: AtomicUsize,
    objects: Mutex<Objects>,
}

struct Objects {
    bytes: usize,
    by_name: LruCache<CacheName, CachedObject>,
}

impl Fallback {
    pub(super) fn new() -> Self {
        Self {
            count: AtomicUsize::new(0),
            objects: Mutex::new(Objects { bytes: 0, by_name: LruCache::unbounded() }),
        }
    }

    pub(super) fn get(&self, name: &CacheName) -> Option<CachedObject> {
        if self.count.load(Ordering::Acquire) == 0 {
            return None;
        }
        self.objects.lock().by_name.get(name).cloned()
    }

    pub(super) fn keep(&self, name: &CacheName, object: &CachedObject) {
        if object.memory_use() > CAPACITY / 4 {
            return;
        }
        let mut objects = self.objects.lock();
        objects.bytes += object.memory_use();
        if let Some(before) = objects.by_name.put(name.clone(), object.clone()) {
            objects.bytes -= before.memory_use();
        }
        while objects.bytes > CAPACITY
            && let Some((_, oldest)) = objects.by_name.pop_lru()
        {
            objects.bytes -= oldest.memory_use();
        }
        self.count.store(objects.by_name.len(), Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use varve_content::{Algorithm, Compression};

    use super::*;

    #[test]
    fn the_bytes_kept_are_bounded() {
        let fallback = Fallback::new();
        let names: Vec<CacheName> =
            (0..20_u8).map(|n| CacheName::content(&Algorithm::Sha1.hash(&[n]), Compression::Zlib)).collect();
        for name in &names {
            fallback.keep(name, &CachedObject::in_memory(vec![0; CAPACITY / 8]));
            fallback.keep(&names[0], &CachedObject::in_memory(vec![1; CAPACITY / 8]));
        }
        assert_eq!(names.iter().filter(|name| fallback.get(name).is_some()).count(), 8);
        assert!(fallback.get(&names[0]).is_some());
        let huge = CacheName::content(&Algorithm::Sha1.hash(b"huge"), Compression::Zlib);
        fallback.keep(&huge, &CachedObject::in_memory(vec![0; CAPACITY]));
        assert!(fallback.get(&huge).is_none());
    }
}
