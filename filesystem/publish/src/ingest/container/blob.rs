//! Bytes whose digest and size are known before they are read: read in order, and checked at the end.

use std::io::{self, Read};

use sha2::{Digest as _, Sha256};

use super::error::{BlobProblem, ContainerError};
use crate::container::Digest;

/// A stream that is counted and hashed while it is read.
pub(super) struct Hashed<R> {
    reader: R,
    sum: Sha256,
    length: u64,
    /// More bytes are an error.
    limit: u64,
}

impl<R: Read> Hashed<R> {
    pub(super) fn new(reader: R, limit: u64) -> Self {
        Self { reader, sum: Sha256::new(), length: 0, limit }
    }

    /// Reads what is left, and tells the digest and the number of all bytes.
    pub(super) fn finish(mut self) -> io::Result<(Digest, u64)> {
        io::copy(&mut self, &mut io::sink())?;
        Ok((Digest::from_sum(&self.sum.finalize()), self.length))
    }
}

impl<R: Read> Read for Hashed<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.reader.read(buffer)?;
        self.sum.update(&buffer[..read]);
        self.length += read as u64;
        if self.length > self.limit {
            return Err(io::Error::new(io::ErrorKind::FileTooLarge, "it is larger than it may be"));
        }
        Ok(read)
    }
}

/// Compares what was read with what it should have been.
pub(super) fn check(digest: &Digest, size: u64, found: (Digest, u64)) -> Result<(), ContainerError> {
    let problem = if found.1 != size {
        BlobProblem::Size { expected: size, found: found.1 }
    } else if found.0 != *digest {
        BlobProblem::Digest { found: found.0 }
    } else {
        return Ok(());
    };
    Err(ContainerError::Blob { digest: digest.clone(), problem })
}
