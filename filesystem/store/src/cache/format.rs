//! The form of a cached file: content, then a seal by which every later read is checked without hashing it again.
//!
//! ```text
//! offset           bytes     what
//! 0                size      the content
//! size             8 × n     XXH3-64 of each 65,536 bytes of it (the last may be shorter), little endian; n = ⌈size / 65536⌉
//! size + 8n        8         size, little endian
//! size + 8n + 8    8         XXH3-64, little endian, of: the file's path in the cache, then everything between content and here
//! size + 8n + 16   8         "VARVEC1" and a line feed
//! ```
//!
//! The size follows from the file's length alone, so one read gets the seal. The path in the checksum tells a file that
//! was moved under another name. These are checksums against damage, not signatures: whoever may write to the
//! directory is trusted.
//!
//! docs/formats/cache.md says the same for people, with the example that a test below keeps true.

use xxhash_rust::xxh3::xxh3_64;

use super::name::CacheName;

/// Bytes of content under one checksum.
pub(crate) const BLOCK: usize = 64 << 10;

/// Bytes behind the table of checksums.
pub(crate) const TAIL: usize = 24;

const MAGIC: [u8; 8] = *b"VARVEC1\n";

/// The longest file whose content is a single block.
pub(crate) const ONE_BLOCK_FILE: u64 = (BLOCK + 8 + TAIL) as u64;

/// The checksums of one file's content.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Seal {
    size: u64,
    blocks: Vec<u64>,
}

impl Seal {
    /// The seal of content that is in memory.
    pub(crate) fn over(content: &[u8]) -> Self {
        Self { size: content.len() as u64, blocks: content.chunks(BLOCK).map(xxh3_64).collect() }
    }

    /// A seal whose blocks were summed up one by one, see [`block_sum`].
    pub(crate) fn of_blocks(size: u64, blocks: Vec<u64>) -> Self {
        debug_assert_eq!(blocks.len() as u64, size.div_ceil(BLOCK as u64));
        Self { size, blocks }
    }

    /// The bytes of content.
    pub(crate) fn size(&self) -> u64 {
        self.size
    }

    /// What stands behind the content in the file.
    pub(crate) fn to_bytes(&self, name: &CacheName) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(8 * self.blocks.len() + TAIL);
        for sum in &self.blocks {
            bytes.extend_from_slice(&sum.to_le_bytes());
        }
        bytes.extend_from_slice(&self.size.to_le_bytes());
        let sum = seal_sum(name, &bytes);
        bytes.extend_from_slice(&sum.to_le_bytes());
        bytes.extend_from_slice(&MAGIC);
        bytes
    }

    /// Reads a seal, given all that stands behind the content. `None` if it is damaged or belongs to another name.
    pub(crate) fn parse(name: &CacheName, size: u64, bytes: &[u8]) -> Option<Self> {
        let (checked, rest) = bytes.split_at_checked(bytes.len().checked_sub(16)?)?;
        let (table, recorded) = checked.split_at_checked(checked.len().checked_sub(8)?)?;
        let sound = rest[8..] == MAGIC
            && rest[..8] == seal_sum(name, checked).to_le_bytes()
            && recorded == size.to_le_bytes()
            && table.len() as u64 == 8 * size.div_ceil(BLOCK as u64);
        let blocks = table.chunks_exact(8).map(|sum| {
            let mut bytes = [0; 8];
            bytes.copy_from_slice(sum);
            u64::from_le_bytes(bytes)
        });
        sound.then(|| Self { size, blocks: blocks.collect() })
    }

    /// Whether `content`, which begins at block `first` and ends with a block, is what was sealed.
    pub(crate) fn matches(&self, first: usize, content: &[u8]) -> bool {
        content
            .chunks(BLOCK)
            .zip(first..)
            .all(|(block, index)| self.blocks.get(index) == Some(&xxh3_64(block)))
    }
}

/// The checksum of one block.
pub(crate) fn block_sum(block: &[u8]) -> u64 {
    xxh3_64(block)
}

/// The length of the file that holds `size` bytes of content.
pub(crate) fn file_length(size: u64) -> u64 {
    size + 8 * size.div_ceil(BLOCK as u64) + TAIL as u64
}

/// The inverse of [`file_length`]; `None` for a length that no file of this form has.
pub(crate) fn content_size(file_length: u64) -> Option<u64> {
    let sealed = file_length.checked_sub(TAIL as u64)?;
    sealed.checked_sub(8 * sealed.div_ceil(BLOCK as u64 + 8))
}

fn seal_sum(name: &CacheName, checked: &[u8]) -> u64 {
    let mut bytes = Vec::with_capacity(name.path().len() + checked.len());
    bytes.extend_from_slice(name.path().as_bytes());
    bytes.extend_from_slice(checked);
    xxh3_64(&bytes)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use varve_content::{Algorithm, Compression};

    use super::*;

    fn name(of: &[u8]) -> CacheName {
        CacheName::content(&Algorithm::Sha1.hash(of), Compression::Zlib)
    }

    proptest! {
        #[test]
        fn sizes_follow_from_lengths(size in prop_oneof![0..20 * BLOCK as u64, any::<u32>().prop_map(u64::from)]) {
            prop_assert_eq!(content_size(file_length(size)), Some(size));
        }

        #[test]
        fn every_flipped_bit_is_found(content in proptest::collection::vec(any::<u8>(), 0..300), at: prop::sample::Index, bit in 0..8_u32) {
            let name = name(b"x");
            let mut file = content.clone();
            file.extend(Seal::over(&content).to_bytes(&name));
            let at = at.index(file.len());
            file[at] ^= 1_u8 << bit;
            let sound = Seal::parse(&name, content.len() as u64, &file[content.len()..])
                .is_some_and(|seal| seal.matches(0, &file[..content.len()]));
            prop_assert!(!sound);
        }
    }

    #[test]
    fn many_blocks_are_told_apart() {
        let content: Vec<u8> = (0..3 * BLOCK + 5).map(|n| (n / 7) as u8).collect();
        let seal = Seal::over(&content);
        let bytes = seal.to_bytes(&name(b"x"));
        assert_eq!(Seal::parse(&name(b"x"), content.len() as u64, &bytes), Some(Seal::over(&content)));
        assert_eq!(Seal::parse(&name(b"y"), content.len() as u64, &bytes), None);
        assert!(seal.matches(1, &content[BLOCK..]));
        assert!(!seal.matches(1, &content[..BLOCK]));
        assert!(!seal.matches(4, b"more"));
    }

    #[test]
    fn the_documented_example_holds() {
        let name = name(b"abc");
        let mut file = b"varve\n".to_vec();
        file.extend(Seal::over(b"varve\n").to_bytes(&name));
        let lines: Vec<String> = file.chunks(16).map(hex_line).collect();
        let documented = include_str!("../../../../docs/formats/cache.md");
        for line in lines {
            assert!(documented.contains(&line), "docs/formats/cache.md lacks: {line}");
        }
    }

    fn hex_line(bytes: &[u8]) -> String {
        bytes.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().join(" ")
    }
}
