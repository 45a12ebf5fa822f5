//! Signatures of indexes: keyrings, clear-signed texts and detached signatures. Which keys are trusted is somebody else's
//! decision; a key counts as valid if it was so when it signed.

use std::time::{Duration, SystemTime};

use pgp::composed::{
    CleartextSignedMessage, Deserializable as _, DetachedSignature, SignedPublicKey, SignedPublicSubKey,
};
use pgp::crypto::hash::HashAlgorithm;
use pgp::packet::{Signature, SignatureType};
use pgp::ser::Serialize;
use pgp::types::{KeyDetails, Tag, Timestamp, VerifyingKey};

use crate::digest::Fingerprint;

/// Keys that signatures are checked against.
#[derive(Clone, Debug, Default)]
pub struct Keyring {
    certificates: Vec<SignedPublicKey>,
}

/// A file without a key.
#[derive(Debug, thiserror::Error)]
pub enum KeyringError {
    /// It can't be read as keys.
    #[error("not a file of OpenPGP keys: {reason}")]
    Syntax {
        /// What is wrong.
        reason: String,
    },
    /// There is none in it.
    #[error("there is no OpenPGP key in it")]
    Empty,
}

/// Why nothing is known to have signed it.
#[derive(Debug, thiserror::Error)]
pub enum SignatureError {
    /// Not a signature, or not a signed text.
    #[error("the signature cannot be read: {reason}")]
    Syntax {
        /// What is wrong.
        reason: String,
    },
    /// Signed by others.
    #[error("it is signed by {}, and none of these keys is trusted for it", keys.join(", "))]
    UnknownKeys {
        /// Their ids.
        keys: Vec<String>,
    },
    /// A trusted key is named, but what was signed is something else, or the key was not valid.
    #[error("the signature of key {key} is not good: {reason}")]
    Bad {
        /// Its fingerprint.
        key: String,
        /// What is wrong.
        reason: String,
    },
}

/// A text, and the keys that signed it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedText {
    /// What was signed, with a line feed at the end of each line.
    pub text: String,
    /// Primary keys whose signatures are good, at least one.
    pub signers: Vec<Fingerprint>,
}

/// How far in the future a signature may have been made, for clocks that differ.
const CLOCK_DIFFERENCE: Duration = Duration::from_secs(24 * 3600);

const ARMOR: &[u8] = b"-----BEGIN PGP PUBLIC KEY BLOCK-----";

impl Keyring {
    /// Reads keys, in binary or with armor, any number one after the other.
    ///
    /// # Errors
    /// If there is none.
    pub fn parse(bytes: &[u8]) -> Result<Self, KeyringError> {
        let mut keyring = Self::default();
        let blocks: Vec<usize> = memchr::memmem::find_iter(bytes, ARMOR).collect();
        let mut broken = None;
        if blocks.is_empty() {
            broken = keyring.add_all(SignedPublicKey::from_bytes_many(bytes));
        } else {
            for (number, &begin) in blocks.iter().enumerate() {
                let end = blocks.get(number + 1).copied().unwrap_or(bytes.len());
                let block = SignedPublicKey::from_armor_many_buf(&bytes[begin..end]).map(|(keys, _)| keys);
                broken = keyring.add_all(block).or(broken);
            }
        }
        match broken {
            _ if !keyring.certificates.is_empty() => Ok(keyring),
            Some(reason) => Err(KeyringError::Syntax { reason }),
            None => Err(KeyringError::Empty),
        }
    }

    /// Adds the keys of another one.
    pub fn extend(&mut self, other: Self) {
        self.certificates.extend(other.certificates);
    }

    /// Keeps only these primary keys, and those that have one of these as a subkey.
    pub fn retain(&mut self, fingerprints: &[Fingerprint]) {
        self.certificates.retain(|certificate| {
            let subkeys = certificate.public_subkeys.iter().map(|subkey| subkey.key.fingerprint());
            let mut all = subkeys.chain([certificate.primary_key.fingerprint()]);
            all.any(|one| fingerprints.iter().any(|other| name(one.as_bytes()) == other.as_str()))
        });
    }

