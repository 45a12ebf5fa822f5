//! The same over TLS, with an authority that only the configuration trusts. The certificates beside this file are for
//! tests, valid until 2126; the authority's key is gone.

use std::io::{BufRead as _, BufReader};
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use varve_store::{
    DirectoryStore, HttpConfig, HttpSource, ObjectSource, ObjectStore, RepositoryFile, StoreError,
};

use crate::conformance::{check_source, samples, soon};

pub(crate) const AUTHORITY: &[u8] = include_bytes!("tls/authority.pem");

/// Serves the files below a directory until the process ends.
pub(crate) fn serve(directory: PathBuf) -> SocketAddr {
    let certificate =
        CertificateDer::from_pem_slice(include_bytes!("tls/server.pem")).expect("a certificate");
    let key = PrivateKeyDer::from_pem_slice(include_bytes!("tls/server.key")).expect("a key");
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("because the provider has them")
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .expect("because the key fits");
    let config = Arc::new(config);
    let listener = TcpListener::bind("127.0.0.1:0").expect("because loopback has free ports");
    let address = listener.local_addr().expect("because it is bound");
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let (config, directory) = (Arc::clone(&config), directory.clone());
            std::thread::spawn(move || {
                let connection = ServerConnection::new(config).expect("because the configuration is sound");
                // The peer may go away at any time.
                let _ended = answer(StreamOwned::new(connection, stream), &directory);
            });
        }
    });
    address
}

fn answer<S: std::io::Read + std::io::Write>(stream: S, directory: &Path) -> std::io::Result<()> {
    let mut stream = BufReader::new(stream);
    loop {
        let mut path = None;
        loop {
            let mut line = String::new();
            if stream.read_line(&mut line)? == 0 {
                return Ok(());
            }
            if line == "\r\n" {
                break;
            }
            path = path.or_else(|| line.split(' ').nth(1).map(str::to_owned));
        }
        let path = path.unwrap_or_default();
        let (status, body) = match std::fs::read(directory.join(path.trim_start_matches('/'))) {
            Ok(body) => ("200 OK", body),
            Err(_) => ("404 Not Found", Vec::new()),
        };
        let stream = stream.get_mut();
        write!(stream, "HTTP/1.1 {status}\r\nContent-Length: {}\r\n\r\n", body.len())?;
        stream.write_all(&body)?;
        stream.flush()?;
    }
}

#[test]
fn an_authority_of_the_configuration_is_trusted_and_no_other() {
    let place = tempfile::tempdir().expect("a temporary directory");
    let store = DirectoryStore::create(place.path()).expect("a writable directory");
    for (name, stored) in samples() {
        store.put(&name, &stored).expect("a writable directory");
    }
    store.put_file(RepositoryFile::Manifest, b"manifest 1").expect("a writable directory");
    let address = serve(place.path().to_owned());
    let mut config =
        HttpConfig::new(&format!("https://localhost:{}", address.port()), "").expect("well formed");
    config.backoff = std::time::Duration::from_millis(20);
    config.root_certificates = vec![AUTHORITY.to_vec()];
    check_source(&HttpSource::new(config.clone()).expect("because the authority is well formed"));

    config.root_certificates.clear();
    // A system without any authorities of its own is refused from the start, which is as good.
    if let Ok(source) = HttpSource::new(config) {
        let error = source.fetch_to_memory(&samples()[0].0, 100, soon()).expect_err("because nobody vouches");
        assert!(matches!(error, StoreError::Transport { .. }), "{error}");
    }
}
