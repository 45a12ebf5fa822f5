//! An object of the cache in a reader's hands: content in memory, or an open file whose blocks are checked as they are read.

use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::sync::Arc;

use super::Inner;
use super::counters::count;
use super::format::{BLOCK, Seal};
use super::mapping::MappedObject;
use super::name::CacheName;
use crate::StoreError;

/// The content of one object. Cheap to clone; stays readable while it lives, whatever happens to the cache.
///
/// Objects of up to 64 KiB are always in memory and hold no file. Larger ones hold an open file and, right after they
/// were fetched, their content too, until [`Self::release_memory`].
#[derive(Clone)]
pub struct CachedObject {
    size: u64,
    memory: Option<Arc<Vec<u8>>>,
    file: Option<Arc<SealedFile>>,
}

/// An open file of the cache and its checksums.
pub(super) struct SealedFile {
    pub(super) file: File,
    pub(super) seal: Seal,
    pub(super) name: CacheName,
    pub(super) cache: Arc<Inner>,
}

impl CachedObject {
    pub(super) fn in_memory(content: Vec<u8>) -> Self {
        Self { size: content.len() as u64, memory: Some(Arc::new(content)), file: None }
    }

    pub(super) fn in_file(file: SealedFile) -> Self {
        Self { size: file.seal.size(), memory: None, file: Some(Arc::new(file)) }
    }

    pub(super) fn in_both(content: Vec<u8>, file: SealedFile) -> Self {
        Self { memory: Some(Arc::new(content)), ..Self::in_file(file) }
    }

    /// The size of the content in bytes.
    pub fn len(&self) -> u64 {
        self.size
    }

    /// Whether there is no content.
    pub fn is_empty(&self) -> bool {
        self.size == 0
    }

    /// The whole content, if it is in memory.
    pub fn bytes(&self) -> Option<&[u8]> {
        self.memory.as_ref().map(|memory| memory.as_slice())
    }

    /// How many bytes of memory this holds.
    pub fn memory_use(&self) -> usize {
        self.memory.as_ref().map_or(0, |memory| memory.len())
    }

    /// Keeps only the file of a larger object, for holding it open at no cost of memory.
    pub fn release_memory(&mut self) {
        if self.file.is_some() {
            self.memory = None;
        }
    }

    /// Fills `buffer` from `offset` on, as far as there is content, and says how far.
    ///
    /// # Errors
    /// [`StoreError::DamagedCopy`] if the file's checksums disagree: the file is gone then, get the object again.
    pub fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<usize, StoreError> {
        let length = (buffer.len() as u64).min(self.size.saturating_sub(offset)) as usize;
        let Some(buffer) = buffer.get_mut(..length).filter(|buffer| !buffer.is_empty()) else { return Ok(0) };
        match (&self.memory, &self.file) {
            (Some(memory), _) => buffer.copy_from_slice(&memory[offset as usize..offset as usize + length]),
            (None, Some(file)) => file.read_at(offset, buffer)?,
            (None, None) => {}
        }
        Ok(length)
    }

    /// The whole content in memory.
    ///
    /// # Errors
    /// As [`Self::read_at`].
    pub fn into_bytes(self) -> Result<Vec<u8>, StoreError> {
        if let Some(memory) = self.memory {
            return Ok(Arc::try_unwrap(memory).unwrap_or_else(|memory| memory.as_ref().clone()));
        }
        let mut content = vec![0; self.size as usize];
        self.read_at(0, &mut content)?;
        Ok(content)
    }

    /// The whole content, checked once and mapped.
    ///
    /// # Errors
    /// [`StoreError::DamagedCopy`] as in [`Self::read_at`], [`StoreError::Io`] if the kernel refuses the map.
    pub fn map(&self) -> Result<MappedObject, StoreError> {
        match (&self.file, &self.memory) {
            (Some(file), _) => file.map(),
            (None, Some(memory)) => MappedObject::of_memory(memory),
            (None, None) => MappedObject::of_memory(&[]),
        }
        .map_err(|source| StoreError::Io {
            action: "map",
            path: self.file.as_ref().map_or_else(String::new, |file| file.path()),
            source,
        })?
        .checked_by(self.file.as_deref())
    }
}

impl MappedObject {
    /// Checks all that is mapped.
    pub(super) fn checked_by(self, file: Option<&SealedFile>) -> Result<Self, StoreError> {
        match file {
            Some(file) if !self.is_memory_only() && !file.seal.matches(0, &self) => Err(file.damaged()),
            _ => Ok(self),
        }
    }
}

impl SealedFile {
    pub(super) fn map(&self) -> std::io::Result<MappedObject> {
        MappedObject::of_file(self.file.try_clone()?, self.seal.size() as usize)
    }

    fn path(&self) -> String {
        self.cache.directory.path_of(&self.name).display().to_string()
    }

    /// Reads exactly the buffer's length, which must lie within the content, and checks every block it touches.
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<(), StoreError> {
        let block = BLOCK as u64;
        let end = offset + buffer.len() as u64;
        let first = (offset / block) as usize;
        let aligned_end = end.next_multiple_of(block).min(self.seal.size());
        if offset.is_multiple_of(block) && end == aligned_end {
            return self.read_blocks(first, buffer);
        }
        let aligned_start = first as u64 * block;
        let mut blocks = vec![0; (aligned_end - aligned_start) as usize];
        self.read_blocks(first, &mut blocks)?;
        let skip = (offset - aligned_start) as usize;
        buffer.copy_from_slice(&blocks[skip..skip + buffer.len()]);
        Ok(())
    }

    /// Reads and checks whole blocks, from block `first` on.
    fn read_blocks(&self, first: usize, buffer: &mut [u8]) -> Result<(), StoreError> {
        let read = self.file.read_exact_at(buffer, first as u64 * BLOCK as u64);
        if read.is_err() || !self.seal.matches(first, buffer) {
            return Err(self.damaged());
        }
        Ok(())
    }

    /// Drops the file from the cache and makes the error that tells so.
    fn damaged(&self) -> StoreError {
        count(&self.cache.counts.damaged, 1);
        self.cache.drop_damaged(&self.name);
        StoreError::DamagedCopy { path: self.path() }
    }
}
