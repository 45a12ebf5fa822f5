//! What a file in the cache is called: hash and, where needed, what was made of the object; never the kind of object.

use varve_content::{Compression, ContentHash};

/// The path of a cached file below the cache's directory: `ab/cdef…`, the algorithm's suffix, then `.` and a tag if
/// the file is not simply the zlib-decompressed object.
///
/// The compression is part of the name, since it is not part of the object: a catalog that names the same object with
/// another compression must get other content.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct CacheName(String);

impl CacheName {
    /// The content of an object.
    pub(crate) fn content(hash: &ContentHash, compression: Compression) -> Self {
        match compression {
            Compression::Zlib => Self::tagged(hash, ""),
            Compression::None => Self::tagged(hash, ".none"),
            Compression::Zstd => Self::tagged(hash, ".zstd"),
        }
    }

    /// Something computed from an object.
    pub(crate) fn derived(hash: &ContentHash, kind: &'static str) -> Self {
        debug_assert!(
            !kind.is_empty() && kind.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
        );
        Self::tagged(hash, &format!(".{kind}"))
    }

    fn tagged(hash: &ContentHash, tag: &str) -> Self {
        let suffix = hash.algorithm().suffix();
        let mut path = String::with_capacity(41 + suffix.len() + tag.len());
        for (index, byte) in hash.digest().iter().enumerate() {
            if index == 1 {
                path.push('/');
            }
            for digit in [byte >> 4, byte & 15] {
                path.push(char::from(b"0123456789abcdef"[usize::from(digit)]));
            }
        }
        path.push_str(suffix);
        path.push_str(tag);
        Self(path)
    }

    /// The path below the cache's directory.
    pub(crate) fn path(&self) -> &str {
        &self.0
    }

    /// The directory in it, two digits.
    pub(crate) fn directory(&self) -> &str {
        &self.0[..2]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use varve_content::Algorithm;

    #[test]
    fn names_tell_apart_what_differs() {
        let hash = Algorithm::Rmd160.hash(b"abc");
        let path = "8e/b208f7e05d987a9b044a8e98c6b087f15a0bfc-rmd160";
        assert_eq!(CacheName::content(&hash, Compression::Zlib).path(), path);
        assert_eq!(CacheName::content(&hash, Compression::None).path(), format!("{path}.none"));
        assert_eq!(CacheName::derived(&hash, "index").path(), format!("{path}.index"));
        assert_eq!(CacheName::derived(&hash, "index").directory(), "8e");
    }
}
