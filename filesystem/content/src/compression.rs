//! Compression of objects: zlib in two efforts, none, and zstd where it is read.
//!
//! Compression happens in memory, since objects are at most a chunk in size; decompression works in memory
//! ([`decompress`]) and as a stream ([`Inflater`]) for foreign objects that were stored whole.

use std::cell::RefCell;
use std::io::{self, Write};

/// How an object's bytes are stored. The number is the code in bits 11 to 13 of a catalog entry's flags.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Compression {
    /// A zlib stream (RFC 1950).
    #[default]
    Zlib,
    /// The bytes themselves.
    None,
    /// A Zstandard frame. Read only: the number is not settled among CernVM-FS clients.
    Zstd,
}

impl Compression {
    /// The number that catalogs store.
    pub fn catalog_code(self) -> u32 {
        match self {
            Self::Zlib => 0,
            Self::None => 1,
            Self::Zstd => 2,
        }
    }

    /// The inverse of [`Self::catalog_code`].
    pub fn from_catalog_code(code: u32) -> Option<Self> {
        [Self::Zlib, Self::None, Self::Zstd]
            .into_iter()
            .find(|compression| compression.catalog_code() == code)
    }

    /// The name used in configuration and shown to people: `zlib`, `none` or `zstd`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Zlib => "zlib",
            Self::None => "none",
            Self::Zstd => "zstd",
        }
    }

    /// The most stored bytes that `plain` bytes of content can take, for any encoder's output that makes sense.
    pub fn stored_bound(self, plain: u64) -> u64 {
        match self {
            Self::None => plain,
            Self::Zlib | Self::Zstd => plain.saturating_add(plain / 8).saturating_add(4096),
        }
    }
}

/// Which zlib encoder is used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Effort {
    /// libdeflate at level 6: several times faster, other bytes than stock zlib.
    #[default]
    Fast,
    /// Stock zlib at level 6: the bytes, and so the hashes, that CernVM-FS makes of the same content.
    Exact,
}

/// Compresses object after object, keeping its working memory. One per thread.
pub struct Compressor {
    compression: Compression,
    effort: Effort,
    fast: Option<libdeflater::Compressor>,
}

impl Compressor {
    /// A compressor for one way of storing. [`Compression::Zstd`] is not written: [`Self::compress`] refuses it.
    pub fn new(compression: Compression, effort: Effort) -> Self {
        let fast = (compression == Compression::Zlib && effort == Effort::Fast)
            .then(|| libdeflater::Compressor::new(libdeflater::CompressionLvl::default()));
        Self { compression, effort, fast }
    }

    /// The stored form of `plain`, replacing what is in `stored`.
    ///
    /// # Errors
    /// [`CompressionError::WriteOnlyElsewhere`] for zstd.
    pub fn compress(&mut self, plain: &[u8], stored: &mut Vec<u8>) -> Result<(), CompressionError> {
        stored.clear();
        match (self.compression, &mut self.fast) {
            (Compression::None, _) => stored.extend_from_slice(plain),
            (Compression::Zlib, Some(fast)) => {
                stored.resize(fast.zlib_compress_bound(plain.len()), 0);
                let length = fast.zlib_compress(plain, stored).map_err(|_| {
                    CompressionError::Io(io::Error::other("libdeflate exceeded its own bound"))
                })?;
                stored.truncate(length);
            }
            (Compression::Zlib, None) => {
                debug_assert_eq!(self.effort, Effort::Exact);
                let mut encoder = flate2::write::ZlibEncoder::new(&mut *stored, flate2::Compression::new(6));
                encoder.write_all(plain).map_err(CompressionError::Io)?;
                encoder.finish().map_err(CompressionError::Io)?;
            }
            (Compression::Zstd, _) => return Err(CompressionError::WriteOnlyElsewhere),
        }
        Ok(())
    }
}

/// The content of an object whose stored bytes are in memory; at most `limit` bytes.
///
/// # Errors
/// [`CompressionError::TooLarge`] if there is more, [`CompressionError::Damaged`] if the stored bytes are no such
/// stream, are cut short or go on behind its end.
pub fn decompress(
    stored: &[u8],
    compression: Compression,
    limit: usize,
) -> Result<Vec<u8>, CompressionError> {
    thread_local! {
        static INFLATER: RefCell<libdeflater::Decompressor> = RefCell::new(libdeflater::Decompressor::new());
    }
    match compression {
        Compression::None if stored.len() > limit => Err(CompressionError::TooLarge { limit }),
        Compression::None => Ok(stored.to_vec()),
        Compression::Zlib => INFLATER.with_borrow_mut(|inflater| inflate(inflater, stored, limit)),
        Compression::Zstd => {
            let mut plain = Vec::new();
            let mut inflater = Inflater::new(compression, limit as u64);
            inflater.write(stored, &mut |bytes| {
                plain.extend_from_slice(bytes);
                Ok(())
            })?;
            inflater.finish()?;
            Ok(plain)
        }
    }
}

