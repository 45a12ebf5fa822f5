//! The file `.cvmfswhitelist.pkcs7`: a whitelist inside a PKCS #7 structure, signed by somebody whom a certificate
//! authority knows.
//!
//! What the whitelist inside says is not looked at here.

use std::time::SystemTime;

use cms::cert::CertificateChoices;
use cms::content_info::ContentInfo;
use cms::signed_data::{SignedData, SignerIdentifier, SignerInfo};
use pki_types::{CertificateDer, SignatureVerificationAlgorithm};
use rsa::sha2::{Digest as _, Sha256, Sha384, Sha512};
use webpki::{EndEntityCert, ring};
use x509_cert::der::asn1::OctetStringRef;
use x509_cert::der::{Decode as _, Encode as _, Tag, Tagged as _, pem};
use x509_cert::ext::pkix::SubjectAltName;
use x509_cert::ext::pkix::SubjectKeyIdentifier;
use x509_cert::ext::pkix::name::GeneralName;
use x509_cert::spki::ObjectIdentifier;

use crate::authorities::{CertificateAuthorities, Purpose};

/// The most bytes of the file.
const LIMIT: usize = 1 << 20;

/// The most signers and certificates that are looked at.
const MOST_PARTS: usize = 100;

const SIGNED_DATA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.7.2");
const MESSAGE_DIGEST: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.4");
const SHA256: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.16.840.1.101.3.4.2.1");
const SHA384: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.16.840.1.101.3.4.2.2");
const SHA512: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.16.840.1.101.3.4.2.3");

/// A PKCS #7 structure taken apart; nothing in it is verified.
#[derive(Debug)]
pub(crate) struct Pkcs7 {
    content: Vec<u8>,
    certificates: Vec<x509_cert::Certificate>,
    signers: Vec<SignerInfo>,
}

impl Pkcs7 {
    /// Reads the PEM text.
    pub(crate) fn parse(bytes: &[u8]) -> Result<Self, Pkcs7Error> {
        if bytes.len() > LIMIT {
            return Err(Pkcs7Error::TooLarge);
        }
        let (label, der) = pem::decode_vec(bytes).map_err(|_| Pkcs7Error::NotPem)?;
        if !matches!(label, "PKCS7" | "CMS") {
            return Err(Pkcs7Error::NotPem);
        }
        let info = ContentInfo::from_der(&der)?;
        if info.content_type != SIGNED_DATA {
            return Err(Pkcs7Error::NotSigned);
        }
        let signed: SignedData = info.content.decode_as()?;
        let content = signed.encap_content_info.econtent.ok_or(Pkcs7Error::NoContent)?;
        if content.tag() != Tag::OctetString {
            return Err(Pkcs7Error::NoContent);
        }
        let certificates: Vec<_> = signed
            .certificates
            .iter()
            .flat_map(|set| set.0.iter())
            .filter_map(|choice| match choice {
                CertificateChoices::Certificate(certificate) => Some(certificate.clone()),
                CertificateChoices::Other(_) => None,
            })
            .take(MOST_PARTS)
            .collect();
        let signers: Vec<_> = signed.signer_infos.0.iter().take(MOST_PARTS).cloned().collect();
        if signers.is_empty() {
            return Err(Pkcs7Error::NotSigned);
        }
        Ok(Self { content: content.value().to_vec(), certificates, signers })
    }

    /// The content, if every signature over it is right and an authority stands behind every signer, and the names (URIs)
    /// that the signers' certificates bear.
    pub(crate) fn verify(
        &self,
        authorities: &CertificateAuthorities,
        now: SystemTime,
    ) -> Result<(&[u8], Vec<String>), Pkcs7Error> {
        let ders: Vec<Vec<u8>> =
            self.certificates.iter().map(x509_cert::der::Encode::to_der).collect::<Result<_, _>>()?;
        let intermediates: Vec<_> = ders.iter().map(|der| CertificateDer::from(der.as_slice())).collect();
        let mut uris = Vec::new();
        for signer in &self.signers {
            let at = self
                .certificates
                .iter()
                .position(|certificate| is_of(&signer.sid, certificate))
                .ok_or(Pkcs7Error::NoCertificate)?;
            self.verify_signature(signer, &ders[at])?;
            authorities
                .verify(&ders[at], &intermediates, Purpose::Pkcs7, now)
                .map_err(|source| Pkcs7Error::Authority { source })?;
            uris.extend(uris_of(&self.certificates[at]));
        }
        Ok((&self.content, uris))
    }

