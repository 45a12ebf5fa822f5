//! Memory maps of cached content: the one place where bytes are borrowed from the kernel.

#![allow(unsafe_code)]

use std::fs::File;
use std::io;
use std::ops::Deref;

use memmap2::{Mmap, MmapMut, MmapOptions};

/// The whole content of an object or of something derived from one, checked once, at a page-aligned address.
pub struct MappedObject {
    map: Mmap,
    size: usize,
    /// The mapped file; `None` for content that could not be kept on disk.
    file: Option<File>,
}

impl MappedObject {
    /// Maps the first `size` bytes of a file of the cache.
    pub(super) fn of_file(file: File, size: usize) -> io::Result<Self> {
        // SAFETY: files of the cache are written under a temporary name, renamed, and from then on only unlinked, never
        // written or cut short; unlinked pages stay valid. That nobody else does so is what sharing a cache directory
        // asks of its users: its files are private to the user that the program runs as.
        let map = unsafe { MmapOptions::new().len(size.max(1)).map(&file) }?;
        Ok(Self { map, size, file: Some(file) })
    }

    /// A copy of `content` in memory of its own.
    pub(super) fn of_memory(content: &[u8]) -> io::Result<Self> {
        let mut map = MmapMut::map_anon(content.len().max(1))?;
        map[..content.len()].copy_from_slice(content);
        Ok(Self { map: map.make_read_only()?, size: content.len(), file: None })
    }

    /// Tells the cache that this is still in use, so that eviction takes other files first. The content itself stays
    /// valid as long as the value lives, also when its file has been evicted. Call it every few minutes, not on reads.
    pub fn mark_used(&self) {
        if let Some(file) = &self.file {
            super::directory::mark_used(file);
        }
    }

    /// Whether the content lies in memory only, because the cache's disk is full or read-only.
    pub fn is_memory_only(&self) -> bool {
        self.file.is_none()
    }
}

impl Deref for MappedObject {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.map[..self.size]
    }
}

impl AsRef<[u8]> for MappedObject {
    fn as_ref(&self) -> &[u8] {
        self
    }
}

impl std::fmt::Debug for MappedObject {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("MappedObject").field("size", &self.size).finish_non_exhaustive()
    }
}
