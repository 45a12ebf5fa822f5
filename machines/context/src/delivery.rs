//! User data on their way to one machine: sealed to a key that the machine made, so that nobody else can read them, whoever
//! carries them. Browsers do the same by WebCrypto; docs/formats/pairing.md has the layout.
//!
//! ```text
//! shared  = ECDH over P-256 of a new key and the machine's
//! key     = HKDF-SHA-256(salt "", shared, "varve-pairing-1" ‖ new public key ‖ machine's public key)
//! sealed  = {"ephemeral": new public key, "data": AES-256-GCM(key, nonce 0, user data)}, both in base64url
//! ```

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use ring::agreement::{ECDH_P256, EphemeralPrivateKey, UnparsedPublicKey, agree_ephemeral};
use ring::digest::{SHA256, digest};
use ring::hkdf::{HKDF_SHA256, Salt};
use ring::rand::SystemRandom;

/// What the key is derived for.
const PURPOSE: &[u8] = b"varve-pairing-1";
/// Bytes of a public key: a point, not compressed.
const POINT: usize = 65;

/// Why something can't be sealed or opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DeliveryError {
    /// It is no point of the curve.
    #[error("that is no public key: 65 bytes of a point of P-256, in base64url")]
    Key,
    /// It isn't what was sealed, or was for another machine.
    #[error("the user data can't be opened by this machine's key")]
    Open,
}

/// The public key of a machine.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct MachineKey(Vec<u8>);

impl MachineKey {
    /// As text.
    pub fn to_text(&self) -> String {
        URL_SAFE_NO_PAD.encode(&self.0)
    }

    /// What people compare: the same on the machine's screen and on the page.
    pub fn fingerprint(&self) -> String {
        let digest = digest(&SHA256, &self.0);
        let words: Vec<String> =
            digest.as_ref().chunks(2).take(4).map(|two| format!("{:02x}{:02x}", two[0], two[1])).collect();
        words.join(" ")
    }

    /// Seals user data to the machine.
    ///
    /// # Errors
    /// [`DeliveryError::Key`].
    pub fn seal(&self, user_data: &[u8]) -> Result<String, DeliveryError> {
        let random = SystemRandom::new();
        let new = EphemeralPrivateKey::generate(&ECDH_P256, &random).map_err(|_| DeliveryError::Key)?;
        let public = new.compute_public_key().map_err(|_| DeliveryError::Key)?;
        let key = agreed(new, &self.0, public.as_ref(), &self.0).ok_or(DeliveryError::Key)?;
        let mut data = user_data.to_vec();
        key.seal_in_place_append_tag(Nonce::assume_unique_for_key([0; 12]), Aad::empty(), &mut data)
            .map_err(|_| DeliveryError::Key)?;
        let (ephemeral, data) = (URL_SAFE_NO_PAD.encode(public.as_ref()), URL_SAFE_NO_PAD.encode(data));
        Ok(format!("{{\"ephemeral\":\"{ephemeral}\",\"data\":\"{data}\"}}"))
    }
}

impl std::str::FromStr for MachineKey {
    type Err = DeliveryError;

    fn from_str(text: &str) -> Result<Self, DeliveryError> {
        let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| DeliveryError::Key)?;
        if bytes.len() != POINT {
            return Err(DeliveryError::Key);
        }
        let key = Self(bytes);
        // Whether it is a point shows when something is sealed to it.
        key.seal(b"")?;
        Ok(key)
    }
}

/// A machine's key pair, good for one delivery.
pub struct MachinePair {
    private: EphemeralPrivateKey,
    public: Vec<u8>,
}

impl MachinePair {
    /// A new one.
    ///
    /// # Errors
    /// [`DeliveryError::Key`] if the system has no random numbers.
    pub fn generate() -> Result<Self, DeliveryError> {
        let private = EphemeralPrivateKey::generate(&ECDH_P256, &SystemRandom::new());
        let private = private.map_err(|_| DeliveryError::Key)?;
        let public = private.compute_public_key().map_err(|_| DeliveryError::Key)?.as_ref().to_vec();
        Ok(Self { private, public })
    }

    /// Its public half.
    pub fn public(&self) -> MachineKey {
        MachineKey(self.public.clone())
    }

    /// Opens what was sealed to it.
    ///
    /// # Errors
    /// [`DeliveryError::Open`].
    pub fn open(self, sealed: &str) -> Result<Vec<u8>, DeliveryError> {
        #[derive(serde::Deserialize)]
        struct Sealed {
            ephemeral: String,
            data: String,
        }
        let sealed: Sealed = serde_json::from_str(sealed).map_err(|_| DeliveryError::Open)?;
        let decoded = |text: &str| URL_SAFE_NO_PAD.decode(text).map_err(|_| DeliveryError::Open);
        let (ephemeral, mut data) = (decoded(&sealed.ephemeral)?, decoded(&sealed.data)?);
        let key = agreed(self.private, &ephemeral, &ephemeral, &self.public).ok_or(DeliveryError::Open)?;
        let opened = key.open_in_place(Nonce::assume_unique_for_key([0; 12]), Aad::empty(), &mut data);
        opened.map(|text| text.to_vec()).map_err(|_| DeliveryError::Open)
    }
}

impl std::fmt::Debug for MachinePair {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "MachinePair({})", self.public().fingerprint())
    }
}

/// The key that a private key and another's public key agree upon.
fn agreed(
    private: EphemeralPrivateKey,
    other: &[u8],
    ephemeral: &[u8],
    machine: &[u8],
) -> Option<LessSafeKey> {
    let other = UnparsedPublicKey::new(&ECDH_P256, other);
    let key = agree_ephemeral(private, &other, |shared| {
        let secret = Salt::new(HKDF_SHA256, &[]).extract(shared);
        let key = UnboundKey::from(secret.expand(&[PURPOSE, ephemeral, machine], &AES_256_GCM).ok()?);
        Some(LessSafeKey::new(key))
    });
    key.ok().flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_machine_opens_what_is_for_it() {
        let (machine, other) = (MachinePair::generate().unwrap(), MachinePair::generate().unwrap());
        let key: MachineKey = machine.public().to_text().parse().unwrap();
        assert_eq!(key.fingerprint().len(), 19);
        let sealed = key.seal("[machine]\nhostname = 'a'\n".as_bytes()).unwrap();
        assert!(matches!(other.open(&sealed), Err(DeliveryError::Open)));
        assert_eq!(machine.open(&sealed).unwrap(), b"[machine]\nhostname = 'a'\n");
    }

    #[test]
    fn what_is_no_key_is_refused() {
        for text in ["", "AAAA", &URL_SAFE_NO_PAD.encode([4; POINT]), &URL_SAFE_NO_PAD.encode([0; POINT])] {
            assert_eq!(text.parse::<MachineKey>(), Err(DeliveryError::Key), "{text}");
        }
        assert!(matches!(MachinePair::generate().unwrap().open("{}"), Err(DeliveryError::Open)));
    }
}