    /// Whether there is no key in it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.certificates.is_empty()
    }

    /// The primary keys.
    pub fn fingerprints(&self) -> impl Iterator<Item = Fingerprint> {
        self.certificates.iter().filter_map(|certificate| {
            Fingerprint::from_bytes(certificate.primary_key.fingerprint().as_bytes()).ok()
        })
    }

    /// The text of a clear-signed message that at least one of the keys has signed.
    ///
    /// # Errors
    /// If it is no such message, or no signature is good.
    pub fn verify_clear_signed(&self, message: &[u8], now: SystemTime) -> Result<SignedText, SignatureError> {
        let syntax = |reason: String| SignatureError::Syntax { reason };
        let message = std::str::from_utf8(message).map_err(|error| syntax(error.to_string()))?;
        let (message, _) =
            CleartextSignedMessage::from_string(message).map_err(|error| syntax(error.to_string()))?;
        // As it was hashed; what is read afterwards is this and not the message around it.
        let signed = message.signed_text();
        let signers = self.check(message.signatures(), signed.as_bytes(), now)?;
        Ok(SignedText { text: signed.replace("\r\n", "\n"), signers })
    }

    /// Which keys have signed these bytes in a detached signature, with armor or without; at least one.
    ///
    /// # Errors
    /// If it is no signature, or no signature is good.
    pub fn verify_detached(
        &self,
        signature: &[u8],
        bytes: &[u8],
        now: SystemTime,
    ) -> Result<Vec<Fingerprint>, SignatureError> {
        let syntax = |error: pgp::errors::Error| SignatureError::Syntax { reason: error.to_string() };
        let (signatures, _) = DetachedSignature::from_reader_many_buf(signature).map_err(syntax)?;
        // One that can't be read may stand beside a good one.
        let signatures: Vec<Signature> =
            signatures.filter_map(|signature| Some(signature.ok()?.signature)).take(100).collect();
        self.check(&signatures, bytes, now)
    }

    fn check(
        &self,
        signatures: &[Signature],
        bytes: &[u8],
        now: SystemTime,
    ) -> Result<Vec<Fingerprint>, SignatureError> {
        let (mut signers, mut bad, mut unknown) = (Vec::new(), None, Vec::new());
        for signature in signatures {
            let mut known = false;
            for certificate in &self.certificates {
                if !is_issuer(signature, certificate) {
                    continue;
                }
                known = true;
                match check_one(certificate, signature, bytes, now) {
                    Ok(()) => {
                        signers.extend(Fingerprint::from_bytes(
                            certificate.primary_key.fingerprint().as_bytes(),
                        ));
                    }
                    Err(reason) => {
                        let key = name(certificate.primary_key.fingerprint().as_bytes());
                        bad = bad.or(Some(SignatureError::Bad { key, reason }));
                    }
                }
            }
            if !known {
                unknown.push(issuer(signature));
            }
        }
        signers.sort();
        signers.dedup();
        match bad {
            _ if !signers.is_empty() => Ok(signers),
            Some(error) => Err(error),
            None if unknown.is_empty() => Err(SignatureError::Syntax { reason: "there is none".to_owned() }),
            None => Err(SignatureError::UnknownKeys { keys: unknown }),
        }
    }

    /// Takes what can be read; the reason why some can't.
    fn add_all<'a>(
        &mut self,
        keys: pgp::errors::Result<impl Iterator<Item = pgp::errors::Result<SignedPublicKey>> + 'a>,
    ) -> Option<String> {
        let keys = match keys {
            Ok(keys) => keys,
            Err(error) => return Some(error.to_string()),
        };
        let mut broken = None;
        for key in keys {
            match key {
                Ok(key) => self.certificates.push(key),
                // Keyrings are kept for decades: one key of an unknown kind must not hide the others.
                Err(error) => {
                    broken = Some(error.to_string());
                    if self.certificates.len() > 10_000 {
                        break;
                    }
                }
            }
        }
        broken
    }
}

fn name(fingerprint: &[u8]) -> String {
    hex::encode_upper(fingerprint)
}

fn issuer(signature: &Signature) -> String {
    let fingerprint = signature.issuer_fingerprint().first().map(|issuer| name(issuer.as_bytes()));
    let id = || signature.issuer_key_id().first().map(|id| id.to_string().to_uppercase());
    fingerprint.or_else(id).unwrap_or_else(|| "an unnamed key".to_owned())
}

fn is_issuer(signature: &Signature, certificate: &SignedPublicKey) -> bool {
    let matches = |key: &dyn Fn() -> (pgp::types::KeyId, pgp::types::Fingerprint)| {
        let (id, fingerprint) = key();
        signature.issuer_key_id().contains(&&id) || signature.issuer_fingerprint().contains(&&fingerprint)
    };
    matches(&|| (certificate.primary_key.legacy_key_id(), certificate.primary_key.fingerprint()))
        || certificate
            .public_subkeys
            .iter()
            .any(|subkey| matches(&|| (subkey.key.legacy_key_id(), subkey.key.fingerprint())))
}

