//! Reads files: finds the object or chunk behind an offset, keeps large ones open, fetches ahead of readers.

mod ahead;
mod bundled;
mod open;

use std::num::NonZeroUsize;
use std::sync::Arc;

use lru::LruCache;
use parking_lot::Mutex;
use varve_content::{ContentHash, ObjectKind, ObjectName};
use varve_repository::{Catalog, Chunk, ChunksView, ContentView, EntryView};
use varve_store::{
    Cache, CachedObject, ExternalFile, HttpSource, ObjectRequest, ObjectSource, PlainSize, StoreError,
};

use self::ahead::MOST_AHEAD;
use self::bundled::Bundled;
use crate::failure::{Failure, Patience};

pub(crate) use self::ahead::Ahead;
pub(crate) use self::open::OpenObjects;

/// Smaller objects are read in one request and then kept by the kernel: holding them open is of no use.
const WORTH_KEEPING: u64 = 128 << 10;

/// Of how many chunked files it is known how often their chunks were missed.
const MOST_KNOWN: NonZeroUsize = NonZeroUsize::new(256).expect("because it is not 0");

/// The files of one repository.
pub(crate) struct Contents {
    cache: Arc<Cache>,
    source: Arc<dyn ObjectSource>,
    /// Where the content of external files is.
    external: Option<Arc<HttpSource>>,
    open: Arc<OpenObjects>,
    ahead: Arc<Ahead>,
    bundled: Arc<Bundled>,
    /// How often a chunk had to be fetched, by the first chunk of the file.
    missed_chunks: Mutex<LruCache<ContentHash, u32>>,
}

/// Where an object was found.
#[derive(PartialEq, Eq)]
enum Found {
    Here,
    AtTheSource,
}

impl Contents {
    pub(crate) fn new(
        cache: Arc<Cache>,
        source: Arc<dyn ObjectSource>,
        external: Option<Arc<HttpSource>>,
        open: Arc<OpenObjects>,
        ahead: Arc<Ahead>,
    ) -> Self {
        let bundled = Arc::new(Bundled::new(Arc::clone(&cache), Arc::clone(&source)));
        Self {
            cache,
            source,
            external,
            open,
            ahead,
            bundled,
            missed_chunks: Mutex::new(LruCache::new(MOST_KNOWN)),
        }
    }

    pub(crate) fn cache(&self) -> &Cache {
        &self.cache
    }

    /// Fills the buffer from `offset` on as far as the file goes, and says how far.
    pub(crate) fn read(
        &self,
        catalog: &Arc<Catalog>,
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
        if entry.is_external() && self.external.is_none() {
            return Err(Failure::External);
        }
        match entry.content().ok_or(Failure::OtherKind)? {
            ContentView::Whole(hash) => {
                let request = request_of(ObjectName::new(hash, ObjectKind::File), entry, entry.size());
                if !self.read_bundled(catalog, entry, &request, offset, buffer, patience)? {
                    let source = || self.source_of(catalog, entry, None);
                    self.read_object(&request, &source, offset, buffer, patience)?;
                }
            }
            ContentView::Chunks(chunks) => {
                let mut done = 0;
                while done < wanted {
                    let at = offset + done as u64;
                    let chunk = chunks.at(at).ok_or(Failure::OtherKind)?;
                    let end = (chunk.offset + chunk.size - offset).min(wanted as u64) as usize;
                    let part = &mut buffer[done..end];
                    let (request, offset) = (chunk_request(&chunk, entry), at - chunk.offset);
                    let source = || self.source_of(catalog, entry, Some(&chunk));
                    let found = self.read_object(&request, &source, offset, part, patience)?;
                    self.look_ahead(catalog, entry, chunks, &chunk, &found);
                    done = end;
                }
            }
        }
        Ok(wanted)
    }

    /// Where a file, or a chunk of it, is fetched from.
    fn source_of(
        &self,
        catalog: &Catalog,
        entry: &EntryView<'_>,
        chunk: Option<&Chunk>,
    ) -> Arc<dyn ObjectSource> {
        let Some(servers) = self.external.as_ref().filter(|_| entry.is_external()) else {
            return Arc::clone(&self.source);
        };
        let (servers, path) = (Arc::clone(servers), catalog.index().path(entry.row()));
        Arc::new(match chunk {
            None => ExternalFile::whole(servers, path.as_bytes()),
            Some(chunk) => ExternalFile::part(servers, path.as_bytes(), chunk.offset, chunk.size),
        })
    }

    /// The cached copy of a file that is one object, if there is one.
    pub(crate) fn copy_of(
        &self,
        catalog: &Arc<Catalog>,
        entry: &EntryView<'_>,
        hash: ContentHash,
    ) -> Result<Option<Vec<u8>>, StoreError> {
        if let Some(file) = self.bundled.find(catalog, entry) {
            let mut copy = vec![0; entry.size() as usize];
            if self.bundled.read_here(catalog, &file, 0, &mut copy, None) {
                return Ok(Some(copy));
            }
        }
        let request = request_of(ObjectName::new(hash, ObjectKind::File), entry, entry.size());
        self.cache.peek(&request)?.map(CachedObject::into_bytes).transpose()
    }