/// One-shot zlib decompression into a buffer that grows up to the limit.
fn inflate(
    inflater: &mut libdeflater::Decompressor,
    stored: &[u8],
    limit: usize,
) -> Result<Vec<u8>, CompressionError> {
    /// Deflate can't expand by more than this factor, so a buffer need never be larger.
    const MOST_EXPANSION: usize = 1032;
    let most = limit.min(stored.len().saturating_mul(MOST_EXPANSION));
    // Callers that know the size pass it as the limit: try that at once unless it is far above what is likely.
    let mut capacity =
        if most <= stored.len().saturating_mul(8).max(1 << 16) { most } else { stored.len() * 4 };
    loop {
        let mut plain = vec![0; capacity];
        match inflater.zlib_decompress(stored, &mut plain) {
            Ok(length) => {
                plain.truncate(length);
                return Ok(plain);
            }
            Err(libdeflater::DecompressionError::BadData) => return Err(CompressionError::Damaged),
            Err(libdeflater::DecompressionError::InsufficientSpace) if capacity < most => {
                capacity = capacity.saturating_mul(4).clamp(1, most);
            }
            Err(libdeflater::DecompressionError::InsufficientSpace) if most < limit => {
                return Err(CompressionError::Damaged);
            }
            Err(libdeflater::DecompressionError::InsufficientSpace) => {
                return Err(CompressionError::TooLarge { limit });
            }
        }
    }
}

/// Decompresses a stream piece by piece, handing out at most `limit` bytes.
pub struct Inflater {
    state: State,
    limit: u64,
    produced: u64,
    buffer: Vec<u8>,
}

enum State {
    None,
    Zlib { stream: Box<flate2::Decompress>, ended: bool },
    Zstd { stream: Box<zstd::stream::raw::Decoder<'static>>, ended: bool },
}

impl Inflater {
    /// A decoder at the start of a stream.
    pub fn new(compression: Compression, limit: u64) -> Self {
        let state = match compression {
            Compression::None => State::None,
            Compression::Zlib => {
                State::Zlib { stream: Box::new(flate2::Decompress::new(true)), ended: false }
            }
            Compression::Zstd => State::Zstd {
                stream: Box::new(
                    zstd::stream::raw::Decoder::new()
                        .expect("because a decoder without a dictionary needs only memory"),
                ),
                ended: false,
            },
        };
        Self { state, limit, produced: 0, buffer: vec![0; 64 << 10] }
    }

    /// Decodes the next stored bytes and passes what comes out to `sink`.
    ///
    /// # Errors
    /// [`CompressionError::TooLarge`], [`CompressionError::Damaged`], or what `sink` failed with.
    pub fn write(
        &mut self,
        mut stored: &[u8],
        sink: &mut dyn FnMut(&[u8]) -> io::Result<()>,
    ) -> Result<(), CompressionError> {
        let limit = self.limit;
        let mut emit = |produced: &mut u64, bytes: &[u8]| {
            *produced += bytes.len() as u64;
            if *produced > limit {
                return Err(CompressionError::TooLarge { limit: limit as usize });
            }
            sink(bytes).map_err(CompressionError::Io)
        };
        if let State::None = self.state {
            return emit(&mut self.produced, stored);
        }
        loop {
            let (consumed, written, now_ended) = match &mut self.state {
                State::None => return Ok(()),
                State::Zlib { ended: true, .. } | State::Zstd { ended: true, .. } => {
                    return if stored.is_empty() { Ok(()) } else { Err(CompressionError::Damaged) };
                }
                State::Zlib { stream, ended } => {
                    let (before_in, before_out) = (stream.total_in(), stream.total_out());
                    let status = stream
                        .decompress(stored, &mut self.buffer, flate2::FlushDecompress::None)
                        .map_err(|_| CompressionError::Damaged)?;
                    *ended = status == flate2::Status::StreamEnd;
                    (
                        (stream.total_in() - before_in) as usize,
                        (stream.total_out() - before_out) as usize,
                        *ended,
                    )
                }
                State::Zstd { stream, ended } => {
                    use zstd::stream::raw::Operation as _;
                    let status = stream
                        .run_on_buffers(stored, &mut self.buffer)
                        .map_err(|_| CompressionError::Damaged)?;
                    *ended = status.remaining == 0 && (status.bytes_read > 0 || status.bytes_written > 0);
                    (status.bytes_read, status.bytes_written, *ended)
                }
            };
            emit(&mut self.produced, &self.buffer[..written])?;
            stored = &stored[consumed..];
            if !now_ended && consumed == 0 && written == 0 {
                return if stored.is_empty() { Ok(()) } else { Err(CompressionError::Damaged) };
            }
        }
    }

