//! Compressed index files. Nothing grows beyond what the caller allows.

use std::io::{self, Read};

use crate::location::PackagePath;

/// How a file is compressed, by the end of its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Packing {
    None,
    Gzip,
    Xz,
    Zstd,
    Bzip2,
}

/// A file that can't be expanded.
#[derive(Debug, thiserror::Error)]
pub enum ExpandError {
    /// Not what its name says, or cut off.
    #[error("{path} cannot be decompressed")]
    Broken {
        /// The file.
        path: PackagePath,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// More comes out than may.
    #[error("{path} is larger than the {limit} bytes that it can have when decompressed")]
    TooLarge {
        /// The file.
        path: PackagePath,
        /// The most bytes.
        limit: u64,
    },
    /// Not text.
    #[error("{path} is not UTF-8 text: {reason}")]
    NotText {
        /// The file.
        path: PackagePath,
        /// Where.
        reason: String,
    },
}

/// More memory is not given to a decompressor.
const MEMORY: u64 = 512 << 20;

impl Packing {
    /// By the end of a file's name.
    pub(crate) fn of(path: &PackagePath) -> Self {
        match path.file_name().rsplit_once('.') {
            Some((_, "gz")) => Self::Gzip,
            Some((_, "xz" | "lzma")) => Self::Xz,
            Some((_, "zst" | "zstd")) => Self::Zstd,
            Some((_, "bz2")) => Self::Bzip2,
            _ => Self::None,
        }
    }
}

/// Decompresses the bytes of a file, of which at most `limit` come out; exactly `size` if that is known.
pub(crate) fn expand(
    path: &PackagePath,
    packing: Packing,
    bytes: Vec<u8>,
    size: Option<u64>,
    limit: u64,
) -> Result<String, ExpandError> {
    let limit = size.unwrap_or(limit).min(limit);
    let broken = |source| ExpandError::Broken { path: path.clone(), source };
    let plain = match packing {
        Packing::None => bytes,
        // The whole at once is twice as fast.
        Packing::Gzip if size == Some(limit) => gunzip(&bytes, limit).map_err(broken)?,
        Packing::Gzip => take(flate2::read::MultiGzDecoder::new(&*bytes), limit).map_err(broken)?,
        Packing::Bzip2 => take(bzip2::read::MultiBzDecoder::new(&*bytes), limit).map_err(broken)?,
        Packing::Xz => {
            let stream = liblzma::stream::Stream::new_auto_decoder(MEMORY, liblzma::stream::CONCATENATED);
            let stream = stream.map_err(|error| broken(error.into()))?;
            take(liblzma::read::XzDecoder::new_stream(&*bytes, stream), limit).map_err(broken)?
        }
        Packing::Zstd => {
            let mut decoder = zstd::Decoder::with_buffer(&*bytes).map_err(broken)?;
            decoder.window_log_max(MEMORY.ilog2() - 1).map_err(broken)?;
            take(decoder, limit).map_err(broken)?
        }
    };
    if plain.len() as u64 > limit {
        return Err(ExpandError::TooLarge { path: path.clone(), limit });
    }
    if let Some(size) = size
        && plain.len() as u64 != size
    {
        let words = format!("it has {} bytes instead of {size}", plain.len());
        return Err(broken(io::Error::new(io::ErrorKind::UnexpectedEof, words)));
    }
    String::from_utf8(plain)
        .map_err(|error| ExpandError::NotText { path: path.clone(), reason: error.utf8_error().to_string() })
}

fn take(reader: impl Read, limit: u64) -> io::Result<Vec<u8>> {
    let mut plain = Vec::new();
    reader.take(limit + 1).read_to_end(&mut plain)?;
    Ok(plain)
}

fn gunzip(bytes: &[u8], size: u64) -> io::Result<Vec<u8>> {
    // One byte more shows what is too large; nothing is reserved for that the file could not hold.
    let most = (bytes.len() as u64).saturating_mul(1032) + 64;
    let mut plain = vec![0; (size + 1).min(most) as usize];
    let mut decompressor = libdeflater::Decompressor::new();
    match decompressor.gzip_decompress(bytes, &mut plain) {
        Ok(written) => {
            plain.truncate(written);
            Ok(plain)
        }
        Err(libdeflater::DecompressionError::InsufficientSpace) => Ok(plain),
        Err(error) => Err(io::Error::new(io::ErrorKind::InvalidData, error)),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    fn path(name: &str) -> PackagePath {
        PackagePath::new(name).expect("because it is a path")
    }

    fn packed(packing: Packing, plain: &[u8]) -> Vec<u8> {
        match packing {
            Packing::None => plain.to_vec(),
            Packing::Gzip => {
                let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
                encoder.write_all(plain).and_then(|()| encoder.finish()).expect("because it is memory")
            }
            Packing::Xz => {
                let mut encoder = liblzma::write::XzEncoder::new(Vec::new(), 1);
                encoder.write_all(plain).and_then(|()| encoder.finish()).expect("because it is memory")
            }
            Packing::Bzip2 => {
                let mut encoder = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::fast());
                encoder.write_all(plain).and_then(|()| encoder.finish()).expect("because it is memory")
            }
            Packing::Zstd => zstd::encode_all(plain, 1).expect("because it is memory"),
        }
    }

    #[test]
    fn every_packing_is_bounded_and_cut_files_are_seen() {
        let plain = vec![b'x'; 1 << 20];
        for name in ["p", "p.gz", "p.xz", "p.zst", "p.bz2"] {
            let path = path(name);
            let packing = Packing::of(&path);
            let bytes = packed(packing, &plain);
            let expand = |bytes: &[u8], size, limit| expand(&path, packing, bytes.to_vec(), size, limit);
            for size in [None, Some(1 << 20)] {
                assert_eq!(
                    expand(&bytes, size, 1 << 20).expect("because it is whole").len(),
                    1 << 20,
                    "{name}"
                );
            }
            let large = expand(&bytes, None, 1000).expect_err("because it is larger");
            assert!(matches!(large, ExpandError::TooLarge { limit: 1000, .. }), "{name}");
            let other = expand(&bytes, Some(1000), 1 << 20).expect_err("because it is larger");
            assert!(matches!(other, ExpandError::TooLarge { limit: 1000, .. }), "{name}");
            assert!(expand(&bytes, Some(2 << 20), 4 << 20).is_err(), "{name}");
            assert!(expand(&bytes[..bytes.len() / 2], Some(1 << 20), 1 << 20).is_err(), "{name}");
        }
        let text =
            expand(&path("p"), Packing::None, vec![0xff], None, 10).expect_err("because it is no text");
        assert!(text.to_string().starts_with("p is not UTF-8 text: "));
    }
}
