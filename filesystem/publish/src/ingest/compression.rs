//! Takes the compression off an archive, recognized by its first bytes. Streams of several members, frames or blocks, as
//! parallel compressors and concatenation make them, are read to their end.

use std::io::{self, BufRead, Read};

/// What an xz stream may need to be decompressed: level 9 takes 65 MiB.
const XZ_MEMORY: u64 = 512 << 20;

/// First bytes of compressions that nobody packs software with any more.
const REFUSED: [(&[u8], &str); 4] =
    [(b"\x1f\x9d", "compress"), (b"LZIP", "lzip"), (b"\x04\x22\x4d\x18", "lz4"), (b"PK\x03\x04", "zip")];

/// What the first bytes say.
enum Kind {
    Gzip,
    Bzip2,
    Xz,
    Zstd,
    Plain,
}

/// The bytes of the archive itself.
///
/// # Errors
/// Those of reading, and [`io::ErrorKind::Unsupported`] for a compression that is not read.
pub(super) fn decompressed<'a>(mut packed: impl BufRead + 'a) -> io::Result<Box<dyn Read + 'a>> {
    // A pipe may give less than a magic number at first.
    let mut start = [0; 6];
    let mut length = 0;
    while length < start.len() {
        match packed.read(&mut start[length..]) {
            Ok(0) => break,
            Ok(read) => length += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    let kind = kind(&start[..length])?;
    let packed = io::Cursor::new(start).take(length as u64).chain(packed);
    Ok(match kind {
        Kind::Gzip => Box::new(flate2::bufread::MultiGzDecoder::new(packed)),
        Kind::Bzip2 => Box::new(bzip2::bufread::MultiBzDecoder::new(packed)),
        Kind::Xz => {
            let stream =
                liblzma::stream::Stream::new_stream_decoder(XZ_MEMORY, liblzma::stream::CONCATENATED)
                    .map_err(io::Error::from)?;
            Box::new(liblzma::bufread::XzDecoder::new_stream(packed, stream))
        }
        Kind::Zstd => Box::new(zstd::stream::read::Decoder::with_buffer(packed)?),
        Kind::Plain => Box::new(packed),
    })
}

fn kind(start: &[u8]) -> io::Result<Kind> {
    if let Some((_, name)) = REFUSED.iter().find(|(magic, _)| start.starts_with(magic)) {
        let message = format!("{name} is not read; gzip, bzip2, xz and zstd are");
        return Err(io::Error::new(io::ErrorKind::Unsupported, message));
    }
    Ok(match start {
        [0x1f, 0x8b, ..] => Kind::Gzip,
        [b'B', b'Z', b'h', ..] => Kind::Bzip2,
        [0xfd, b'7', b'z', b'X', b'Z', 0] => Kind::Xz,
        // A frame, or one to be skipped, as parallel compressors put before it.
        [0x28, 0xb5, 0x2f, 0xfd, ..] | [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => Kind::Zstd,
        _ => Kind::Plain,
    })
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    fn read(packed: &[u8]) -> io::Result<Vec<u8>> {
        let mut plain = Vec::new();
        decompressed(packed)?.read_to_end(&mut plain)?;
        Ok(plain)
    }

    fn packed(plain: &[u8]) -> [Vec<u8>; 4] {
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        gzip.write_all(plain).expect("memory takes everything");
        let mut bzip2 = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::default());
        bzip2.write_all(plain).expect("memory takes everything");
        let mut xz = liblzma::write::XzEncoder::new(Vec::new(), 6);
        xz.write_all(plain).expect("memory takes everything");
        let mut zstd = zstd::stream::write::Encoder::new(Vec::new(), 3).expect("level 3 is there");
        zstd.include_checksum(true).expect("it can");
        zstd.write_all(plain).expect("memory takes everything");
        [
            gzip.finish().expect("finished"),
            bzip2.finish().expect("finished"),
            xz.finish().expect("finished"),
            zstd.finish().expect("finished"),
        ]
    }

    #[test]
    fn all_kinds_are_read_also_in_several_parts() {
        for (one, two) in packed(b"first ").into_iter().zip(packed(b"second")) {
            assert_eq!(read(&[one, two].concat()).expect("readable"), b"first second");
        }
        assert_eq!(read(b"").expect("readable"), b"");
        assert_eq!(read(b"plain").expect("readable"), b"plain");
    }

    #[test]
    fn what_is_cut_off_or_not_read_is_an_error() {
        for whole in packed(&[7; 5000]) {
            for length in 8..whole.len() {
                assert!(read(&whole[..length]).is_err(), "{length} of {}", whole.len());
            }
        }
        let error = read(b"LZIP....").expect_err("refused");
        assert_eq!(error.to_string(), "lzip is not read; gzip, bzip2, xz and zstd are");
    }
}
