//! The way to the service: HTTP or HTTPS. The service proves itself by a certificate that the system trusts, or by one whose
//! fingerprint was told.

use std::sync::Arc;
use std::time::Duration;

use reqwest::{Client, Method, RequestBuilder, Response};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, SignatureScheme};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::host::Host;
use crate::hosts::protocol::{Definition, Join, Joined, Orders, Report};
use crate::id::{HostId, ImageId, InstanceId};

/// How long a request may take beside what it waits for.
const PATIENCE: Duration = Duration::from_secs(30);
/// The longest answer that is read.
const LONGEST: usize = 64 << 20;

/// How the service is reached.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LinkConfig {
    /// Its address, such as `https://hub.example.org`.
    pub url: String,
    /// The SHA-256 of its certificate, in hexadecimal digits, where the system doesn't know who signed that.
    #[serde(default)]
    pub fingerprint: Option<String>,
}

/// A way to the service.
#[derive(Clone, Debug)]
pub struct Link {
    client: Client,
    base: String,
    token: String,
}

/// Why the service was not reached, or did not do it.
#[derive(Debug, thiserror::Error)]
pub enum LinkError {
    /// Not an address, or no fingerprint.
    #[error("{0}")]
    Config(String),
    /// It was not reached.
    #[error("the service was not reached: {0}")]
    Unreachable(String),
    /// It said no.
    #[error("the service says: {message} ({status})")]
    Refused {
        /// The number that says so.
        status: u16,
        /// Its words.
        message: String,
    },
}

impl LinkError {
    /// Whether the service doesn't know the token.
    pub fn is_unknown(&self) -> bool {
        matches!(self, Self::Refused { status: 401, .. })
    }
}

impl From<reqwest::Error> for LinkError {
    fn from(error: reqwest::Error) -> Self {
        let mut text = error.to_string();
        let mut cause = std::error::Error::source(&error);
        while let Some(error) = cause {
            text = format!("{text}: {error}");
            cause = error.source();
        }
        Self::Unreachable(text)
    }
}

impl Link {
    /// A way to a service for whoever has a token.
    ///
    /// # Errors
    /// [`LinkError::Config`].
    pub fn new(config: &LinkConfig, token: &str) -> Result<Self, LinkError> {
        let base = config.url.trim_end_matches('/').to_owned();
        let encrypted = base.starts_with("https://");
        if !encrypted && !base.starts_with("http://") {
            return Err(LinkError::Config(format!(
                "'{base}' is no address of a service: it begins with https://"
            )));
        }
        // Fails if the program has chosen a provider already, which is as good.
        let _chosen = rustls::crypto::ring::default_provider().install_default();
        let builder = Client::builder()
            .no_proxy()
            .referer(false)
            .redirect(reqwest::redirect::Policy::none())
            .tcp_nodelay(true);
        let builder = builder.connect_timeout(PATIENCE);
        let builder = match &config.fingerprint {
            Some(fingerprint) => builder.tls_backend_preconfigured(pinned(fingerprint)?),
            None if encrypted => builder,
            None => builder.tls_certs_only([]),
        };
        let client = builder.build().map_err(|error| LinkError::Config(error.to_string()))?;
        Ok(Self { client, base, token: token.to_owned() })
    }

    /// The same way with another token.
    #[must_use]
    pub fn with_token(&self, token: &str) -> Self {
        Self { token: token.to_owned(), ..self.clone() }
    }

    /// Joins.
    ///
    /// # Errors
    /// [`LinkError`].
    pub async fn join(&self, join: &Join) -> Result<Joined, LinkError> {
        json(with_json(self.request(Method::POST, "/join", PATIENCE), join)?).await
    }

    /// The hosts that have joined.
    ///
    /// # Errors
    /// [`LinkError`].
    pub async fn hosts(&self) -> Result<Vec<Host>, LinkError> {
        json(self.request(Method::GET, "", PATIENCE)).await
    }

    /// Removes a host for good.
    ///
    /// # Errors
    /// [`LinkError`].
    pub async fn remove(&self, host: &HostId) -> Result<(), LinkError> {
        send(self.request(Method::DELETE, &format!("/{host}"), PATIENCE)).await.map(drop)
    }

