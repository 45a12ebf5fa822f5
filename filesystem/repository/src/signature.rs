//! The sealed letter that manifest and whitelist come in, and the two ways in which one is signed.
//!
//! ```text
//! <text, ends with a newline>--\n
//! <hash of the text, as text>\n
//! <signature over the hash's text, to the end of the file>
//! ```
//!
//! Who may sign what is not known here; see [`crate::Trust`].

use rand::rngs::OsRng;
use rsa::Pkcs1v15Sign;
use rsa::RsaPrivateKey;
use rsa::RsaPublicKey;
use rsa::sha2::Digest as _;
use sha1::Sha1;
use varve_content::{Algorithm, ContentHash, HashError};

/// The most bytes of a manifest or a whitelist.
const LIMIT: usize = 1 << 20;

/// The most bytes of a signature: a key of 16,384 bits.
const SIGNATURE_LIMIT: usize = 2048;

/// A text whose printed hash is right. Nothing says yet who signed it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Letter {
    text: String,
    hash: ContentHash,
    signature: Vec<u8>,
}

/// Which of the two ways of signing a letter uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Padding {
    /// PKCS #1 v1.5 over the SHA-1 of the hash's text: manifests. It is SHA-1 whatever algorithm the hash has.
    Sha1,
    /// PKCS #1 v1.5 over the hash's text itself, without a `DigestInfo`: whitelists.
    Unprefixed,
}

impl Padding {
    fn scheme_and_message(self, hash_text: &str) -> (Pkcs1v15Sign, Vec<u8>) {
        match self {
            Self::Sha1 => (Pkcs1v15Sign::new::<Sha1>(), Sha1::digest(hash_text.as_bytes()).to_vec()),
            Self::Unprefixed => (Pkcs1v15Sign::new_unprefixed(), hash_text.as_bytes().to_vec()),
        }
    }
}

impl Letter {
    /// Takes a letter apart and compares its text with its hash.
    pub(crate) fn parse(bytes: &[u8]) -> Result<Self, LetterError> {
        if bytes.is_empty() {
            return Err(LetterError::Empty);
        }
        if bytes.len() > LIMIT {
            return Err(LetterError::TooLarge);
        }
        let text_length = text_length(bytes).ok_or_else(|| LetterError::unsigned(bytes))?;
        let rest = &bytes[text_length + 3..];
        let line_end = rest.iter().position(|&byte| byte == b'\n').ok_or(LetterError::CutShort)?;
        let (line, signature) = (&rest[..line_end], &rest[line_end + 1..]);
        if signature.is_empty() || signature.len() > SIGNATURE_LIMIT {
            return Err(LetterError::CutShort);
        }
        let text = std::str::from_utf8(&bytes[..text_length]).map_err(|_| LetterError::NotText)?;
        let line = std::str::from_utf8(line).map_err(|_| LetterError::NotText)?;
        let hash: ContentHash = line.parse()?;
        if hash.algorithm().hash(text.as_bytes()) != hash {
            return Err(LetterError::WrongHash);
        }
        Ok(Self { text: text.to_owned(), hash, signature: signature.to_vec() })
    }

    /// Hashes and signs a text.
    pub(crate) fn sign(
        text: String,
        algorithm: Algorithm,
        padding: Padding,
        key: &RsaPrivateKey,
    ) -> Result<Self, rsa::Error> {
        let hash = algorithm.hash(text.as_bytes());
        let (scheme, message) = padding.scheme_and_message(&hash.to_string());
        let signature = key.sign_with_rng(&mut OsRng, scheme, &message)?;
        Ok(Self { text, hash, signature })
    }

    /// Whether the holder of this key signed the letter.
    pub(crate) fn is_signed_by(&self, key: &RsaPublicKey, padding: Padding) -> bool {
        let (scheme, message) = padding.scheme_and_message(&self.hash.to_string());
        key.verify(scheme, &message, &self.signature).is_ok()
    }

