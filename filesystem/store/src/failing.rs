//! A store whose disk is gone after so many changes: for tests that stop an operation at each of its steps.

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};

use varve_content::ObjectName;

use crate::{Deadline, Freshness, ObjectSink, ObjectSource, ObjectStore, RepositoryFile, StoreError};

/// For tests: passes everything on to another store until so many changes were made; reading goes on after that.
#[derive(Debug)]
pub struct FailingStore<S> {
    inner: S,
    left: AtomicU64,
}

impl<S: ObjectStore> FailingStore<S> {
    /// On `inner`, so many changes succeed; a sync is one too.
    pub fn after(inner: S, changes: u64) -> Self {
        Self { inner, left: AtomicU64::new(changes) }
    }

    fn step(&self) -> Result<(), StoreError> {
        let left = self.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1));
        left.map(drop).map_err(|_| StoreError::Io {
            action: "change",
            path: self.inner.place(),
            source: io::Error::other("the disk is gone"),
        })
    }
}

impl<S: ObjectStore> ObjectSource for FailingStore<S> {
    fn fetch(
        &self,
        name: &ObjectName,
        limit: u64,
        sink: &mut dyn ObjectSink,
        deadline: Deadline,
    ) -> Result<(), StoreError> {
        self.inner.fetch(name, limit, sink, deadline)
    }

    fn fetch_file(
        &self,
        file: RepositoryFile,
        freshness: Freshness,
        deadline: Deadline,
    ) -> Result<Vec<u8>, StoreError> {
        self.inner.fetch_file(file, freshness, deadline)
    }

    fn place(&self) -> String {
        self.inner.place()
    }
}

impl<S: ObjectStore> ObjectStore for FailingStore<S> {
    fn put(&self, name: &ObjectName, stored: &[u8]) -> Result<(), StoreError> {
        self.step()?;
        self.inner.put(name, stored)
    }

    fn contains(&self, name: &ObjectName) -> Result<bool, StoreError> {
        self.inner.contains(name)
    }

    fn stored_size(&self, name: &ObjectName) -> Result<Option<u64>, StoreError> {
        self.inner.stored_size(name)
    }

    fn remove(&self, name: &ObjectName) -> Result<(), StoreError> {
        self.step()?;
        self.inner.remove(name)
    }

    fn list(
        &self,
        visit: &mut dyn FnMut(ObjectName, u64) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        self.inner.list(visit)
    }

    fn put_file(&self, file: RepositoryFile, bytes: &[u8]) -> Result<(), StoreError> {
        self.step()?;
        self.inner.put_file(file, bytes)
    }

    fn sync(&self) -> Result<(), StoreError> {
        self.step()?;
        self.inner.sync()
    }
}
