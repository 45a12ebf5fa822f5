//! What user data name and do not hold: more of them behind `#include`, and secrets. Addresses that begin with `http://` can be
//! asked as soon as there is a network; for `https://` the operating system's own certificates are needed.

use std::fs::{self, File};
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use reqwest::redirect::Policy;
use reqwest::{Certificate, Client, ClientBuilder};
use rustix::fs::{CWD, Mode, OFlags, ResolveFlags, openat2};
use tokio::runtime::{Builder, Runtime};

use crate::console::chain;
use crate::plain_http;

/// Where operating systems keep the certificates that they trust.
const CERTIFICATES: [&str; 4] = [
    "etc/ssl/certs/ca-certificates.crt",
    "etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    "etc/pki/tls/certs/ca-bundle.crt",
    "etc/ssl/cert.pem",
];
/// The most bytes of such a file.
const MOST_CERTIFICATES: u64 = 8 << 20;
/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(20);
/// How often somebody is asked who doesn't answer.
const TRIALS: u32 = 3;

/// Why something could not be fetched.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FetchError {
    /// There are no certificates to trust a server by.
    #[error("the operating system has no certificates that a server could be trusted by")]
    NoCertificates,
    /// The client could not be made.
    #[error("{0}")]
    Client(String),
    /// The server did not answer as it should.
    #[error("{address}: {reason}")]
    Answer {
        /// What was asked for.
        address: String,
        /// What came of it.
        reason: String,
    },
}

/// Fetches small files.
pub(crate) struct Fetcher {
    client: Client,
    runtime: Runtime,
}

impl Fetcher {
    /// For `http://` only.
    pub(crate) fn plain() -> Result<Self, FetchError> {
        Self::new(plain_http::client())
    }

    /// For `https://` only, by the certificates of the operating system in this root directory.
    pub(crate) fn encrypted(root: &Path) -> Result<Self, FetchError> {
        let certificates = certificates(root).ok_or(FetchError::NoCertificates)?;
        let failed = |error: reqwest::Error| FetchError::Client(chain(&error));
        let roots = Certificate::from_pem_bundle(&certificates).map_err(failed)?;
        Self::new(plain_http::client().tls_certs_only(roots).https_only(true).redirect(Policy::limited(3)))
    }

    fn new(builder: ClientBuilder) -> Result<Self, FetchError> {
        let client = builder.no_proxy().timeout(PATIENCE).build();
        let client = client.map_err(|error| FetchError::Client(chain(&error)))?;
        let runtime = Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|error| FetchError::Client(chain(&error)))?;
        Ok(Self { client, runtime })
    }

    /// What is at an address, if it has at most so many bytes. Who can't be reached is asked again.
    pub(crate) fn get(&self, address: &str, most: u64) -> Result<Vec<u8>, FetchError> {
        let failed = |reason: String| FetchError::Answer { address: address.to_owned(), reason };
        self.runtime.block_on(async {
            let mut trial = 1;
            let mut answer = loop {
                match self.client.get(address).send().await {
                    Ok(answer) => break answer,
                    Err(_) if trial < TRIALS => trial += 1,
                    Err(error) => return Err(failed(chain(&error))),
                }
                tokio::time::sleep(Duration::from_secs(1)).await;
            };
            if !answer.status().is_success() {
                return Err(failed(format!("the server says {}", answer.status())));
            }
            let mut bytes = Vec::new();
            while let Some(chunk) = answer.chunk().await.map_err(|error| failed(chain(&error)))? {
                if bytes.len() as u64 + chunk.len() as u64 > most {
                    return Err(failed(format!("longer than {most} bytes")));
                }
                bytes.extend_from_slice(&chunk);
            }
            Ok(bytes)
        })
    }
}

/// The first file of certificates that there is; no link leads out of the root directory.
fn certificates(root: &Path) -> Option<Vec<u8>> {
    let root = rustix::fs::openat(CWD, root, OFlags::PATH | OFlags::CLOEXEC, Mode::empty()).ok()?;
    let open = |path: &&str| {
        let flags = OFlags::RDONLY | OFlags::CLOEXEC;
        openat2(&root, *path, flags, Mode::empty(), ResolveFlags::IN_ROOT).ok()
    };
    let file = File::from(CERTIFICATES.iter().find_map(open)?);
    let mut bytes = Vec::new();
    file.take(MOST_CERTIFICATES).read_to_end(&mut bytes).ok()?;
    Some(bytes)
}

/// What was fetched and must not be again, in a file: an address in each line, behind the machine that it was for.
pub(crate) struct Taken {
    file: PathBuf,
    machine: String,
}

impl Taken {
    /// Remembered in this directory, for the machine of this name.
    pub(crate) fn in_directory(directory: &Path, instance_id: Option<&str>) -> Self {
        let machine = instance_id.unwrap_or("-").replace(char::is_whitespace, "_");
        Self { file: directory.join("fetched"), machine }
    }

    /// Whether it was fetched at an earlier start.
    pub(crate) fn has(&self, address: &str) -> bool {
        let line = self.line(address);
        fs::read_to_string(&self.file).is_ok_and(|text| text.lines().any(|one| one == line))
    }

    /// Remembers it.
    pub(crate) fn add(&self, addresses: &[String]) -> std::io::Result<()> {
        let mut file = fs::OpenOptions::new().create(true).append(true).open(&self.file)?;
        for address in addresses {
            writeln!(file, "{}", self.line(address))?;
        }
        file.sync_all()
    }

    fn line(&self, address: &str) -> String {
        format!("{} {address}", self.machine)
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn certificates_are_those_of_the_root_directory() {
        let scratch = varve_testkit::Scratch::new();
        assert!(certificates(&scratch.join("")).is_none());
        symlink("/somewhere/bundle.pem", scratch.directory("etc/ssl").join("cert.pem")).unwrap();
        assert!(certificates(&scratch.join("")).is_none());
        fs::write(scratch.directory("somewhere").join("bundle.pem"), "here").unwrap();
        assert_eq!(certificates(&scratch.join("")).unwrap(), b"here");
    }

    #[test]
    fn what_was_taken_is_remembered_for_one_machine() {
        let scratch = varve_testkit::Scratch::new();
        let taken = Taken::in_directory(&scratch.join(""), Some("i-1"));
        assert!(!taken.has("https://a/x"));
        taken.add(&["https://a/x".to_owned()]).unwrap();
        taken.add(&["https://a/y".to_owned()]).unwrap();
        assert!(taken.has("https://a/x") && taken.has("https://a/y") && !taken.has("https://a/"));
        assert!(!Taken::in_directory(&scratch.join(""), Some("i-2")).has("https://a/x"));
    }
}
