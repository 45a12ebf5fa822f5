//! User data that their owner has encrypted by a secret, for a hub that must not read them. Browsers do the same by WebCrypto;
//! docs/formats/protected.md has the layout.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use ring::pbkdf2;
use ring::rand::{SecureRandom as _, SystemRandom};
use serde::{Deserialize, Serialize};

/// How often the hash is repeated: what OWASP has for this one.
const ITERATIONS: u32 = 600_000;
/// More would only keep a machine busy.
const MOST_ITERATIONS: u32 = 10_000_000;

/// Why something can't be protected or opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProtectionError {
    /// There are no random numbers.
    #[error("the operating system has no random numbers")]
    Random,
    /// It is something else.
    #[error("that is no protected context")]
    Form,
    /// The secret is another one, or it was changed.
    #[error("the secret doesn't open the context")]
    Secret,
}

#[derive(Serialize, Deserialize)]
struct Protected {
    #[serde(rename = "varve-protected")]
    version: u32,
    iterations: u32,
    salt: String,
    nonce: String,
    data: String,
}

/// Encrypts user data.
///
/// # Errors
/// [`ProtectionError::Random`].
pub fn protect(user_data: &[u8], secret: &str) -> Result<String, ProtectionError> {
    let random = SystemRandom::new();
    let (mut salt, mut nonce) = ([0; 16], [0; 12]);
    random.fill(&mut salt).and_then(|()| random.fill(&mut nonce)).map_err(|_| ProtectionError::Random)?;
    let key = key(secret, &salt, ITERATIONS).ok_or(ProtectionError::Random)?;
    let mut data = user_data.to_vec();
    key.seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), Aad::empty(), &mut data)
        .map_err(|_| ProtectionError::Random)?;
    let protected = Protected {
        version: 1,
        iterations: ITERATIONS,
        salt: STANDARD.encode(salt),
        nonce: STANDARD.encode(nonce),
        data: STANDARD.encode(data),
    };
    serde_json::to_string(&protected).map_err(|_| ProtectionError::Form)
}

/// Decrypts them.
///
/// # Errors
/// [`ProtectionError`].
pub fn unprotect(text: &str, secret: &str) -> Result<Vec<u8>, ProtectionError> {
    let protected: Protected = serde_json::from_str(text.trim()).map_err(|_| ProtectionError::Form)?;
    if protected.version != 1 || protected.iterations > MOST_ITERATIONS {
        return Err(ProtectionError::Form);
    }
    let decoded = |text: &str| STANDARD.decode(text).map_err(|_| ProtectionError::Form);
    let (salt, nonce) = (decoded(&protected.salt)?, decoded(&protected.nonce)?);
    let mut data = decoded(&protected.data)?;
    let nonce = Nonce::try_assume_unique_for_key(&nonce).map_err(|_| ProtectionError::Form)?;
    let key = key(secret, &salt, protected.iterations).ok_or(ProtectionError::Form)?;
    let opened = key.open_in_place(nonce, Aad::empty(), &mut data);
    opened.map(|text| text.to_vec()).map_err(|_| ProtectionError::Secret)
}

fn key(secret: &str, salt: &[u8], iterations: u32) -> Option<LessSafeKey> {
    let iterations = std::num::NonZeroU32::new(iterations)?;
    let mut key = [0; 32];
    pbkdf2::derive(pbkdf2::PBKDF2_HMAC_SHA256, iterations, salt, secret.as_bytes(), &mut key);
    UnboundKey::new(&AES_256_GCM, &key).ok().map(LessSafeKey::new)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_secret_opens() {
        let text = protect(b"#!/bin/sh\n", "correct horse").unwrap();
        assert!(text.starts_with("{\"varve-protected\":1,"), "{text}");
        assert_eq!(unprotect(&text, "correct horse").unwrap(), b"#!/bin/sh\n");
        assert_eq!(unprotect(&text, "correct hors"), Err(ProtectionError::Secret));
        assert_eq!(unprotect("{}", "x"), Err(ProtectionError::Form));
        let endless = text.replace("600000", "4000000000");
        assert_eq!(unprotect(&endless, "correct horse"), Err(ProtectionError::Form));
    }
}
