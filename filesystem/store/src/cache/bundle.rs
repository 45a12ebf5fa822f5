//! Bundles: several small objects in one file of the cache, fetched as one batch and kept in the form of its answer, as
//! they are stored. Each is decompressed when it is read. Which objects belong together its user knows.

use std::ops::Range;
use std::sync::Arc;

use varve_content::{ContentHash, decompress};

use super::counters::count;
use super::name::CacheName;
use super::{Cache, CachedObject, Inner, MappedObject, ObjectRequest};
use crate::{Batch, Deadline, ObjectSource, StoreError};

/// What the names of bundles end with.
const KIND: &str = "bundle";

/// A cache of less than so many times a bundle's size keeps none: they would push each other out.
const SMALLEST_QUOTA: u64 = 256;

/// A bundle, checked against its checksums when it was opened.
pub struct CachedBundle {
    answer: MappedObject,
    /// Where each object's stored bytes are.
    objects: Vec<Range<usize>>,
}

impl CachedBundle {
    fn new(answer: MappedObject, count: usize) -> Option<Self> {
        let start = answer.as_ptr().addr();
        let objects = Batch::parse_answer(&answer, count)?
            .into_iter()
            .map(|stored| {
                let stored = stored?;
                let from = stored.as_ptr().addr() - start;
                Some(from..from + stored.len())
            })
            .collect::<Option<_>>()?;
        Some(Self { answer, objects })
    }

    /// The content of the object at a position, which `request` asked for.
    ///
    /// # Errors
    /// [`StoreError::Content`] if it doesn't decompress to its recorded size.
    pub fn content(&self, position: usize, request: &ObjectRequest) -> Result<Vec<u8>, StoreError> {
        let stored = self.objects.get(position).and_then(|range| self.answer.get(range.clone()));
        let content =
            decompress(stored.unwrap_or_default(), request.compression, request.size.limit() as usize)
                .map_err(|source| StoreError::Content { name: request.name.to_string(), source })?;
        request.check_size(content.len() as u64)?;
        Ok(content)
    }
}

impl Cache {
    /// Whether bundles of up to `size` bytes are of use in a cache like this.
    pub fn has_room_for_bundles(&self, size: u64) -> bool {
        !self.is_read_only() && self.inner.quota.is_none_or(|quota| quota / SMALLEST_QUOTA >= size)
    }

    /// A bundle of `count` objects that is here, without asking anyone.
    ///
    /// # Errors
    /// [`StoreError::Io`] if the cache can't be read.
    pub fn peek_bundle(&self, key: &ContentHash, count: usize) -> Result<Option<CachedBundle>, StoreError> {
        match self.inner.find(&CacheName::derived(key, KIND))? {
            Some(bundle) => opened(&bundle, count),
            None => Ok(None),
        }
    }

    /// All these objects, from here or, once, from `source`. `key` stands for exactly these, in this order.
    ///
    /// # Errors
    /// What the source fails with for any of the objects: nothing is kept then.
    pub fn bundle(
        &self,
        key: &ContentHash,
        requests: &[ObjectRequest],
        source: &dyn ObjectSource,
        deadline: Deadline,
    ) -> Result<CachedBundle, StoreError> {
        let name = CacheName::derived(key, KIND);
        let timed_out = || StoreError::TimedOut { name: "a batch of objects".into(), place: source.place() };
        for _ in 0..2 {
            let bundle =
                self.flights.run(&name, deadline, &timed_out, || match self.inner.find(&name)? {
                    Some(bundle) => Ok(bundle),
                    None => self.inner.fetch_bundle(&name, requests, source, deadline),
                })?;
            // Damaged between its writing and here: once more.
            if let Some(opened) = opened(&bundle, requests.len())? {
                return Ok(opened);
            }
        }
        Err(StoreError::DamagedCopy { path: name.path().to_owned() })
    }
}

impl Inner {
    fn fetch_bundle(
        self: &Arc<Self>,
        name: &CacheName,
        requests: &[ObjectRequest],
        source: &dyn ObjectSource,
        deadline: Deadline,
    ) -> Result<CachedObject, StoreError> {
        let wanted: Vec<_> = requests
            .iter()
            .map(|request| (request.name, request.compression.stored_bound(request.size.limit())))
            .collect();
        count(&self.counts.misses, requests.len() as u64);
        let mut answer = Vec::new();
        for stored in source.fetch_batch(&wanted, deadline) {
            Batch::write_frame(&mut answer, Some(&stored?));
        }
        let size = requests.iter().map(|request| request.size.limit()).sum();
        count(&self.counts.bytes_fetched, size);
        Ok(self.keep(name, answer))
    }
}

/// The bundle, checked; `None` if it was damaged, and dropped.
fn opened(bundle: &CachedObject, count: usize) -> Result<Option<CachedBundle>, StoreError> {
    match bundle.map() {
        Ok(answer) => Ok(CachedBundle::new(answer, count)),
        Err(StoreError::DamagedCopy { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}
