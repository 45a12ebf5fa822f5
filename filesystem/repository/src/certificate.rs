//! The X.509 certificate of whoever signs manifests: its key and its fingerprint.
//!
//! Its validity dates and its own signature mean nothing here: the whitelist names it by fingerprint. Chains to a
//! certificate authority are followed in [`crate::CertificateAuthorities`].

use rsa::BigUint;
use rsa::RsaPublicKey;
use varve_content::{Algorithm, ContentHash};
use x509_cert::der::{Decode as _, Encode as _, pem};
use x509_cert::spki::{ObjectIdentifier, SubjectPublicKeyInfoRef};

/// The most bytes of a certificate object, decompressed.
pub const CERTIFICATE_LIMIT: usize = 64 << 10;

/// The largest key that signatures are checked with, in bits.
const KEY_LIMIT: usize = 16_384;

const RSA_ENCRYPTION: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");

/// A certificate with an RSA key.
#[derive(Clone, Debug)]
pub struct Certificate {
    pem: Vec<u8>,
    der: Vec<u8>,
    key: RsaPublicKey,
    subject: String,
}

impl Certificate {
    /// Reads the PEM text of a certificate object (decompressed) or of a `.crt` file.
    ///
    /// # Errors
    /// [`CertificateError`] if it is no certificate, or its key is no RSA key.
    pub fn from_pem(bytes: &[u8]) -> Result<Self, CertificateError> {
        if bytes.len() > CERTIFICATE_LIMIT {
            return Err(CertificateError::TooLarge);
        }
        let (label, der) = pem::decode_vec(bytes).map_err(|_| CertificateError::NotPem)?;
        if label != "CERTIFICATE" {
            return Err(CertificateError::NotPem);
        }
        let certificate = x509_cert::Certificate::from_der(&der).map_err(CertificateError::Malformed)?;
        let key_info = certificate.tbs_certificate.subject_public_key_info.to_der()?;
        let key = rsa_key(&key_info)?;
        let subject = certificate.tbs_certificate.subject.to_string();
        Ok(Self { pem: bytes.to_vec(), der, key, subject })
    }

    /// The hash that whitelist and blacklist name this certificate by: over its DER form, with the algorithm of the
    /// list's line.
    pub fn fingerprint(&self, algorithm: Algorithm) -> ContentHash {
        algorithm.hash(&self.der)
    }

    /// The PEM text, byte for byte as it was read: what the certificate object holds.
    pub fn pem(&self) -> &[u8] {
        &self.pem
    }

    /// The DER form.
    pub fn der(&self) -> &[u8] {
        &self.der
    }

    /// Whom it says it belongs to, for people.
    pub fn subject(&self) -> &str {
        &self.subject
    }

    pub(crate) fn key(&self) -> &RsaPublicKey {
        &self.key
    }
}

/// The RSA key in a `SubjectPublicKeyInfo`, of any size that can be checked in reasonable time.
pub(crate) fn rsa_key(key_info: &[u8]) -> Result<RsaPublicKey, CertificateError> {
    let key_info = SubjectPublicKeyInfoRef::from_der(key_info)?;
    if key_info.algorithm.oid != RSA_ENCRYPTION {
        return Err(CertificateError::NotRsa);
    }
    let key = key_info.subject_public_key.as_bytes().ok_or(CertificateError::Key)?;
    let key = rsa::pkcs1::RsaPublicKey::try_from(key)?;
    let number = |bytes: rsa::pkcs1::UintRef<'_>| BigUint::from_bytes_be(bytes.as_bytes());
    RsaPublicKey::new_with_max_size(number(key.modulus), number(key.public_exponent), KEY_LIMIT)
        .map_err(|_| CertificateError::Key)
}

/// Why bytes are no certificate that can sign a manifest.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CertificateError {
    /// No PEM text of a certificate.
    #[error("certificate is no PEM text")]
    NotPem,
    /// More bytes than a certificate has.
    #[error("certificate is larger than 64 KiB")]
    TooLarge,
    /// The encoding is damaged.
    #[error("certificate can't be decoded")]
    Malformed(#[from] x509_cert::der::Error),
    /// A key of another kind.
    #[error("certificate holds no RSA key")]
    NotRsa,
    /// The key's numbers can't be a key, or are too large.
    #[error("certificate's RSA key is unusable")]
    Key,
}

impl From<rsa::pkcs1::Error> for CertificateError {
    fn from(_: rsa::pkcs1::Error) -> Self {
        Self::Key
    }
}
