//! SHA-256 digests of files, and fingerprints of the keys that signed an index.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use sha2::Digest as _;

/// The SHA-256 digest of a file, as the indexes of both families give it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Sha256([u8; 32]);

/// The fingerprint of an OpenPGP key, in capitals.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Fingerprint(String);

/// Text that is neither.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DigestError {
    /// Not 64 hexadecimal digits.
    #[error("'{}' is not a SHA-256 digest of 64 hexadecimal digits", .0.escape_debug())]
    Digest(String),
    /// Not 40 or 64 hexadecimal digits.
    #[error("'{}' is not the fingerprint of a key, of 40 or 64 hexadecimal digits", .0.escape_debug())]
    Fingerprint(String),
}

impl Sha256 {
    /// The digest of these bytes.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        Self(sha2::Sha256::digest(bytes).into())
    }

    /// What a hasher came to.
    #[must_use]
    pub fn finish(hasher: sha2::Sha256) -> Self {
        Self(hasher.finalize().into())
    }
}

impl FromStr for Sha256 {
    type Err = DigestError;

    fn from_str(text: &str) -> Result<Self, DigestError> {
        let mut digest = [0; 32];
        hex::decode_to_slice(text, &mut digest).map_err(|_| DigestError::Digest(text.to_owned()))?;
        Ok(Self(digest))
    }
}

impl fmt::Display for Sha256 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl fmt::Debug for Sha256 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Sha256({self})")
    }
}

impl TryFrom<String> for Sha256 {
    type Error = DigestError;

    fn try_from(text: String) -> Result<Self, DigestError> {
        text.parse()
    }
}

impl From<Sha256> for String {
    fn from(digest: Sha256) -> Self {
        digest.to_string()
    }
}

impl Fingerprint {
    /// From the fingerprint's bytes: 20 of a key of version 4, 32 of one of version 6.
    ///
    /// # Errors
    /// If there are neither 20 nor 32 of them.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, DigestError> {
        hex::encode(bytes).parse()
    }

    /// The digits, in capitals.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Fingerprint {
    type Err = DigestError;

    /// Blanks between the digits, as people print them, are left out.
    fn from_str(text: &str) -> Result<Self, DigestError> {
        let digits = text.replace(' ', "").to_ascii_uppercase();
        if (digits.len() == 40 || digits.len() == 64) && digits.bytes().all(|digit| digit.is_ascii_hexdigit())
        {
            Ok(Self(digits))
        } else {
            Err(DigestError::Fingerprint(text.to_owned()))
        }
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for Fingerprint {
    type Error = DigestError;

    fn try_from(text: String) -> Result<Self, DigestError> {
        text.parse()
    }
}

impl From<Fingerprint> for String {
    fn from(fingerprint: Fingerprint) -> Self {
        fingerprint.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digests_are_read_in_either_case_and_written_in_one() {
        let text = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        assert_eq!(Sha256::of(b"").to_string(), text);
        assert_eq!(text.to_uppercase().parse(), Ok(Sha256::of(b"")));
        assert!(text[1..].parse::<Sha256>().is_err());
    }

    #[test]
    fn fingerprints_are_capitals_without_blanks() {
        let printed = "b8b8 0b5b 623e ab6a d877 5c45 b7c5 d7d6 3509 47f8";
        let fingerprint: Fingerprint = printed.parse().expect("because it is one");
        assert_eq!(fingerprint.as_str(), "B8B80B5B623EAB6AD8775C45B7C5D7D6350947F8");
        assert!("B7C5D7D6350947F8".parse::<Fingerprint>().is_err());
    }
}