    /// The text, with the newline at its end.
    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// The file's bytes.
    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = format!("{}--\n{}\n", self.text, self.hash).into_bytes();
        bytes.extend_from_slice(&self.signature);
        bytes
    }
}

/// The length of the text before the first line `--`, or of all bytes where there is none and `bytes` is bare text.
fn text_length(bytes: &[u8]) -> Option<usize> {
    bytes.windows(4).position(|window| window == b"\n--\n").map(|at| at + 1)
}

/// The text before the first line `--`, all of it where there is no such line: what PKCS #7 files contain.
pub(crate) fn text_of(bytes: &[u8]) -> Result<&str, LetterError> {
    if bytes.len() > LIMIT {
        return Err(LetterError::TooLarge);
    }
    std::str::from_utf8(&bytes[..text_length(bytes).unwrap_or(bytes.len())]).map_err(|_| LetterError::NotText)
}

/// What is wrong with the form of a signed file, before anybody asks who signed it.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum LetterError {
    /// No bytes at all.
    #[error("file is empty")]
    Empty,
    /// A web page: a captive portal, a proxy's error, a wrong address.
    #[error("a web page came instead of the file")]
    WebPage,
    /// No line `--` with a signature behind it.
    #[error("file has no signature")]
    Unsigned,
    /// It ends before the signature does.
    #[error("signature is cut short or too long")]
    CutShort,
    /// More bytes than such a file has.
    #[error("file is larger than 1 MiB")]
    TooLarge,
    /// Bytes that are no UTF-8 where only text may be.
    #[error("file holds bytes that are no text")]
    NotText,
    /// The line behind the text is no hash.
    #[error("line before the signature is no hash")]
    Hash(#[from] HashError),
    /// The text was changed after it was hashed, or damaged on the way.
    #[error("text does not match the hash below it")]
    WrongHash,
}

impl LetterError {
    fn unsigned(bytes: &[u8]) -> Self {
        let start = bytes.trim_ascii_start();
        if start.first() == Some(&b'<') { Self::WebPage } else { Self::Unsigned }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_way_to_damage_a_letter_has_its_name() {
        let hash = Algorithm::Sha1.hash(b"a\n");
        let good = format!("a\n--\n{hash}\nsignature").into_bytes();
        assert_eq!(Letter::parse(&good).expect("a whole letter").text(), "a\n");
        assert_eq!(Letter::parse(&good).expect("a whole letter").to_bytes(), good);
        let wrong = format!("b\n--\n{hash}\nsignature");
        let cases: [(&[u8], LetterError); 8] = [
            (b"", LetterError::Empty),
            (b" <!DOCTYPE html>\n--\n", LetterError::CutShort),
            (b"\n<html>please sign in</html>", LetterError::WebPage),
            (b"Cabc\nRdef\n", LetterError::Unsigned),
            (&good[..good.len() - 9], LetterError::CutShort),
            (wrong.as_bytes(), LetterError::WrongHash),
            (b"\xff\n--\nabc\nsignature", LetterError::NotText),
            (&vec![b'x'; LIMIT + 1], LetterError::TooLarge),
        ];
        for (bytes, error) in cases {
            assert_eq!(Letter::parse(bytes), Err(error));
        }
        assert!(matches!(Letter::parse(b"a\n--\nabc\nsignature"), Err(LetterError::Hash(_))));
    }

    #[test]
    fn the_two_paddings_are_not_exchangeable() {
        let key = RsaPrivateKey::new(&mut OsRng, 1024).expect("because 1024 bits are allowed");
        for (padding, other) in [(Padding::Sha1, Padding::Unprefixed), (Padding::Unprefixed, Padding::Sha1)] {
            for algorithm in Algorithm::ALL {
                let letter = Letter::sign("a\n".to_owned(), algorithm, padding, &key).expect("a signature");
                let letter = Letter::parse(&letter.to_bytes()).expect("a whole letter");
                assert!(letter.is_signed_by(&key.to_public_key(), padding));
                assert!(!letter.is_signed_by(&key.to_public_key(), other));
            }
        }
    }
}
