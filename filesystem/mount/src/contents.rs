//! Reads files: finds the object or chunk behind an offset, keeps large ones open, fetches the next chunk ahead of a reader.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use lru::LruCache;
use parking_lot::Mutex;
use varve_content::{ContentHash, ObjectKind, ObjectName};
use varve_repository::{Chunk, ContentView, EntryView};
use varve_store::{Cache, CachedObject, Deadline, ObjectRequest, ObjectSource, PlainSize, StoreError};

use crate::failure::{Failure, Patience};
use crate::pool::Pool;

/// Smaller objects are read in one request and then kept by the kernel: holding them open is of no use.
const WORTH_KEEPING: u64 = 128 << 10;
/// Shards of the open objects, and how many each holds.
const SHARDS: usize = 16;
const OPEN_PER_SHARD: usize = 32;
/// At most so many chunks are fetched ahead at a time.
const MOST_AHEAD: usize = 8;
/// What is fetched ahead has this long.
const AHEAD_PATIENCE: Duration = Duration::from_secs(60);

/// Objects held open, the least recently used go first. Shared by all repositories of a mount.
pub(crate) struct OpenObjects {
    shards: Vec<Mutex<LruCache<ContentHash, CachedObject>>>,
    ahead: Arc<AtomicUsize>,
    pool: Arc<Pool>,
}

impl OpenObjects {
    pub(crate) fn new(pool: Arc<Pool>) -> Self {
        Self {
            shards: (0..SHARDS).map(|_| Mutex::new(LruCache::unbounded())).collect(),
            ahead: Arc::default(),
            pool,
        }
    }

    fn shard(&self, hash: &ContentHash) -> &Mutex<LruCache<ContentHash, CachedObject>> {
        &self.shards[usize::from(hash.digest()[0]) % SHARDS]
    }

    fn get(&self, hash: &ContentHash) -> Option<CachedObject> {
        self.shard(hash).lock().get(hash).cloned()
    }

    fn holds(&self, hash: &ContentHash) -> bool {
        self.shard(hash).lock().contains(hash)
    }

    fn put(&self, hash: ContentHash, object: &CachedObject) {
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

    fn forget(&self, hash: &ContentHash) {
        let forgotten = self.shard(hash).lock().pop(hash);
        drop(forgotten);
    }

    /// How many are open.
    pub(crate) fn len(&self) -> usize {
        self.shards.iter().map(|shard| shard.lock().len()).sum()
    }
}

/// The files of one repository.
pub(crate) struct Contents {
    cache: Arc<Cache>,
    source: Arc<dyn ObjectSource>,
    open: Arc<OpenObjects>,
}

impl Contents {
    pub(crate) fn new(cache: Arc<Cache>, source: Arc<dyn ObjectSource>, open: Arc<OpenObjects>) -> Self {
        Self { cache, source, open }
    }

    pub(crate) fn cache(&self) -> &Cache {
        &self.cache
    }

    /// Fills the buffer from `offset` on as far as the file goes, and says how far.
    pub(crate) fn read(
        &self,
        entry: &EntryView<'_>,
        offset: u64,
        buffer: &mut [u8],
        patience: Patience,
    ) -> Result<usize, Failure> {
        let wanted = (buffer.len() as u64).min(entry.size().saturating_sub(offset)) as usize;
        let buffer = &mut buffer[..wanted];
        if wanted == 0 {
            return Ok(0);
        }
        if entry.is_external() {
            return Err(Failure::External);
        }
        match entry.content().ok_or(Failure::OtherKind)? {
            ContentView::Whole(hash) => {
                let request = request_of(ObjectName::new(hash, ObjectKind::File), entry, entry.size());
                self.read_object(&request, offset, buffer, patience)?;
            }
            ContentView::Chunks(chunks) => {
                let mut done = 0;
                while done < wanted {
                    let at = offset + done as u64;
                    let chunk = chunks.at(at).ok_or(Failure::OtherKind)?;
                    let end = (chunk.offset + chunk.size - offset).min(wanted as u64) as usize;
                    let part = &mut buffer[done..end];
                    self.read_object(&chunk_request(&chunk, entry), at - chunk.offset, part, patience)?;
                    self.look_ahead(entry, &chunk);
                    done = end;
                }
            }
        }
        Ok(wanted)
    }

    /// The cached copy of an object, if there is one.
    pub(crate) fn copy_of(
        &self,
        name: ObjectName,
        entry: &EntryView<'_>,
    ) -> Result<Option<CachedObject>, StoreError> {
        self.cache.peek(&request_of(name, entry, entry.size()))
    }

    /// Fills the whole buffer. A copy that turns out to be damaged is fetched again, once.
    fn read_object(
        &self,
        request: &ObjectRequest,
        offset: u64,
        buffer: &mut [u8],
        patience: Patience,
    ) -> Result<(), Failure> {
        match self.object(request, patience)?.read_at(offset, buffer) {
            Err(StoreError::DamagedCopy { path }) => {
                tracing::warn!(%path, "a damaged copy is fetched again");
                self.open.forget(&request.name.hash);
                self.object(request, patience)?.read_at(offset, buffer)?;
                Ok(())
            }
            result => Ok(result.map(|_| ())?),
        }
    }

    fn object(&self, request: &ObjectRequest, patience: Patience) -> Result<CachedObject, Failure> {
        let hash = request.name.hash;
        if let Some(object) = self.open.get(&hash) {
            return Ok(object);
        }
        let object = match patience {
            Patience::None => self.cache.peek(request)?.ok_or(Failure::WouldBlock)?,
            Patience::Until(deadline) => self.cache.get(request, self.source.as_ref(), deadline)?,
        };
        if object.len() > WORTH_KEEPING {
            self.open.put(hash, &object);
        }
        Ok(object)
    }

    /// Fetches the chunk behind this one if the reader came here from the one before.
    fn look_ahead(&self, entry: &EntryView<'_>, chunk: &Chunk) {
        let Some(ContentView::Chunks(chunks)) = entry.content() else { return };
        let Some(next) = chunks.at(chunk.offset + chunk.size) else { return };
        let Some(before) = chunk.offset.checked_sub(1).and_then(|offset| chunks.at(offset)) else { return };
        if self.open.holds(&next.hash) || !self.open.holds(&before.hash) {
            return;
        }
        let request = chunk_request(&next, entry);
        if !matches!(self.cache.peek(&request), Ok(None)) {
            return;
        }
        let ahead = Arc::clone(&self.open.ahead);
        if ahead.fetch_add(1, Ordering::Relaxed) >= MOST_AHEAD {
            ahead.fetch_sub(1, Ordering::Relaxed);
            return;
        }
        let (cache, source) = (Arc::clone(&self.cache), Arc::clone(&self.source));
        self.open.pool.run(move || {
            // A failure shows when the reader gets there.
            let _ = cache.get(&request, source.as_ref(), Deadline::after(AHEAD_PATIENCE));
            ahead.fetch_sub(1, Ordering::Relaxed);
        });
    }
}

fn request_of(name: ObjectName, entry: &EntryView<'_>, size: u64) -> ObjectRequest {
    ObjectRequest { name, compression: entry.compression(), size: PlainSize::Exact(size) }
}

fn chunk_request(chunk: &Chunk, entry: &EntryView<'_>) -> ObjectRequest {
    request_of(ObjectName::new(chunk.hash, ObjectKind::Chunk), entry, chunk.size)
}
