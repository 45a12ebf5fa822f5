//! MD5 keys of paths: how catalogs find a row by its path.

use std::fmt;

use md5::{Digest, Md5};

/// The MD5 digest of a path inside a repository. The root is the empty path, everything else starts with `/`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct PathKey([u8; 16]);

impl PathKey {
    /// The key that stands for "no parent": all zero, the parent of a repository's root row.
    pub const NONE: Self = Self([0; 16]);

    /// The key of `path`.
    pub fn of(path: &[u8]) -> Self {
        Self(Md5::digest(path).into())
    }

    /// A key from the two integers in which catalogs store it (each eight digest bytes, little endian).
    pub fn from_halves(first: i64, second: i64) -> Self {
        let mut digest = [0; 16];
        digest[..8].copy_from_slice(&first.to_le_bytes());
        digest[8..].copy_from_slice(&second.to_le_bytes());
        Self(digest)
    }

    /// The two integers in which catalogs store this key.
    pub fn halves(&self) -> (i64, i64) {
        let half = |range: std::ops::Range<usize>| {
            let mut bytes = [0; 8];
            bytes.copy_from_slice(&self.0[range]);
            i64::from_le_bytes(bytes)
        };
        (half(0..8), half(8..16))
    }
}

impl fmt::Display for PathKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl fmt::Debug for PathKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_root_is_the_digest_of_nothing() {
        assert_eq!(PathKey::of(b"").to_string(), "d41d8cd98f00b204e9800998ecf8427e");
    }

    #[test]
    fn halves_are_read_back() {
        let key = PathKey::of(b"/a/b");
        let (first, second) = key.halves();
        assert_eq!(PathKey::from_halves(first, second), key);
    }
}
