//! TLS: a certificate and its key from files, or made here for a place where nobody has one yet.

use std::fs;
use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use sha2::{Digest as _, Sha256};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

/// What a server proves itself by.
#[derive(Clone)]
pub struct Tls {
    acceptor: TlsAcceptor,
    fingerprint: String,
}

/// Why there is no TLS.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file can't be read or written.
    #[error("cannot use {path}")]
    File {
        /// Which one.
        path: PathBuf,
        /// What the operating system said.
        #[source]
        source: io::Error,
    },
    /// A file holds something else.
    #[error("{path} holds no {wanted} in PEM")]
    NotPem {
        /// Which one.
        path: PathBuf,
        /// What it should hold.
        wanted: &'static str,
    },
    /// Certificate and key don't go together, or are of a kind that isn't known.
    #[error("certificate and key can't be used")]
    Unusable(#[source] rustls::Error),
    /// No certificate could be made.
    #[error("cannot make a certificate: {0}")]
    NotMade(String),
}

impl Tls {
    /// With the certificate, and those that vouch for it, in one file, and its key in another.
    ///
    /// # Errors
    /// [`TlsError`].
    pub fn from_files(certificate: &Path, key: &Path) -> Result<Self, TlsError> {
        let read =
            |path: &Path| fs::read(path).map_err(|source| TlsError::File { path: path.to_owned(), source });
        let not_pem = |path: &Path, wanted| TlsError::NotPem { path: path.to_owned(), wanted };
        let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_slice_iter(&read(certificate)?)
            .collect::<Result<_, _>>()
            .map_err(|_| not_pem(certificate, "certificate"))?;
        let Some(first) = chain.first() else { return Err(not_pem(certificate, "certificate")) };
        let digest = Sha256::digest(first);
        let fingerprint = digest.iter().map(|byte| format!("{byte:02x}")).collect();
        let key = PrivateKeyDer::from_pem_slice(&read(key)?).map_err(|_| not_pem(key, "key"))?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .and_then(|config| config.with_no_client_auth().with_single_cert(chain, key))
            .map_err(TlsError::Unusable)?;
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(Self { acceptor: TlsAcceptor::from(Arc::new(config)), fingerprint })
    }

    /// With a certificate of its own for these names, made if the files aren't there. Nobody trusts it who wasn't told to.
    ///
    /// # Errors
    /// [`TlsError`].
    pub fn self_signed(certificate: &Path, key: &Path, names: &[String]) -> Result<Self, TlsError> {
        if !certificate.exists() || !key.exists() {
            let not_made = |error: rcgen::Error| TlsError::NotMade(error.to_string());
            let made = rcgen::generate_simple_self_signed(names.to_vec()).map_err(not_made)?;
            write(key, 0o600, &made.signing_key.serialize_pem())?;
            write(certificate, 0o644, &made.cert.pem())?;
        }
        Self::from_files(certificate, key)
    }

    /// The SHA-256 of the certificate, by which it can be known.
    pub fn fingerprint(&self) -> &str {
        &self.fingerprint
    }

    pub(crate) async fn accept(&self, stream: TcpStream) -> io::Result<Box<TlsStream<TcpStream>>> {
        self.acceptor.accept(stream).await.map(Box::new)
    }
}

impl std::fmt::Debug for Tls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tls").field("fingerprint", &self.fingerprint).finish_non_exhaustive()
    }
}

fn write(path: &Path, mode: u32, text: &str) -> Result<(), TlsError> {
    let write = || -> io::Result<()> {
        if let Some(directory) = path.parent() {
            fs::create_dir_all(directory)?;
        }
        let mut file =
            fs::OpenOptions::new().write(true).create(true).truncate(true).mode(mode).open(path)?;
        io::Write::write_all(&mut file, text.as_bytes())?;
        file.sync_all()
    };
    write().map_err(|source| TlsError::File { path: path.to_owned(), source })
}

/// A client's connection, as it is or in TLS.
#[derive(Debug)]
pub(crate) enum Transport {
    Plain(TcpStream),
    Encrypted(Box<TlsStream<TcpStream>>),
}

impl AsyncRead for Transport {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_read(context, buffer),
            Self::Encrypted(stream) => Pin::new(stream).poll_read(context, buffer),
        }
    }
}

impl AsyncWrite for Transport {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write(context, bytes),
            Self::Encrypted(stream) => Pin::new(stream).poll_write(context, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_flush(context),
            Self::Encrypted(stream) => Pin::new(stream).poll_flush(context),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_shutdown(context),
            Self::Encrypted(stream) => Pin::new(stream).poll_shutdown(context),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write_vectored(context, slices),
            Self::Encrypted(stream) => Pin::new(stream).poll_write_vectored(context, slices),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Self::Plain(stream) => stream.is_write_vectored(),
            Self::Encrypted(stream) => stream.is_write_vectored(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_certificate_is_made_once_and_kept() {
        let scratch = varve_testkit::Scratch::new();
        let (certificate, key) = (scratch.join("tls/hub.crt"), scratch.join("tls/hub.key"));
        assert!(Tls::from_files(&certificate, &key).is_err());
        let names = ["localhost".to_owned(), "127.0.0.1".to_owned()];
        let made = Tls::self_signed(&certificate, &key, &names).unwrap();
        let kept = Tls::self_signed(&certificate, &key, &names).unwrap();
        assert_eq!(made.fingerprint(), kept.fingerprint());
        assert_eq!(made.fingerprint().len(), 64);
        fs::write(&certificate, "nothing").unwrap();
        let error = Tls::from_files(&certificate, &key).unwrap_err();
        assert!(error.to_string().contains("holds no certificate"), "{error}");
    }
}
