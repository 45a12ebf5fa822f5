//! The fingerprint of a master key: by it documents name who has to have signed, without the key itself.

use std::fmt;
use std::str::FromStr;

use rsa::RsaPublicKey;
use rsa::pkcs8::EncodePublicKey as _;
use rsa::sha2::{Digest as _, Sha256};

/// What stands before the digits.
const PREFIX: &str = "sha256:";

/// The SHA-256 digest of a public key in its DER form (`SubjectPublicKeyInfo`). Text form: `sha256:` and 64 lower-case
/// hexadecimal digits, what `openssl pkey -pubin -in NAME.pub -outform DER | sha256sum` prints.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyFingerprint([u8; 32]);

impl KeyFingerprint {
    pub(crate) fn of(key: &RsaPublicKey) -> Self {
        let der = key.to_public_key_der().expect("because every checked key can be encoded");
        Self(Sha256::digest(der.as_bytes()).into())
    }

    /// A fingerprint that was computed elsewhere.
    pub fn from_digest(digest: [u8; 32]) -> Self {
        Self(digest)
    }
}

impl FromStr for KeyFingerprint {
    type Err = KeyFingerprintError;

    fn from_str(text: &str) -> Result<Self, KeyFingerprintError> {
        let digits = text.strip_prefix(PREFIX).filter(|digits| digits.len() == 64);
        let parsed = digits.and_then(|digits| {
            let mut digest = [0; 32];
            for (byte, pair) in digest.iter_mut().zip(digits.as_bytes().chunks_exact(2)) {
                *byte = 16 * nibble(pair[0])? + nibble(pair[1])?;
            }
            Some(Self(digest))
        });
        parsed.ok_or_else(|| KeyFingerprintError { text: text.chars().take(80).collect() })
    }
}

impl fmt::Display for KeyFingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(PREFIX)?;
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for KeyFingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

fn nibble(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    }
}

/// A text that is no fingerprint of a key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("'{text}' is not the fingerprint of a key: write {PREFIX} and 64 lower-case hexadecimal digits")]
pub struct KeyFingerprintError {
    text: String,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::PublicKeys;

    #[test]
    fn it_is_what_openssl_prints() {
        let pem = include_bytes!("../../../tests/fixtures/fix1.lab.example/keys/fix1.lab.example.pub");
        let keys = PublicKeys::from_pem(pem).expect("because it is a key");
        let text = "sha256:d65b0dea10e9dc5ed30fd6e6770234d720c5e0bba111f4934343f5b690a52b78";
        let fingerprint: KeyFingerprint = text.parse().expect("because it is a fingerprint");
        assert_eq!(fingerprint.to_string(), text);
        let alone = keys.with_fingerprint(&fingerprint).expect("because it is this key's");
        assert_eq!((alone.len(), alone.fingerprints()), (1, vec![fingerprint]));
        for bad in ["", "sha256:", &text[7..], &text[..70], &text.to_uppercase(), &text.replace(':', "::")] {
            assert!(bad.parse::<KeyFingerprint>().is_err(), "{bad}");
        }
    }
}
