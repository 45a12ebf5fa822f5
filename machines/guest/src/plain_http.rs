//! The HTTP of small questions: to metadata servers, to a hub, and for the time. Nothing of it is believed for more than that, and
//! nothing of it is encrypted but what goes to a server whose certificate was named: others have no name that one could be for.

use std::sync::Arc;

use reqwest::{Client, ClientBuilder};
use rustls::DigitallySignedStruct;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};

/// What such clients have in common: no redirects, no certificates. Proxies are the caller's.
pub(crate) fn client() -> ClientBuilder {
    // The library wants to have one even for what it never encrypts; another one that was chosen before is as good.
    let _chosen = rustls::crypto::ring::default_provider().install_default();
    Client::builder().redirect(reqwest::redirect::Policy::none()).tls_certs_only([])
}

/// The same, for one server, which proves itself by this certificate.
pub(crate) fn pinned(certificate: PinnedCertificate) -> ClientBuilder {
    let provider = Arc::clone(&certificate.provider);
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("because the provider has what they need")
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(certificate))
        .with_no_client_auth();
    Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .https_only(true)
        .tls_backend_preconfigured(config)
}

/// A certificate, known by its SHA-256: who it is for, who vouches for it and until when doesn't matter.
#[derive(Debug)]
pub(crate) struct PinnedCertificate {
    sha256: [u8; 32],
    provider: Arc<CryptoProvider>,
}

impl PinnedCertificate {
    /// By 64 digits, with or without colons between them.
    pub(crate) fn new(fingerprint: &str) -> Option<Self> {
        let digits: Vec<u8> = fingerprint
            .chars()
            .filter(|c| *c != ':')
            .map(|c| c.to_digit(16).map(|digit| digit as u8))
            .collect::<Option<_>>()?;
        let bytes: Vec<u8> =
            digits.chunks(2).map(|two| two.iter().fold(0, |byte, digit| byte << 4 | digit)).collect();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        (digits.len() == 64).then_some(Self { sha256: bytes.try_into().ok()?, provider })
    }
}

impl ServerCertVerifier for PinnedCertificate {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let digest = ring::digest::digest(&ring::digest::SHA256, end_entity);
        if digest.as_ref() == self.sha256 {
            Ok(ServerCertVerified::assertion())
        } else {
            Err(rustls::Error::General("the certificate is not the one that was named".to_owned()))
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signed, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signed, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<rustls::SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fingerprint_has_sixty_four_digits() {
        let colons = vec!["aB"; 32].join(":");
        assert_eq!(PinnedCertificate::new(&colons).unwrap().sha256, [0xab; 32]);
        for text in ["", "ab", &"g".repeat(64), &"a".repeat(63), &"a".repeat(66)] {
            assert!(PinnedCertificate::new(text).is_none(), "{text}");
        }
    }
}
