//! An object on its way into the cache: collected in memory while it is small, else decompressed as it comes into a
//! sealed file. That its bytes have the right hash is the source's promise, kept when the fetch returns.
//!
//! ```text
//! Collecting ── more than IN_MEMORY stored bytes ──▶ Streaming ── disk full ──▶ the fetch fails, the cache tries again
//!      ▲                                                │                        with more room, at last in memory
//!      └────────────────── restart ─────────────────────┘
//! ```

use std::io;

use varve_content::{Compression, CompressionError, Inflater, decompress};

use super::directory::{Directory, Temporary};
use super::format::{BLOCK, Seal, block_sum};
use super::name::CacheName;
use super::{ObjectRequest, PlainSize};
use crate::{ObjectSink, StoreError};

/// The most stored bytes that are decompressed in one go.
const IN_MEMORY: usize = 16 << 20;

/// The most stored bytes that are held in memory where the disk takes none.
const LARGEST_IN_MEMORY: usize = 256 << 20;

/// What a fetch writes to.
pub(super) struct Arrival<'a> {
    directory: &'a Directory,
    name: &'a CacheName,
    request: &'a ObjectRequest,
    stored: Vec<u8>,
    stream: Option<Stream<'a>>,
    may_spill: bool,
}

/// What has arrived.
pub(super) enum Arrived {
    /// The content, not in the cache yet.
    Memory(Vec<u8>),
    /// The content's file, already in its place.
    File(std::fs::File, Seal),
}

struct Stream<'a> {
    /// `None` once the stream turned out to be damaged: what follows is ignored, since the hash will tell whose fault it is.
    inflater: Option<Inflater>,
    file: SealingFile<'a>,
    broken: Option<CompressionError>,
}

impl<'a> Arrival<'a> {
    pub(super) fn new(directory: &'a Directory, name: &'a CacheName, request: &'a ObjectRequest) -> Self {
        Self { directory, name, request, stored: Vec::new(), stream: None, may_spill: true }
    }

    /// An arrival that touches no disk.
    pub(super) fn without_disk(
        directory: &'a Directory,
        name: &'a CacheName,
        request: &'a ObjectRequest,
    ) -> Self {
        Self { may_spill: false, ..Self::new(directory, name, request) }
    }

    /// Ends the arrival, after the source has vouched for the stored bytes.
    pub(super) fn finish(self) -> Result<Arrived, StoreError> {
        let content_error = |source| StoreError::Content { name: self.request.name.to_string(), source };
        let Some(stream) = self.stream else {
            let limit = self.request.size.limit() as usize;
            let content = match self.request.compression {
                Compression::None if self.stored.len() <= limit => self.stored,
                compression => decompress(&self.stored, compression, limit).map_err(content_error)?,
            };
            self.request.check_size(content.len() as u64)?;
            return Ok(Arrived::Memory(content));
        };
        if let Some(broken) = stream.broken {
            return Err(content_error(broken));
        }
        if let Some(inflater) = stream.inflater {
            inflater.finish().map_err(content_error)?;
        }
        self.request.check_size(stream.file.size)?;
        let path = self.directory.path_of(self.name);
        let (file, seal) =
            stream.file.finish(self.name).map_err(|error| StoreError::io("write", &path, error))?;
        Ok(Arrived::File(file, seal))
    }

    /// Leaves memory behind: everything so far goes through the inflater into a file.
    fn spill(&mut self) -> io::Result<()> {
        let inflater = Inflater::new(self.request.compression, self.request.size.limit());
        let file = SealingFile::new(self.directory.begin(self.name)?);
        let mut stream = Stream { inflater: Some(inflater), file, broken: None };
        stream.write(&std::mem::take(&mut self.stored))?;
        self.stream = Some(stream);
        Ok(())
    }
}

impl ObjectSink for Arrival<'_> {
    fn restart(&mut self) -> io::Result<()> {
        self.stored.clear();
        self.stream = None;
        Ok(())
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        match &mut self.stream {
            Some(stream) => stream.write(bytes),
            None => {
                self.stored.extend_from_slice(bytes);
                match self.stored.len() {
                    length if length > IN_MEMORY && self.may_spill => self.spill(),
                    length if length > LARGEST_IN_MEMORY => Err(io::ErrorKind::StorageFull.into()),
                    _ => Ok(()),
                }
            }
        }
    }
}

impl Stream<'_> {
    fn write(&mut self, stored: &[u8]) -> io::Result<()> {
        let Some(inflater) = &mut self.inflater else { return Ok(()) };
        let file = &mut self.file;
        match inflater.write(stored, &mut |content| file.write(content)) {
            Ok(()) => Ok(()),
            Err(CompressionError::Io(error)) => Err(error),
            Err(broken) => {
                self.inflater = None;
                self.broken = Some(broken);
                Ok(())
            }
        }
    }
}

/// A temporary file whose blocks are summed up as they are written.
struct SealingFile<'a> {
    temporary: Temporary<'a>,
    pending: Vec<u8>,
    sums: Vec<u64>,
    size: u64,
}

impl<'a> SealingFile<'a> {
    fn new(temporary: Temporary<'a>) -> Self {
        Self { temporary, pending: Vec::with_capacity(BLOCK), sums: Vec::new(), size: 0 }
    }

    fn write(&mut self, mut content: &[u8]) -> io::Result<()> {
        self.size += content.len() as u64;
        while !content.is_empty() {
            let (now, later) = content.split_at(content.len().min(BLOCK - self.pending.len()));
            self.pending.extend_from_slice(now);
            content = later;
            if self.pending.len() == BLOCK {
                self.flush()?;
            }
        }
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.sums.push(block_sum(&self.pending));
        self.temporary.write(&self.pending, &[])?;
        self.pending.clear();
        Ok(())
    }

    fn finish(mut self, name: &CacheName) -> io::Result<(std::fs::File, Seal)> {
        if !self.pending.is_empty() {
            self.flush()?;
        }
        let seal = Seal::of_blocks(self.size, self.sums);
        self.temporary.write(&seal.to_bytes(name), &[])?;
        Ok((self.temporary.finish(name)?, seal))
    }
}

impl PlainSize {
    /// The most bytes of content.
    pub(super) fn limit(self) -> u64 {
        match self {
            Self::Exact(size) | Self::AtMost(size) => size,
        }
    }
}

impl ObjectRequest {
    /// Refuses content of another size than the catalog says.
    pub(super) fn check_size(&self, actual: u64) -> Result<(), StoreError> {
        let source = match self.size {
            PlainSize::Exact(size) | PlainSize::AtMost(size) if actual > size => {
                CompressionError::TooLarge { limit: size as usize }
            }
            PlainSize::Exact(size) if actual < size => CompressionError::Damaged,
            PlainSize::Exact(_) | PlainSize::AtMost(_) => return Ok(()),
        };
        Err(StoreError::Content { name: self.name.to_string(), source })
    }
}
