//! Content hashes: the algorithm, the digest, their text forms and the streaming hasher.
//!
//! The type letter of an object's name is not part of a hash; see [`crate::ObjectName`].

use std::fmt;
use std::str::FromStr;

use digest::{ExtendableOutput, Update, XofReader};

/// Bytes in every content digest, whatever the algorithm.
const DIGEST_LENGTH: usize = 20;

/// A hash algorithm for object contents. Path keys use MD5 instead, see [`crate::PathKey`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Algorithm {
    /// SHA-1, the default of CernVM-FS and of Varve.
    #[default]
    Sha1,
    /// RIPEMD-160, text suffix `-rmd160`.
    Rmd160,
    /// SHAKE-128 squeezed to 160 bits, text suffix `-shake128`.
    Shake128,
}

impl Algorithm {
    /// Every algorithm, in the order of their codes.
    pub const ALL: [Self; 3] = [Self::Sha1, Self::Rmd160, Self::Shake128];

    /// What follows the hexadecimal digits in text forms; empty for SHA-1.
    pub fn suffix(self) -> &'static str {
        match self {
            Self::Sha1 => "",
            Self::Rmd160 => "-rmd160",
            Self::Shake128 => "-shake128",
        }
    }

    /// The name used in configuration: `sha1`, `rmd160` or `shake128`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Sha1 => "sha1",
            Self::Rmd160 => "rmd160",
            Self::Shake128 => "shake128",
        }
    }

    /// The number that catalogs store in bits 8 to 10 of an entry's flags.
    pub fn catalog_code(self) -> u32 {
        match self {
            Self::Sha1 => 0,
            Self::Rmd160 => 1,
            Self::Shake128 => 2,
        }
    }

    /// The inverse of [`Self::catalog_code`].
    pub fn from_catalog_code(code: u32) -> Option<Self> {
        Self::ALL.into_iter().find(|algorithm| algorithm.catalog_code() == code)
    }

    /// The hash of `bytes` in one call.
    pub fn hash(self, bytes: &[u8]) -> ContentHash {
        let mut hasher = Hasher::new(self);
        hasher.update(bytes);
        hasher.finish()
    }
}

impl FromStr for Algorithm {
    type Err = HashError;

    fn from_str(text: &str) -> Result<Self, HashError> {
        Self::ALL
            .into_iter()
            .find(|algorithm| algorithm.name() == text)
            .ok_or_else(|| HashError::Algorithm { text: shorten(text) })
    }
}

impl fmt::Display for Algorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The hash of an object's stored bytes.
///
/// Text form: 40 lower-case hexadecimal digits and the algorithm's suffix, as in manifests and `nested_catalogs`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ContentHash {
    algorithm: Algorithm,
    digest: [u8; DIGEST_LENGTH],
}

impl ContentHash {
    /// A hash from its raw digest, as catalogs store it.
    pub fn from_digest(algorithm: Algorithm, digest: [u8; DIGEST_LENGTH]) -> Self {
        Self { algorithm, digest }
    }

    /// The algorithm that made this hash.
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// The raw digest, 20 bytes.
    pub fn digest(&self) -> &[u8; DIGEST_LENGTH] {
        &self.digest
    }

    /// The fingerprint form of whitelists: upper-case pairs joined by `:`, then the upper-case suffix.
    pub fn fingerprint(&self) -> String {
        let pairs: Vec<String> = self.digest.iter().map(|byte| format!("{byte:02X}")).collect();
        format!("{}{}", pairs.join(":"), self.algorithm.suffix().to_ascii_uppercase())
    }

    /// Reads a fingerprint line: stops at a blank, a tab or `#`, ignores `:` and letter case.
    ///
    /// # Errors
    /// [`HashError::Malformed`] if what remains is no hash.
    pub fn from_fingerprint(line: &str) -> Result<Self, HashError> {
        let end = line.find([' ', '\t', '#']).unwrap_or(line.len());
        line[..end].replace(':', "").to_ascii_lowercase().parse()
    }
}

impl FromStr for ContentHash {
    type Err = HashError;

