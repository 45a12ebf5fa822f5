//! The reflog `.cvmfsreflog`: every root catalog, history, certificate and description that was published and not
//! removed since.
//!
//! What no manifest names any more is found through it. A value in memory; its form as a database is in
//! [`crate::db::reflog`].

use std::collections::HashMap;

use varve_content::{Algorithm, ContentHash, ObjectName};

use crate::RepositoryName;
use crate::db::{self, DatabaseError};

/// A published object, and when it was logged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LoggedObject {
    /// A root catalog, history, certificate or description.
    pub name: ObjectName,
    /// In seconds since 1970. Garbage collection takes it for the object's age.
    pub logged: u64,
}

/// All logged objects of a repository.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reflog {
    repository: RepositoryName,
    objects: Vec<LoggedObject>,
    rows: HashMap<ContentHash, usize>,
}

impl Reflog {
    /// A log without objects.
    pub fn new(repository: RepositoryName) -> Self {
        Self { repository, objects: Vec::new(), rows: HashMap::new() }
    }

    /// Reads the bytes of `.cvmfsreflog`. The manifest names their hash, see [`Self::hash`].
    ///
    /// # Errors
    /// [`DatabaseError`] if they are no such database.
    pub fn read(bytes: &[u8]) -> Result<Self, DatabaseError> {
        db::reflog::read(bytes)
    }

    /// The bytes of `.cvmfsreflog`: the same for the same objects in the same order.
    ///
    /// # Errors
    /// [`DatabaseError::Sqlite`] if memory does not suffice.
    pub fn to_bytes(&self) -> Result<Vec<u8>, DatabaseError> {
        db::reflog::write(self)
    }

    /// The hash that the manifest names: over the file as it is, not compressed.
    pub fn hash(bytes: &[u8], algorithm: Algorithm) -> ContentHash {
        algorithm.hash(bytes)
    }

    /// The repository that it says it belongs to.
    pub fn repository(&self) -> &RepositoryName {
        &self.repository
    }

    /// All objects, in the order in which they were logged.
    pub fn objects(&self) -> &[LoggedObject] {
        &self.objects
    }

    /// Whether this object is logged.
    pub fn contains(&self, name: &ObjectName) -> bool {
        self.rows.get(&name.hash).is_some_and(|row| self.objects[*row].name == *name)
    }

    /// Logs an object, unless its hash is logged already or its kind is none that is logged. Tells whether it did.
    pub fn insert(&mut self, object: LoggedObject) -> bool {
        let new = db::reflog::is_logged(object.name.kind) && !self.rows.contains_key(&object.name.hash);
        if new {
            self.rows.insert(object.name.hash, self.objects.len());
            self.objects.push(object);
        }
        new
    }

    /// Keeps only the objects that `keep` wants.
    pub fn retain(&mut self, keep: impl FnMut(&LoggedObject) -> bool) {
        self.objects.retain(keep);
        self.rows = self.objects.iter().enumerate().map(|(row, object)| (object.name.hash, row)).collect();
    }
}
