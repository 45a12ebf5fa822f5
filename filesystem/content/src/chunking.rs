//! Content-defined chunking with the xor32 rolling checksum and the cut points of CernVM-FS.
//!
//! The checksum is `x = (x << 1) ^ byte` in 32 bits, so exactly the last 32 bytes count. After a cut it starts from
//! zero, 32 bytes before the smallest allowed next cut. Behind a byte, a cut is made if the checksum, taken as a signed
//! number, is closer to 2³¹ − 1 than `(2³² − 1) / average`, in wrapping 32-bit arithmetic; or at the maximum size.

/// Bytes that the rolling checksum depends on.
const WINDOW: usize = 32;

/// The sizes that steer where a file is cut, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChunkSizes {
    minimum: usize,
    average: usize,
    maximum: usize,
}

impl ChunkSizes {
    /// 4, 8 and 16 MiB: the defaults of CernVM-FS.
    pub const DEFAULT: Self = Self { minimum: 4 << 20, average: 8 << 20, maximum: 16 << 20 };

    /// The largest maximum that is allowed, 64 MiB: a chunk is held in memory while it is compressed or verified.
    pub const LIMIT: usize = 64 << 20;

    /// Checks and keeps the three sizes.
    ///
    /// # Errors
    /// [`ChunkSizesError`] unless 32 < minimum ≤ average ≤ maximum ≤ 64 MiB.
    pub fn new(minimum: usize, average: usize, maximum: usize) -> Result<Self, ChunkSizesError> {
        if WINDOW < minimum && minimum <= average && average <= maximum && maximum <= Self::LIMIT {
            Ok(Self { minimum, average, maximum })
        } else {
            Err(ChunkSizesError { minimum, average, maximum })
        }
    }

    /// The smallest chunk but for a file's last one. A file of at most this size is not cut at all.
    pub fn minimum(&self) -> usize {
        self.minimum
    }

    /// The size that cut points aim at.
    pub fn average(&self) -> usize {
        self.average
    }

    /// The largest chunk.
    pub fn maximum(&self) -> usize {
        self.maximum
    }
}

/// Chunk sizes that contradict each other.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error(
    "chunk sizes must satisfy 32 < minimum ({minimum}) <= average ({average}) <= maximum ({maximum}) <= 64 MiB"
)]
pub struct ChunkSizesError {
    minimum: usize,
    average: usize,
    maximum: usize,
}

/// Finds the cut points of one file whose bytes arrive in pieces of any size.
#[derive(Clone, Debug)]
pub struct Chunker {
    sizes: ChunkSizes,
    threshold: i32,
    checksum: u32,
    /// Bytes since the last cut.
    length: usize,
}

impl Chunker {
    /// A chunker at the start of a file.
    pub fn new(sizes: ChunkSizes) -> Self {
        // The original keeps the quotient in a signed 32-bit number; an average of 1 would wrap, the minimum forbids it.
        let threshold = (u32::MAX / sizes.average as u32) as i32;
        Self { sizes, threshold, checksum: 0, length: 0 }
    }

    /// Takes the next bytes of the file and tells behind how many of them the next cut lies, if it lies in them.
    ///
    /// After `Some(n)`, call again with the bytes from `n` on. `Some(0)` is possible: the cut lies before the first
    /// byte, when the previous piece ended there. The end of the file ends its last chunk without a cut being told.
    pub fn find_cut(&mut self, bytes: &[u8]) -> Option<usize> {
        let warm_up = self.sizes.minimum - WINDOW;
        let mut position = 0;
        if self.length < warm_up {
            position = (warm_up - self.length).min(bytes.len());
            self.length += position;
        }
        while self.length < self.sizes.minimum && position < bytes.len() {
            self.checksum = (self.checksum << 1) ^ u32::from(bytes[position]);
            self.length += 1;
            position += 1;
        }
        if self.length < self.sizes.minimum {
            return None;
        }
        let end = position + (self.sizes.maximum - self.length).min(bytes.len() - position);
        let start = position;
        let mut checksum = self.checksum;
        for &byte in &bytes[start..end] {
            checksum = (checksum << 1) ^ u32::from(byte);
            if (checksum as i32).wrapping_sub(i32::MAX).wrapping_abs() < self.threshold {
                return Some(self.cut(position));
            }
            position += 1;
        }
        self.checksum = checksum;
        self.length += position - start;
        if self.length == self.sizes.maximum && position < bytes.len() {
            return Some(self.cut(position));
        }
        None
    }

    fn cut(&mut self, position: usize) -> usize {
        self.checksum = 0;
        self.length = 0;
        position
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The lengths of the chunks of a file handed over in pieces.
    fn lengths(sizes: ChunkSizes, file: &[u8], piece: usize) -> Vec<usize> {
        let mut chunker = Chunker::new(sizes);
        let mut lengths = vec![];
        let mut length = 0;
        for mut bytes in file.chunks(piece) {
            while let Some(cut) = chunker.find_cut(bytes) {
                lengths.push(length + cut);
                length = 0;
                bytes = &bytes[cut..];
            }
            length += bytes.len();
        }
        lengths.push(length);
        lengths
    }

    /// The rule as it is stated at the top of this file, byte by byte over the whole file.
    fn lengths_by_definition(sizes: ChunkSizes, file: &[u8]) -> Vec<usize> {
        let mut lengths = vec![];
        let mut start = 0;
        'chunk: while start < file.len() {
            let mut checksum = 0u32;
            for (at, &byte) in file.iter().enumerate().skip(start + sizes.minimum - WINDOW) {
                if at == start + sizes.maximum {
                    lengths.push(at - start);
                    start = at;
                    continue 'chunk;
                }
                checksum = (checksum << 1) ^ u32::from(byte);
                let distance = (checksum as i32).wrapping_sub(0x7FFF_FFFF).wrapping_abs();
                if at >= start + sizes.minimum && distance < (0xFFFF_FFFFu32 / sizes.average as u32) as i32 {
                    lengths.push(at - start);
                    start = at;
                    continue 'chunk;
                }
            }
            lengths.push(file.len() - start);
            return lengths;
        }
        lengths
    }

    fn noise(length: usize, mut seed: u32) -> Vec<u8> {
        (0..length)
            .map(|_| {
                seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                (seed >> 24) as u8
            })
            .collect()
    }

    proptest! {
        #[test]
        fn cuts_do_not_depend_on_pieces(length in 1usize..60_000, piece in 1usize..9_000, seed: u32) {
            let sizes = ChunkSizes::new(1024, 2048, 4096).expect("because the sizes rise");
            let file = noise(length, seed);
            let expected = lengths_by_definition(sizes, &file);
            prop_assert_eq!(lengths(sizes, &file, piece), expected);
        }
    }

    #[test]
    fn a_file_of_the_maximum_size_stays_whole() {
        let sizes = ChunkSizes::new(64, 64, 128).expect("because the sizes rise");
        assert_eq!(lengths(sizes, &[0; 128], 50), [128]);
        assert_eq!(lengths(sizes, &[0; 129], 64), [128, 1]);
    }

    #[test]
    fn contradicting_sizes_are_refused() {
        for (minimum, average, maximum) in [(32, 64, 128), (64, 63, 128), (64, 128, 127), (64, 128, 65 << 20)]
        {
            assert!(ChunkSizes::new(minimum, average, maximum).is_err());
        }
    }
}