    /// Reports, and waits for what is wanted.
    pub(super) async fn sync(&self, report: &Report, wait: Duration) -> Result<Orders, LinkError> {
        json(with_json(self.request(Method::POST, "/sync", PATIENCE + wait), report)?).await
    }

    /// What an instance is.
    pub(super) async fn definition(&self, instance: &InstanceId) -> Result<Definition, LinkError> {
        json(self.request(Method::GET, &format!("/instances/{instance}"), PATIENCE)).await
    }

    /// What a machine wrote last.
    pub(super) async fn console(&self, instance: &InstanceId, content: Vec<u8>) -> Result<(), LinkError> {
        let request = self.request(Method::PUT, &format!("/instances/{instance}/console"), PATIENCE);
        send(request.body(content)).await.map(drop)
    }

    /// The bytes of an image; they may take as long as they come.
    pub(super) async fn image(&self, image: &ImageId) -> Result<Response, LinkError> {
        let request = self.client.get(format!("{}/cloud/hosts/images/{image}", self.base));
        send(request.bearer_auth(&self.token)).await
    }

    fn request(&self, method: Method, path: &str, patience: Duration) -> RequestBuilder {
        let url = format!("{}/cloud/hosts{path}", self.base);
        self.client.request(method, url).bearer_auth(&self.token).timeout(patience)
    }
}

fn with_json(request: RequestBuilder, value: &impl Serialize) -> Result<RequestBuilder, LinkError> {
    let bytes = serde_json::to_vec(value).map_err(|error| LinkError::Config(error.to_string()))?;
    Ok(request.header(reqwest::header::CONTENT_TYPE, "application/json").body(bytes))
}

async fn json<T: DeserializeOwned>(request: RequestBuilder) -> Result<T, LinkError> {
    let bytes = read(send(request).await?).await?;
    serde_json::from_slice(&bytes)
        .map_err(|error| LinkError::Unreachable(format!("it is no service of Varve: {error}")))
}

async fn read(mut response: Response) -> Result<Vec<u8>, LinkError> {
    let mut bytes = Vec::new();
    while let Some(piece) = response.chunk().await? {
        if bytes.len() + piece.len() > LONGEST {
            return Err(LinkError::Unreachable("its answer is too long".to_owned()));
        }
        bytes.extend_from_slice(&piece);
    }
    Ok(bytes)
}

async fn send(request: RequestBuilder) -> Result<Response, LinkError> {
    #[derive(Deserialize)]
    struct Problem {
        error: String,
    }
    let response = request.send().await?;
    let status = response.status();
    if status.is_success() {
        return Ok(response);
    }
    let bytes = read(response).await.unwrap_or_default();
    let problem: Option<Problem> = serde_json::from_slice(&bytes).ok();
    let message =
        problem.map_or_else(|| "no".to_owned(), |problem| problem.error.chars().take(300).collect());
    Err(LinkError::Refused { status: status.as_u16(), message })
}

/// TLS with a server that has one certain certificate.
fn pinned(fingerprint: &str) -> Result<ClientConfig, LinkError> {
    let compact: String = fingerprint.chars().filter(|character| *character != ':').collect();
    let digest = hex::decode(compact).ok().filter(|digest| digest.len() == 32);
    let digest = digest.ok_or_else(|| {
        LinkError::Config(format!("'{fingerprint}' is no fingerprint: it has 64 hexadecimal digits"))
    })?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(|error| LinkError::Config(error.to_string()))?;
    Ok(config
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Pinned { digest, provider }))
        .with_no_client_auth())
}

/// Trusts one certificate, whoever signed it.
#[derive(Debug)]
struct Pinned {
    digest: Vec<u8>,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Pinned {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        if Sha256::digest(certificate).as_slice() == self.digest {
            return Ok(ServerCertVerified::assertion());
        }
        Err(rustls::Error::InvalidCertificate(CertificateError::ApplicationVerificationFailure))
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

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
