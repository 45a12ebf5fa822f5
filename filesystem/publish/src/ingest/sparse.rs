//! The maps of sparse files: which parts of a file an archive holds. Four forms of them exist, all of GNU tar: in the
//! header, as two kinds of records of an extended header, and as text before the content.

use tar::GnuSparseHeader;

use super::error::ArchiveProblem;
use super::header::{decimal, unsigned};

/// The most parts that a file may have.
const PARTS: usize = 1 << 20;

/// The largest sparse file: an archive of a few bytes could claim any size.
const LARGEST: u64 = 16 << 40;

/// A part of a file that is in the archive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Part {
    /// Where it begins in the file.
    pub(super) offset: u64,
    /// Its length in bytes.
    pub(super) length: u64,
}

/// What of a file the archive holds, in order; the rest is zeros.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct SparseMap {
    pub(super) parts: Vec<Part>,
}

impl SparseMap {
    /// Adds a part; empty ones only say where the file ends.
    pub(super) fn push(&mut self, offset: u64, length: u64) -> Result<(), ArchiveProblem> {
        if self.parts.len() >= PARTS {
            return Err(ArchiveProblem::TooLarge { what: "map of the sparse file" });
        }
        let after = self.parts.last().map_or(0, |last| last.offset + last.length);
        if offset < after || offset.checked_add(length).is_none() {
            return Err(ArchiveProblem::Sparse);
        }
        if length > 0 {
            self.parts.push(Part { offset, length });
        }
        Ok(())
    }

    /// Whether the whole file is in the archive, in one piece.
    pub(super) fn is_plain(&self, size: u64) -> bool {
        match &self.parts[..] {
            [] => size == 0,
            [part] => part.offset == 0 && part.length == size,
            _ => false,
        }
    }

    /// The parts in a header or in a block behind it. Tells whether the list has ended.
    pub(super) fn header(&mut self, parts: &[GnuSparseHeader]) -> Result<bool, ArchiveProblem> {
        for part in parts {
            if part.numbytes[0] == 0 {
                return Ok(true);
            }
            self.push(unsigned(&part.offset, "sparse map")?, unsigned(&part.numbytes, "sparse map")?)?;
        }
        Ok(false)
    }

    /// The map of a record: offsets and lengths in turn, with commas between.
    pub(super) fn record(value: &[u8]) -> Result<Self, ArchiveProblem> {
        let mut map = Self::default();
        let mut numbers = value.split(|&byte| byte == b',').filter(|number| !number.is_empty());
        while let Some(offset) = numbers.next() {
            let length = numbers.next().ok_or(ArchiveProblem::Sparse)?;
            map.push(decimal(offset, "sparse map")?, decimal(length, "sparse map")?)?;
        }
        Ok(map)
    }

    /// Checks the map against the file's size and the bytes that the archive has of it.
    pub(super) fn fits(&self, size: u64, stored: u64) -> Result<(), ArchiveProblem> {
        if size > LARGEST {
            return Err(ArchiveProblem::TooLarge { what: "sparse file" });
        }
        let sum = self.parts.iter().try_fold(0u64, |sum, part| sum.checked_add(part.length));
        let end = self.parts.last().map_or(0, |last| last.offset + last.length);
        if sum == Some(stored) && end <= size { Ok(()) } else { Err(ArchiveProblem::Sparse) }
    }
}

/// Reads the text before a content: the number of parts, then offset and length of each, one number per line.
#[derive(Debug, Default)]
pub(super) struct TextMap {
    number: Option<u64>,
    digits: u32,
    count: Option<u64>,
    offset: Option<u64>,
    seen: u64,
    pub(super) map: SparseMap,
}

impl TextMap {
    /// Takes a block; tells whether it was the last one.
    pub(super) fn block(&mut self, block: &[u8]) -> Result<bool, ArchiveProblem> {
        for &byte in block {
            match byte {
                b'0'..=b'9' if self.digits < 20 => {
                    let value = self.number.unwrap_or(0).checked_mul(10);
                    let value = value.and_then(|value| value.checked_add(u64::from(byte - b'0')));
                    self.number = Some(value.ok_or(ArchiveProblem::Sparse)?);
                    self.digits += 1;
                }
                b'\n' => {
                    let number = self.number.take().ok_or(ArchiveProblem::Sparse)?;
                    self.digits = 0;
                    match (self.count, self.offset.take()) {
                        (None, _) => self.count = Some(number),
                        (Some(_), None) => self.offset = Some(number),
                        (Some(_), Some(offset)) => {
                            self.map.push(offset, number)?;
                            self.seen += 1;
                        }
                    }
                    if self.count == Some(self.seen) {
                        return Ok(true);
                    }
                }
                _ => return Err(ArchiveProblem::Sparse),
            }
        }
        // Empty parts are not kept, but nobody writes as many.
        if self.seen > PARTS as u64 {
            return Err(ArchiveProblem::TooLarge { what: "map of the sparse file" });
        }
        Ok(false)
    }
}