    /// The rows of the bundle that a file is in, if that is open.
    pub(crate) fn rows_beside(&self, catalog: &Catalog, entry: &EntryView<'_>) -> Vec<u32> {
        self.bundled.find(catalog, entry).map(|file| self.bundled.rows_beside(&file)).unwrap_or_default()
    }

    /// Fills the whole buffer from a bundle, if the file is in one that is here or ought to be fetched.
    fn read_bundled(
        &self,
        catalog: &Arc<Catalog>,
        entry: &EntryView<'_>,
        request: &ObjectRequest,
        offset: u64,
        buffer: &mut [u8],
        patience: Patience,
    ) -> Result<bool, Failure> {
        let Some(file) = self.bundled.find(catalog, entry) else { return Ok(false) };
        if self.bundled.read_here(catalog, &file, offset, buffer, Some(&self.ahead)) {
            return Ok(true);
        }
        let Patience::Until(deadline) = patience else { return Ok(false) };
        if self.cache.peek(request)?.is_some() || !self.bundled.missed(catalog, &file, deadline) {
            return Ok(false);
        }
        Ok(self.bundled.read_here(catalog, &file, offset, buffer, Some(&self.ahead)))
    }

    /// Fills the whole buffer. A copy that turns out to be damaged is fetched again, once.
    fn read_object(
        &self,
        request: &ObjectRequest,
        source: &dyn Fn() -> Arc<dyn ObjectSource>,
        offset: u64,
        buffer: &mut [u8],
        patience: Patience,
    ) -> Result<Found, Failure> {
        let (object, found) = self.object(request, source, patience)?;
        match object.read_at(offset, buffer) {
            Err(StoreError::DamagedCopy { path }) => {
                tracing::warn!(%path, "a damaged copy is fetched again");
                self.open.forget(request);
                self.object(request, source, patience)?.0.read_at(offset, buffer)?;
                Ok(Found::AtTheSource)
            }
            result => Ok(result.map(|_| found)?),
        }
    }

    fn object(
        &self,
        request: &ObjectRequest,
        source: &dyn Fn() -> Arc<dyn ObjectSource>,
        patience: Patience,
    ) -> Result<(CachedObject, Found), Failure> {
        if let Some(object) = self.open.get(request) {
            return Ok((object, Found::Here));
        }
        let (object, found) = match patience {
            Patience::None => (self.cache.peek(request)?.ok_or(Failure::WouldBlock)?, Found::Here),
            // Whoever may wait is here because a look into the cache was in vain.
            Patience::Until(deadline) => {
                (self.cache.get(request, source().as_ref(), deadline)?, Found::AtTheSource)
            }
        };
        if object.len() > WORTH_KEEPING {
            self.open.put(request, &object);
        }
        Ok((object, found))
    }

    /// Fetches chunks behind this one: the next if the reader came here from the one before, and, the more often chunks of
    /// this file were missing, the more of the others, whatever the order they are read in.
    fn look_ahead(
        &self,
        catalog: &Catalog,
        entry: &EntryView<'_>,
        chunks: ChunksView<'_>,
        chunk: &Chunk,
        found: &Found,
    ) {
        let window = match found {
            Found::AtTheSource => {
                let Some(first) = chunks.at(0) else { return };
                let mut missed = self.missed_chunks.lock();
                let misses = missed.get_or_insert_mut(first.hash, || 0);
                *misses += 1;
                // 0, 2, 4, 8, …
                if *misses < 2 { 0 } else { MOST_AHEAD.min(1 << (*misses - 1).min(8)) }
            }
            Found::Here => usize::from(self.came_from_before(entry, chunks, chunk)),
        };
        if window == 0 {
            return;
        }
        let behind = chunks.iter().filter(|other| other.offset > chunk.offset);
        let before = chunks.iter().filter(|other| other.offset < chunk.offset);
        let others: Box<dyn Iterator<Item = Chunk>> = match found {
            Found::AtTheSource => Box::new(behind.chain(before)),
            Found::Here => Box::new(behind.take(1)),
        };
        let missing = others.filter(|other| {
            let request = chunk_request(other, entry);
            !self.open.holds(&request) && matches!(self.cache.peek(&request), Ok(None))
        });
        for other in missing.take(window) {
            let (cache, source) = (Arc::clone(&self.cache), self.source_of(catalog, entry, Some(&other)));
            let request = chunk_request(&other, entry);
            self.ahead.run(move |deadline| {
                let _ = cache.get(&request, source.as_ref(), deadline);
            });
        }
    }

    fn came_from_before(&self, entry: &EntryView<'_>, chunks: ChunksView<'_>, chunk: &Chunk) -> bool {
        let holds = |chunk: &Chunk| self.open.holds(&chunk_request(chunk, entry));
        let before = chunk.offset.checked_sub(1).and_then(|offset| chunks.at(offset));
        let next = chunks.at(chunk.offset + chunk.size);
        before.is_some_and(|before| holds(&before)) && next.is_some_and(|next| !holds(&next))
    }
}

fn request_of(name: ObjectName, entry: &EntryView<'_>, size: u64) -> ObjectRequest {
    ObjectRequest { name, compression: entry.compression(), size: PlainSize::Exact(size) }
}

fn chunk_request(chunk: &Chunk, entry: &EntryView<'_>) -> ObjectRequest {
    request_of(ObjectName::new(chunk.hash, ObjectKind::Chunk), entry, chunk.size)
}
