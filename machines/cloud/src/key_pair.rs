//! Key pairs: public keys that let into machines. A private key is made once, given to whoever asked, and not kept.

use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use md5::Md5;
use rsa::RsaPrivateKey;
use rsa::pkcs1::EncodeRsaPrivateKey as _;
use rsa::pkcs8::{EncodePrivateKey as _, EncodePublicKey as _, LineEnding};
use sha1::Sha1;
use sha2::{Digest as _, Sha256};
use ssh_key::public::KeyData;
use ssh_key::rand_core::OsRng;
use ssh_key::{Algorithm, PrivateKey, PublicKey};

use crate::account::AccountId;
use crate::id::KeyPairId;
use crate::instance::UnknownWord;

/// The bits of RSA keys that are made.
const RSA_BITS: usize = 2048;
/// The longest public key that is taken, as text.
const LONGEST: usize = 16 * 1024;

/// What is recorded of a key pair.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyPair {
    /// Its id.
    pub id: KeyPairId,
    /// Whose it is.
    pub owner: AccountId,
    /// Its name, which no other of the owner's has.
    pub name: String,
    /// What kind of key.
    pub kind: KeyKind,
    /// By which people know it again.
    pub fingerprint: String,
    /// The public key in OpenSSH's form.
    pub public_key: String,
    /// When it was recorded, in milliseconds since 1970.
    pub created: i64,
}

/// Kinds of keys.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum KeyKind {
    /// RSA.
    #[default]
    Rsa,
    /// Ed25519.
    Ed25519,
}

impl KeyKind {
    /// As EC2 writes it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Rsa => "rsa",
            Self::Ed25519 => "ed25519",
        }
    }
}

impl FromStr for KeyKind {
    type Err = UnknownWord;

    fn from_str(text: &str) -> Result<Self, UnknownWord> {
        match text {
            "rsa" => Ok(Self::Rsa),
            "ed25519" => Ok(Self::Ed25519),
            _ => Err(UnknownWord),
        }
    }
}

/// A key that can't be used or made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// Not a key.
    #[error("it is no public key in OpenSSH's form, such as the contents of id_ed25519.pub")]
    NoKey,
    /// Another kind.
    #[error("keys are RSA or Ed25519, not {0}")]
    Kind(String),
    /// It could not be made.
    #[error("no key could be made: {0}")]
    NotMade(String),
}

/// A public key with what goes with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Public {
    /// What kind of key.
    pub kind: KeyKind,
    /// Its fingerprint, as EC2 computes it.
    pub fingerprint: String,
    /// In OpenSSH's form.
    pub text: String,
}

/// Reads a public key that somebody else made.
///
/// # Errors
/// [`KeyError`].
pub fn import(text: &str) -> Result<Public, KeyError> {
    if text.len() > LONGEST {
        return Err(KeyError::NoKey);
    }
    let key = PublicKey::from_openssh(text.trim()).map_err(|_| KeyError::NoKey)?;
    let (kind, fingerprint) = match key.key_data() {
        KeyData::Rsa(key) => {
            let key = rsa::RsaPublicKey::try_from(key).map_err(|_| KeyError::NoKey)?;
            let der = key.to_public_key_der().map_err(|_| KeyError::NoKey)?;
            (KeyKind::Rsa, colons(&Md5::digest(der.as_bytes())))
        }
        KeyData::Ed25519(_) => (KeyKind::Ed25519, ed25519_fingerprint(&key)?),
        other => return Err(KeyError::Kind(other.algorithm().to_string())),
    };
    let text = key.to_openssh().map_err(|_| KeyError::NoKey)?;
    Ok(Public { kind, fingerprint, text })
}

/// Makes a key pair: the public key, and the private one as the text of a file. Takes a while for RSA.
///
/// # Errors
/// [`KeyError::NotMade`].
pub fn create(kind: KeyKind, name: &str) -> Result<(Public, String), KeyError> {
    let not_made = |error: &dyn std::fmt::Display| KeyError::NotMade(error.to_string());
    match kind {
        KeyKind::Rsa => {
            let key = RsaPrivateKey::new(&mut OsRng, RSA_BITS).map_err(|error| not_made(&error))?;
            let der = key.to_pkcs8_der().map_err(|error| not_made(&error))?;
            let file = key.to_pkcs1_pem(LineEnding::LF).map_err(|error| not_made(&error))?;
            let data = ssh_key::public::RsaPublicKey::try_from(key.to_public_key())
                .map_err(|error| not_made(&error))?;
            let text =
                PublicKey::new(KeyData::Rsa(data), name).to_openssh().map_err(|error| not_made(&error))?;
            let fingerprint = colons(&Sha1::digest(der.as_bytes()));
            Ok((Public { kind, fingerprint, text }, file.to_string()))
        }
        KeyKind::Ed25519 => {
            let mut key =
                PrivateKey::random(&mut OsRng, Algorithm::Ed25519).map_err(|error| not_made(&error))?;
            key.set_comment(name);
            let file = key.to_openssh(LineEnding::LF).map_err(|error| not_made(&error))?;
            let text = key.public_key().to_openssh().map_err(|error| not_made(&error))?;
            let fingerprint = ed25519_fingerprint(key.public_key())?;
            Ok((Public { kind, fingerprint, text }, file.to_string()))
        }
    }
}

fn ed25519_fingerprint(key: &PublicKey) -> Result<String, KeyError> {
    let bytes = key.to_bytes().map_err(|_| KeyError::NoKey)?;
    Ok(STANDARD.encode(Sha256::digest(bytes)))
}

fn colons(digest: &[u8]) -> String {
    digest.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().join(":")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_made_can_be_imported() {
        for kind in [KeyKind::Ed25519, KeyKind::Rsa] {
            let (public, private) = create(kind, "my key").unwrap();
            assert!(private.contains("PRIVATE KEY-----\n"));
            let imported = import(&public.text).unwrap();
            assert_eq!((imported.kind, imported.text), (kind, public.text));
            // Those of RSA differ, as on EC2: one is of the private key.
            assert_eq!(imported.fingerprint == public.fingerprint, kind == KeyKind::Ed25519);
        }
    }

    #[test]
    fn what_is_no_key_is_refused() {
        for text in ["", "ssh-rsa", "ssh-rsa AAAA", "-----BEGIN PUBLIC KEY-----", &"a".repeat(20_000)] {
            assert_eq!(import(text), Err(KeyError::NoKey), "{text}");
        }
    }
}
