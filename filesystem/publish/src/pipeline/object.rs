//! One object: compressed, hashed, put into the store unless it is there.

use varve_content::{
    Algorithm, Compression, CompressionError, Compressor, ContentHash, Effort, ObjectKind, ObjectName,
};
use varve_store::{ObjectStore, Repeated, StoreError};

/// How many objects were made, and how many of them were new.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ObjectTally {
    /// Objects that the store did not have.
    pub new: u64,
    /// Their stored bytes.
    pub new_bytes: u64,
    /// Objects that the store had already.
    pub reused: u64,
}

impl ObjectTally {
    pub(crate) fn add(&mut self, other: Self) {
        self.new += other.new;
        self.new_bytes += other.new_bytes;
        self.reused += other.reused;
    }

    /// So many of the new ones turned out to have been there.
    pub(crate) fn found(&mut self, repeated: Repeated) {
        let objects = repeated.objects.min(self.new);
        self.new -= objects;
        self.new_bytes = self.new_bytes.saturating_sub(repeated.bytes);
        self.reused += objects;
    }
}

/// Makes object after object in one thread, keeping its working memory.
pub(crate) struct ObjectWriter<'a> {
    store: &'a dyn ObjectStore,
    algorithm: Algorithm,
    compressor: Compressor,
    stored: Vec<u8>,
    /// The last chunk of zeros by its length: holes come in rows of equal ones.
    zeros: Option<(usize, ContentHash)>,
    pub(crate) tally: ObjectTally,
}

/// Why an object could not be made.
#[derive(Debug, thiserror::Error)]
pub enum ObjectError {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The encoder failed.
    #[error(transparent)]
    Compression(#[from] CompressionError),
}

impl<'a> ObjectWriter<'a> {
    pub(crate) fn new(
        store: &'a dyn ObjectStore,
        algorithm: Algorithm,
        compression: Compression,
        effort: Effort,
    ) -> Self {
        let compressor = Compressor::new(compression, effort);
        Self { store, algorithm, compressor, stored: Vec::new(), zeros: None, tally: ObjectTally::default() }
    }

    /// What `plain` would be stored as, without storing it.
    pub(crate) fn hash(&mut self, plain: &[u8]) -> Result<ContentHash, CompressionError> {
        self.compressor.compress(plain, &mut self.stored)?;
        Ok(self.algorithm.hash(&self.stored))
    }

    /// Stores `plain` as an object of `kind`.
    pub(crate) fn write(&mut self, kind: ObjectKind, plain: &[u8]) -> Result<ContentHash, ObjectError> {
        let hash = self.hash(plain)?;
        let name = ObjectName::new(hash, kind);
        if self.store.put_absent(&name, &self.stored)? {
            self.tally.new += 1;
            self.tally.new_bytes += self.stored.len() as u64;
        } else {
            self.tally.reused += 1;
        }
        Ok(hash)
    }

    /// Stores a chunk of `length` zeros, compressing it only if the last one had another length.
    pub(crate) fn write_zeros(&mut self, length: usize) -> Result<ContentHash, ObjectError> {
        if let Some((known, hash)) = self.zeros
            && known == length
        {
            self.tally.reused += 1;
            return Ok(hash);
        }
        let hash = self.write(ObjectKind::Chunk, &vec![0; length])?;
        self.zeros = Some((length, hash));
        Ok(hash)
    }
}