    /// Checks that the stream has ended and returns how many bytes it held.
    ///
    /// # Errors
    /// [`CompressionError::Damaged`] if the stream was cut short.
    pub fn finish(self) -> Result<u64, CompressionError> {
        match self.state {
            State::None | State::Zlib { ended: true, .. } | State::Zstd { ended: true, .. } => {
                Ok(self.produced)
            }
            State::Zlib { .. } | State::Zstd { .. } => Err(CompressionError::Damaged),
        }
    }
}

/// Why bytes could not be compressed or decompressed.
#[derive(Debug, thiserror::Error)]
pub enum CompressionError {
    /// More content than the caller allows: a decompression bomb, or not the object it is meant to be.
    #[error("content exceeds its limit of {limit} bytes")]
    TooLarge {
        /// The caller's limit in bytes.
        limit: usize,
    },
    /// The stored bytes are not one whole compressed stream.
    #[error("compressed stream is damaged or cut short")]
    Damaged,
    /// Asked to write a compression that is only read.
    #[error("zstd objects are read but not written")]
    WriteOnlyElsewhere,
    /// The destination failed.
    #[error("writing the content failed")]
    Io(#[source] io::Error),
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn stream(
        stored: &[u8],
        compression: Compression,
        limit: u64,
        piece: usize,
    ) -> Result<Vec<u8>, CompressionError> {
        let mut plain = Vec::new();
        let mut inflater = Inflater::new(compression, limit);
        for bytes in stored.chunks(piece) {
            inflater.write(bytes, &mut |out| {
                plain.extend_from_slice(out);
                Ok(())
            })?;
        }
        assert_eq!(inflater.finish()?, plain.len() as u64);
        Ok(plain)
    }

    proptest! {
        #[test]
        fn content_is_read_back(plain in proptest::collection::vec(0u8..4, 0..200_000), piece in 1usize..70_000) {
            for (compression, effort) in [
                (Compression::Zlib, Effort::Fast),
                (Compression::Zlib, Effort::Exact),
                (Compression::None, Effort::Fast),
            ] {
                let mut stored = Vec::new();
                Compressor::new(compression, effort).compress(&plain, &mut stored)?;
                prop_assert!(stored.len() as u64 <= compression.stored_bound(plain.len() as u64));
                prop_assert_eq!(&decompress(&stored, compression, plain.len())?, &plain);
                prop_assert_eq!(&stream(&stored, compression, plain.len() as u64, piece)?, &plain);
                if !plain.is_empty() {
                    let limit = plain.len() - 1;
                    prop_assert!(decompress(&stored, compression, limit).is_err());
                    prop_assert!(stream(&stored, compression, limit as u64, piece).is_err());
                }
                if compression == Compression::Zlib {
                    let short = &stored[..stored.len() - 1];
                    prop_assert!(decompress(short, compression, plain.len()).is_err());
                    prop_assert!(stream(short, compression, plain.len() as u64, piece).is_err());
                }
            }
        }
    }

    #[test]
    fn zstd_frames_are_read() {
        let plain = b"the same words, the same words, the same words".repeat(5000);
        let stored = zstd::bulk::compress(&plain, 3).expect("because memory suffices");
        assert_eq!(decompress(&stored, Compression::Zstd, plain.len()).expect("a whole frame"), plain);
        assert!(matches!(
            decompress(&stored, Compression::Zstd, plain.len() - 1),
            Err(CompressionError::TooLarge { .. })
        ));
        assert!(decompress(&stored[..stored.len() - 1], Compression::Zstd, plain.len()).is_err());
    }

    #[test]
    fn bombs_end_at_the_limit() {
        let mut stored = Vec::new();
        Compressor::new(Compression::Zlib, Effort::Fast)
            .compress(&vec![0; 100 << 20], &mut stored)
            .expect("because zlib is written");
        let refusal = decompress(&stored, Compression::Zlib, 1 << 20);
        assert!(matches!(refusal, Err(CompressionError::TooLarge { limit: 0x10_0000 })));
    }

    #[test]
    fn bytes_behind_the_stream_are_damage() {
        let mut stored = Vec::new();
        Compressor::new(Compression::Zlib, Effort::Fast)
            .compress(b"abc", &mut stored)
            .expect("because zlib is written");
        stored.push(0);
        assert!(stream(&stored, Compression::Zlib, 3, 5).is_err());
    }
}
