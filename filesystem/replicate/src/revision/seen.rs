//! A store that keeps no bytes: what was put is there from then on, as far as looking goes.

use std::collections::HashSet;

use parking_lot::RwLock;
use varve_content::ObjectName;
use varve_store::{Deadline, Freshness, ObjectSink, ObjectSource, ObjectStore, RepositoryFile, StoreError};

/// Remembers the names of objects.
#[derive(Default)]
pub(super) struct Seen(RwLock<HashSet<ObjectName>>);

impl Seen {
    fn absent<T>(name: String) -> Result<T, StoreError> {
        Err(StoreError::NotFound { name, place: "nowhere".to_owned() })
    }
}

impl ObjectSource for Seen {
    fn fetch(
        &self,
        name: &ObjectName,
        _: u64,
        _: &mut dyn ObjectSink,
        _: Deadline,
    ) -> Result<(), StoreError> {
        Self::absent(name.to_string())
    }

    fn fetch_file(&self, file: RepositoryFile, _: Freshness, _: Deadline) -> Result<Vec<u8>, StoreError> {
        Self::absent(file.to_string())
    }

    fn place(&self) -> String {
        "nowhere".to_owned()
    }
}

impl ObjectStore for Seen {
    fn put(&self, name: &ObjectName, _: &[u8]) -> Result<(), StoreError> {
        self.0.write().insert(*name);
        Ok(())
    }

    fn contains(&self, name: &ObjectName) -> Result<bool, StoreError> {
        Ok(self.0.read().contains(name))
    }

    fn stored_size(&self, name: &ObjectName) -> Result<Option<u64>, StoreError> {
        Ok(self.0.read().contains(name).then_some(0))
    }

    fn remove(&self, name: &ObjectName) -> Result<(), StoreError> {
        self.0.write().remove(name);
        Ok(())
    }

    fn list(
        &self,
        visit: &mut dyn FnMut(ObjectName, u64) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        self.0.read().iter().try_for_each(|name| visit(*name, 0))
    }

    fn put_file(&self, _: RepositoryFile, _: &[u8]) -> Result<(), StoreError> {
        Ok(())
    }

    fn sync(&self) -> Result<(), StoreError> {
        Ok(())
    }
}