    /// Checks one signer's signature: over the content, or over attributes that hold the content's digest.
    fn verify_signature(&self, signer: &SignerInfo, certificate: &[u8]) -> Result<(), Pkcs7Error> {
        let (digest, algorithms): (_, [&dyn SignatureVerificationAlgorithm; 3]) = match signer.digest_alg.oid
        {
            SHA256 => (
                Sha256::digest(&self.content).to_vec(),
                [ring::RSA_PKCS1_2048_8192_SHA256, ring::ECDSA_P256_SHA256, ring::ECDSA_P384_SHA256],
            ),
            SHA384 => (
                Sha384::digest(&self.content).to_vec(),
                [ring::RSA_PKCS1_2048_8192_SHA384, ring::ECDSA_P256_SHA384, ring::ECDSA_P384_SHA384],
            ),
            SHA512 => (Sha512::digest(&self.content).to_vec(), [ring::RSA_PKCS1_2048_8192_SHA512; 3]),
            other => return Err(Pkcs7Error::Digest { algorithm: other.to_string() }),
        };
        let message = match &signer.signed_attrs {
            None => self.content.clone(),
            Some(attributes) => {
                let recorded = attributes
                    .iter()
                    .find(|attribute| attribute.oid == MESSAGE_DIGEST)
                    .and_then(|attribute| attribute.values.iter().next())
                    .ok_or(Pkcs7Error::Signature)?;
                if recorded.decode_as::<OctetStringRef<'_>>()?.as_bytes() != digest {
                    return Err(Pkcs7Error::Signature);
                }
                attributes.to_der()?
            }
        };
        let certificate = CertificateDer::from(certificate);
        let certificate =
            EndEntityCert::try_from(&certificate).map_err(|source| Pkcs7Error::Authority { source })?;
        let is_right = |algorithm| {
            certificate.verify_signature(algorithm, &message, signer.signature.as_bytes()).is_ok()
        };
        if algorithms.into_iter().any(is_right) { Ok(()) } else { Err(Pkcs7Error::Signature) }
    }
}

/// Whether a signer is the holder of this certificate.
fn is_of(signer: &SignerIdentifier, certificate: &x509_cert::Certificate) -> bool {
    let body = &certificate.tbs_certificate;
    match signer {
        SignerIdentifier::IssuerAndSerialNumber(id) => {
            id.issuer == body.issuer && id.serial_number == body.serial_number
        }
        SignerIdentifier::SubjectKeyIdentifier(id) => {
            matches!(body.get::<SubjectKeyIdentifier>(), Ok(Some((_, own))) if own.0 == id.0)
        }
    }
}

/// The URIs among a certificate's alternative names.
fn uris_of(certificate: &x509_cert::Certificate) -> Vec<String> {
    let Ok(Some((_, names))) = certificate.tbs_certificate.get::<SubjectAltName>() else { return Vec::new() };
    names
        .0
        .iter()
        .filter_map(|name| match name {
            GeneralName::UniformResourceIdentifier(uri) => Some(uri.to_string()),
            _ => None,
        })
        .collect()
}

/// Why a PKCS #7 whitelist is not accepted.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Pkcs7Error {
    /// No PEM text of such a structure.
    #[error("file is no PEM text of a PKCS #7 structure")]
    NotPem,
    /// More bytes than such a file has.
    #[error("file is larger than 1 MiB")]
    TooLarge,
    /// The encoding is damaged, or BER instead of DER.
    #[error("PKCS #7 structure can't be decoded")]
    Malformed(#[from] x509_cert::der::Error),
    /// A structure without a signature.
    #[error("PKCS #7 structure is not signed")]
    NotSigned,
    /// A signature without the whitelist.
    #[error("PKCS #7 structure holds no whitelist")]
    NoContent,
    /// The signer's certificate is not in the structure.
    #[error("signer's certificate is not in the PKCS #7 structure")]
    NoCertificate,
    /// A digest that is too weak or not known.
    #[error("digest algorithm {algorithm} is not accepted (SHA-256, SHA-384 and SHA-512 are)")]
    Digest {
        /// Its object identifier.
        algorithm: String,
    },
    /// The signature is not the signer's, or not over this whitelist.
    #[error("signature of the PKCS #7 structure is wrong")]
    Signature,
    /// Nobody trusted stands behind the signer.
    #[error("no trusted certificate authority stands behind the signer")]
    Authority {
        /// What following the chain found.
        #[source]
        source: webpki::Error,
    },
}