    fn from_str(text: &str) -> Result<Self, HashError> {
        let malformed = || HashError::Malformed { text: shorten(text) };
        let (digits, suffix) = text.split_at_checked(2 * DIGEST_LENGTH).ok_or_else(malformed)?;
        let algorithm = Algorithm::ALL
            .into_iter()
            .find(|algorithm| algorithm.suffix() == suffix)
            .ok_or_else(malformed)?;
        if digits.bytes().any(|byte| byte.is_ascii_uppercase()) {
            return Err(malformed());
        }
        let mut digest = [0; DIGEST_LENGTH];
        hex::decode_to_slice(digits, &mut digest).map_err(|_| malformed())?;
        Ok(Self { algorithm, digest })
    }
}

impl fmt::Display for ContentHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut digits = [0; 2 * DIGEST_LENGTH];
        hex::encode_to_slice(self.digest, &mut digits).map_err(|_| fmt::Error)?;
        f.write_str(std::str::from_utf8(&digits).map_err(|_| fmt::Error)?)?;
        f.write_str(self.algorithm.suffix())
    }
}

impl fmt::Debug for ContentHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Computes a [`ContentHash`] over bytes that arrive in pieces.
#[derive(Clone)]
pub struct Hasher(State);

// One hasher per object being read: its size on the stack is nothing beside the object.
#[allow(clippy::large_enum_variant)]
#[derive(Clone)]
enum State {
    Sha1(sha1::Sha1),
    Rmd160(ripemd::Ripemd160),
    Shake128(sha3::Shake128),
}

impl Hasher {
    /// An empty hasher.
    pub fn new(algorithm: Algorithm) -> Self {
        Self(match algorithm {
            Algorithm::Sha1 => State::Sha1(sha1::Sha1::default()),
            Algorithm::Rmd160 => State::Rmd160(ripemd::Ripemd160::default()),
            Algorithm::Shake128 => State::Shake128(sha3::Shake128::default()),
        })
    }

    /// Appends bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        match &mut self.0 {
            State::Sha1(state) => state.update(bytes),
            State::Rmd160(state) => state.update(bytes),
            State::Shake128(state) => state.update(bytes),
        }
    }

    /// The hash of all bytes so far.
    pub fn finish(self) -> ContentHash {
        use digest::FixedOutput as _;
        match self.0 {
            State::Sha1(state) => ContentHash::from_digest(Algorithm::Sha1, state.finalize_fixed().into()),
            State::Rmd160(state) => {
                ContentHash::from_digest(Algorithm::Rmd160, state.finalize_fixed().into())
            }
            State::Shake128(state) => {
                let mut digest = [0; DIGEST_LENGTH];
                state.finalize_xof().read(&mut digest);
                ContentHash::from_digest(Algorithm::Shake128, digest)
            }
        }
    }
}

/// What is wrong with the text of a hash.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum HashError {
    /// Not 40 lower-case hexadecimal digits and a known suffix.
    #[error("'{text}' is not a content hash (40 hexadecimal digits, then nothing, -rmd160 or -shake128)")]
    Malformed {
        /// The offending text, shortened.
        text: String,
    },
    /// Not the name of an algorithm.
    #[error("'{text}' is not a hash algorithm (sha1, rmd160 or shake128)")]
    Algorithm {
        /// The offending text, shortened.
        text: String,
    },
}

/// At most 60 characters of a foreign text, for messages.
fn shorten(text: &str) -> String {
    text.chars().take(60).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digests_equal_published_vectors() {
        let vectors = [
            (Algorithm::Sha1, "a9993e364706816aba3e25717850c26c9cd0d89d"),
            (Algorithm::Rmd160, "8eb208f7e05d987a9b044a8e98c6b087f15a0bfc-rmd160"),
            (Algorithm::Shake128, "5881092dd818bf5cf8a3ddb793fbcba74097d5c5-shake128"),
        ];
        for (algorithm, text) in vectors {
            assert_eq!(algorithm.hash(b"abc").to_string(), text);
        }
    }

    #[test]
    fn text_and_fingerprint_are_read_back() {
        for algorithm in Algorithm::ALL {
            let hash = algorithm.hash(b"varve");
            assert_eq!(hash.to_string().parse(), Ok(hash));
            let line = format!("{} # the publisher's certificate", hash.fingerprint());
            assert_eq!(ContentHash::from_fingerprint(&line), Ok(hash));
        }
    }

    #[test]
    fn malformed_text_is_refused() {
        let good = Algorithm::Sha1.hash(b"").to_string();
        for bad in
            ["", "ab", &good[1..], &format!("{good}C"), &format!("{good}-md5"), &good.to_uppercase(), "é"]
        {
            assert!(bad.parse::<ContentHash>().is_err(), "{bad}");
        }
    }
}
