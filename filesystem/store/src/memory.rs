//! A store in memory, for tests of whatever stands on a store. Nothing of it survives the process.

use std::collections::HashMap;

use parking_lot::RwLock;
use varve_content::ObjectName;

use crate::{Deadline, Freshness, ObjectSink, ObjectSource, ObjectStore, RepositoryFile, StoreError};

/// Objects and files in memory.
#[derive(Default)]
pub struct MemoryStore {
    objects: RwLock<HashMap<ObjectName, Vec<u8>>>,
    files: RwLock<HashMap<RepositoryFile, Vec<u8>>>,
}

impl MemoryStore {
    /// An empty store.
    pub fn new() -> Self {
        Self::default()
    }

    /// Puts bytes under a name that they don't have, to test who notices.
    pub fn corrupt(&self, name: &ObjectName, stored: &[u8]) {
        self.objects.write().insert(*name, stored.to_vec());
    }
}

impl ObjectSource for MemoryStore {
    fn fetch(
        &self,
        name: &ObjectName,
        limit: u64,
        sink: &mut dyn ObjectSink,
        _deadline: Deadline,
    ) -> Result<(), StoreError> {
        let objects = self.objects.read();
        let stored = objects
            .get(name)
            .ok_or_else(|| StoreError::NotFound { name: name.to_string(), place: self.place() })?;
        if stored.len() as u64 > limit {
            return Err(StoreError::TooLarge { name: name.to_string(), place: self.place(), limit });
        }
        let actual = name.hash.algorithm().hash(stored);
        if actual != name.hash {
            let (name, place, actual) = (name.to_string(), self.place(), actual.to_string());
            return Err(StoreError::WrongHash { name, place, actual });
        }
        sink.write(stored).map_err(|source| StoreError::Io {
            action: "pass on",
            path: name.to_string(),
            source,
        })
    }

    fn fetch_file(
        &self,
        file: RepositoryFile,
        _freshness: Freshness,
        _deadline: Deadline,
    ) -> Result<Vec<u8>, StoreError> {
        let files = self.files.read();
        let bytes = files
            .get(&file)
            .ok_or_else(|| StoreError::NotFound { name: file.to_string(), place: self.place() })?;
        if bytes.len() as u64 > file.limit() {
            let (name, place) = (file.to_string(), self.place());
            return Err(StoreError::TooLarge { name, place, limit: file.limit() });
        }
        Ok(bytes.clone())
    }

    fn place(&self) -> String {
        "memory".to_owned()
    }
}

impl ObjectStore for MemoryStore {
    fn put(&self, name: &ObjectName, stored: &[u8]) -> Result<(), StoreError> {
        self.objects.write().entry(*name).or_insert_with(|| stored.to_vec());
        Ok(())
    }

    fn contains(&self, name: &ObjectName) -> Result<bool, StoreError> {
        Ok(self.objects.read().contains_key(name))
    }

    fn stored_size(&self, name: &ObjectName) -> Result<Option<u64>, StoreError> {
        Ok(self.objects.read().get(name).map(|stored| stored.len() as u64))
    }

    fn remove(&self, name: &ObjectName) -> Result<(), StoreError> {
        self.objects.write().remove(name);
        Ok(())
    }

    fn list(
        &self,
        visit: &mut dyn FnMut(ObjectName, u64) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        let all: Vec<(ObjectName, u64)> =
            self.objects.read().iter().map(|(name, stored)| (*name, stored.len() as u64)).collect();
        all.into_iter().try_for_each(|(name, size)| visit(name, size))
    }

    fn put_file(&self, file: RepositoryFile, bytes: &[u8]) -> Result<(), StoreError> {
        self.files.write().insert(file, bytes.to_vec());
        Ok(())
    }

    fn sync(&self) -> Result<(), StoreError> {
        Ok(())
    }
}
