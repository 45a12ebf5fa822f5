//! How initial file systems are compressed, and how what packages hold is decompressed, within bounds.

use std::fmt;
use std::io::{self, Read};
use std::str::FromStr;

use liblzma::stream::{Check, Filters, LzmaOptions, Stream};

/// What an initramfs is compressed with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Compression {
    /// The smallest; takes the machine longer to unpack.
    #[default]
    Xz,
    /// A little larger, several times faster to unpack.
    Zstd,
    /// None: the boot loader reads more, the kernel unpacks nothing.
    None,
}

impl Compression {
    /// Compresses as Linux wants it: xz with CRC-32 and the filter for x86 code, zstd in one frame with the size of the
    /// window that the kernel allows (8 MiB is enough here).
    ///
    /// # Errors
    /// What the library says, such as out of memory.
    pub fn compress(self, bytes: &[u8]) -> io::Result<Vec<u8>> {
        match self {
            Self::None => Ok(bytes.to_vec()),
            Self::Zstd => zstd::bulk::compress(bytes, 19),
            Self::Xz => {
                let mut options = LzmaOptions::new_preset(9 | liblzma_extreme()).map_err(io::Error::other)?;
                let dictionary = u32::try_from(bytes.len()).unwrap_or(u32::MAX).clamp(1 << 16, 1 << 26);
                // Four bits of context for literals: a fifth of a percent less of what programs and modules are.
                options.dict_size(dictionary.next_power_of_two()).literal_context_bits(4);
                let mut filters = Filters::new();
                filters.x86().lzma2(&options);
                let stream = Stream::new_stream_encoder(&filters, Check::Crc32).map_err(io::Error::other)?;
                let mut compressed = Vec::new();
                liblzma::read::XzEncoder::new_stream(bytes, stream).read_to_end(&mut compressed)?;
                Ok(compressed)
            }
        }
    }

    /// As the command line and the manifest write it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Xz => "xz",
            Self::Zstd => "zstd",
            Self::None => "none",
        }
    }
}

impl fmt::Display for Compression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Compression {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        [Self::Xz, Self::Zstd, Self::None]
            .into_iter()
            .find(|compression| compression.name() == text)
            .ok_or_else(|| format!("no way to compress an initramfs is named {text:?}: xz, zstd or none"))
    }
}

/// Reads what was compressed with what the end of its name says: `.xz`, `.zst`, `.gz`, or with nothing.
///
/// # Errors
/// What reading `source` says, and what the library says of bytes that are damaged.
pub(crate) fn decompressing<'a>(name: &str, source: impl Read + 'a) -> io::Result<Box<dyn Read + 'a>> {
    /// Enough for what `xz -9` makes, and bounded.
    const MEMORY: u64 = 256 << 20;
    Ok(match name.rsplit('.').next() {
        Some("xz") => {
            let stream = Stream::new_stream_decoder(MEMORY, 0).map_err(io::Error::other)?;
            Box::new(liblzma::read::XzDecoder::new_stream(source, stream))
        }
        Some("zst") => Box::new(zstd::Decoder::new(source)?),
        Some("gz") => Box::new(flate2::read::GzDecoder::new(source)),
        _ => Box::new(source),
    })
}

/// As [`decompressing`], in memory and up to `limit` bytes.
///
/// # Errors
/// As there, and for more bytes.
pub(crate) fn decompress(name: &str, bytes: &[u8], limit: u64) -> io::Result<Vec<u8>> {
    let mut plain = Vec::new();
    decompressing(name, bytes)?.take(limit + 1).read_to_end(&mut plain)?;
    if plain.len() as u64 > limit {
        return Err(io::Error::other(format!("more than {limit} bytes when decompressed")));
    }
    Ok(plain)
}

/// The flag of a preset that means "take your time".
fn liblzma_extreme() -> u32 {
    1 << 31
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_compressed_can_be_decompressed() {
        let text = b"one and the same ".repeat(1000);
        for (compression, name) in
            [(Compression::Xz, "a.xz"), (Compression::Zstd, "a.zst"), (Compression::None, "a")]
        {
            let small = compression.compress(&text).expect("compress");
            assert_eq!(decompress(name, &small, 1 << 20).expect("decompress"), text);
            assert!(decompress(name, &small, 100).is_err(), "a bound is kept");
            assert_eq!(compression.name().parse(), Ok(compression));
        }
    }

    #[test]
    fn damage_is_an_error() {
        assert!(decompress("a.xz", b"no xz at all", 100).is_err());
        assert!(decompress("a.zst", b"no zstd at all", 100).is_err());
    }
}
