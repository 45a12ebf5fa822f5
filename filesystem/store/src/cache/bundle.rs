//! Bundles: the contents of several objects in one file of the cache, one behind the other, fetched as one batch. Which
//! objects belong together, and where in the bundle each one ends, its user knows.

use std::sync::Arc;

use varve_content::{ContentHash, decompress};

use super::counters::count;
use super::name::CacheName;
use super::{Cache, CachedObject, Inner, MappedObject, ObjectRequest};
use crate::{Deadline, ObjectSource, StoreError};

/// What the names of bundles end with.
const KIND: &str = "bundle";

/// A cache of less than so many times a bundle's size keeps none: they would push each other out.
const SMALLEST_QUOTA: u64 = 256;

impl Cache {
    /// Whether bundles of up to `size` bytes are of use in a cache like this.
    pub fn has_room_for_bundles(&self, size: u64) -> bool {
        !self.is_read_only() && self.inner.quota.is_none_or(|quota| quota / SMALLEST_QUOTA >= size)
    }

    /// A bundle that is here, without asking anyone.
    ///
    /// # Errors
    /// [`StoreError::Io`] if the cache can't be read.
    pub fn peek_bundle(&self, key: &ContentHash, size: u64) -> Result<Option<MappedObject>, StoreError> {
        match self.inner.find(&CacheName::derived(key, KIND))? {
            Some(bundle) => mapped(&bundle, size),
            None => Ok(None),
        }
    }

    /// The contents of all these objects, from here or, once, from `source`. `key` stands for exactly these, in this order.
    ///
    /// # Errors
    /// What the source fails with for any of the objects: nothing is kept then.
    pub fn bundle(
        &self,
        key: &ContentHash,
        requests: &[ObjectRequest],
        source: &dyn ObjectSource,
        deadline: Deadline,
    ) -> Result<MappedObject, StoreError> {
        let name = CacheName::derived(key, KIND);
        let size = requests.iter().map(|request| request.size.limit()).sum();
        let timed_out = || StoreError::TimedOut { name: "a batch of objects".into(), place: source.place() };
        for _ in 0..2 {
            let bundle =
                self.flights.run(&name, deadline, &timed_out, || match self.inner.find(&name)? {
                    Some(bundle) => Ok(bundle),
                    None => self.inner.fetch_bundle(&name, requests, source, deadline),
                })?;
            // Damaged between its writing and here: once more.
            if let Some(mapped) = mapped(&bundle, size)? {
                return Ok(mapped);
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
        let mut bundle = Vec::new();
        for (stored, request) in source.fetch_batch(&wanted, deadline).into_iter().zip(requests) {
            let limit = request.size.limit() as usize;
            let content = decompress(&stored?, request.compression, limit)
                .map_err(|source| StoreError::Content { name: request.name.to_string(), source })?;
            request.check_size(content.len() as u64)?;
            bundle.extend_from_slice(&content);
        }
        count(&self.counts.bytes_fetched, bundle.len() as u64);
        Ok(self.keep(name, bundle))
    }
}

/// The bundle's content, checked; `None` if it was damaged, and dropped.
fn mapped(bundle: &CachedObject, size: u64) -> Result<Option<MappedObject>, StoreError> {
    match bundle.map() {
        Ok(mapped) if mapped.len() as u64 == size => Ok(Some(mapped)),
        Ok(_) | Err(StoreError::DamagedCopy { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}