fn check_one(
    certificate: &SignedPublicKey,
    signature: &Signature,
    bytes: &[u8],
    now: SystemTime,
) -> Result<(), String> {
    if !matches!(signature.typ(), Some(SignatureType::Binary | SignatureType::Text)) {
        return Err("it is no signature of a document".to_owned());
    }
    let strong = [
        HashAlgorithm::Sha256,
        HashAlgorithm::Sha384,
        HashAlgorithm::Sha512,
        HashAlgorithm::Sha3_256,
        HashAlgorithm::Sha3_512,
    ];
    match signature.hash_alg() {
        Some(algorithm) if strong.contains(&algorithm) => {}
        Some(algorithm) => return Err(format!("{algorithm} is too weak")),
        None => return Err("its algorithm is unknown".to_owned()),
    }
    let created = signature.created().ok_or("it has no date")?;
    if SystemTime::from(created) > now + CLOCK_DIFFERENCE {
        return Err("it was made in the future; is this machine's clock right?".to_owned());
    }
    if let Some(lifetime) = signature.signature_expiration_time()
        && lifetime.as_secs() > 0
        && SystemTime::from(created) + Duration::from_secs(lifetime.as_secs().into()) < now
    {
        return Err("it has expired".to_owned());
    }
    let primary = &certificate.primary_key;
    if certificate
        .details
        .revocation_signatures
        .iter()
        .any(|revocation| revocation.verify_key(primary).is_ok())
    {
        return Err("the key has been revoked".to_owned());
    }
    if is_over(primary.created_at(), primary_lifetime(certificate), created) {
        return Err("the key had expired before it signed".to_owned());
    }
    if names(signature, primary) {
        return signature.verify(primary, bytes).map_err(|error| error.to_string());
    }
    let subkey = certificate.public_subkeys.iter().find(|subkey| names(signature, &subkey.key));
    let subkey = subkey.ok_or("the key is not in the keyring")?;
    check_subkey(certificate, subkey, created)?;
    signature.verify(&subkey.key, bytes).map_err(|error| error.to_string())
}

fn names(signature: &Signature, key: &impl KeyDetails) -> bool {
    signature.issuer_key_id().contains(&&key.legacy_key_id())
        || signature.issuer_fingerprint().contains(&&key.fingerprint())
}

/// Whether something that exists since `begin` was over at `instant`.
fn is_over(begin: Timestamp, lifetime: Option<u32>, instant: Timestamp) -> bool {
    let lifetime = lifetime.filter(|&seconds| seconds > 0);
    lifetime
        .is_some_and(|seconds| u64::from(begin.as_secs()) + u64::from(seconds) < u64::from(instant.as_secs()))
}

/// What the key last said of its own lifetime, in seconds.
fn primary_lifetime(certificate: &SignedPublicKey) -> Option<u32> {
    let primary = &certificate.primary_key;
    let of_users = certificate.details.users.iter().flat_map(|user| {
        user.signatures.iter().filter(move |signature| {
            signature.typ() != Some(SignatureType::CertRevocation)
                && signature.verify_certification(primary, Tag::UserId, &user.id).is_ok()
        })
    });
    let direct = certificate
        .details
        .direct_signatures
        .iter()
        .filter(|signature| signature.verify_key(primary).is_ok());
    let latest =
        of_users.chain(direct).max_by_key(|signature| signature.created().map(Timestamp::as_secs))?;
    latest.key_expiration_time().map(pgp::types::Duration::as_secs)
}

/// Whether the primary key lets the subkey sign, and did so at that time.
fn check_subkey(
    certificate: &SignedPublicKey,
    subkey: &SignedPublicSubKey,
    instant: Timestamp,
) -> Result<(), String> {
    let primary = &certificate.primary_key;
    let valid = || {
        subkey.signatures.iter().filter(|binding| binding.verify_subkey_binding(primary, &subkey.key).is_ok())
    };
    if valid().any(|binding| binding.typ() == Some(SignatureType::SubkeyRevocation)) {
        return Err("the subkey has been revoked".to_owned());
    }
    let latest = valid().max_by_key(|binding| binding.created().map(Timestamp::as_secs));
    let binding = latest.ok_or("the subkey is not bound to its key")?;
    if !binding.key_flags().sign() {
        return Err("the subkey is not for signing".to_owned());
    }
    if !is_bound_back(binding, &subkey.key, primary) {
        return Err("the subkey has not agreed to belong to its key".to_owned());
    }
    if is_over(
        subkey.key.created_at(),
        binding.key_expiration_time().map(pgp::types::Duration::as_secs),
        instant,
    ) {
        return Err("the subkey had expired before it signed".to_owned());
    }
    Ok(())
}

fn is_bound_back<S, P>(binding: &Signature, subkey: &S, primary: &P) -> bool
where
    S: VerifyingKey + Serialize,
    P: KeyDetails + Serialize,
{
    binding.embedded_signature().is_some_and(|back| back.verify_primary_key_binding(subkey, primary).is_ok())
}
