//! The public halves of master keys: who may sign whitelists, as configured by whoever mounts.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use pki_types::pem::{PemObject as _, SectionKind};
use rsa::RsaPublicKey;
use rsa::pkcs8::{EncodePublicKey as _, LineEnding};

use crate::KeyFingerprint;
use crate::certificate::rsa_key;

/// The most bytes of a file of keys.
const FILE_LIMIT: u64 = 1 << 20;

/// RSA public keys. Any of them may have signed a whitelist.
#[derive(Clone, Debug, Default)]
pub struct PublicKeys(Vec<RsaPublicKey>);

impl PublicKeys {
    /// Reads PEM text with one or several `PUBLIC KEY` sections.
    ///
    /// # Errors
    /// [`PublicKeysError`] if there is none, or one that is no RSA key.
    pub fn from_pem(text: &[u8]) -> Result<Self, PublicKeysError> {
        let mut keys = Vec::new();
        for section in <(SectionKind, Vec<u8>)>::pem_slice_iter(text) {
            let (kind, der) = section.map_err(|_| PublicKeysError::NotPem)?;
            if kind == SectionKind::PublicKey {
                keys.push(rsa_key(&der).map_err(|_| PublicKeysError::NotRsa)?);
            }
        }
        if keys.is_empty() { Err(PublicKeysError::NotPem) } else { Ok(Self(keys)) }
    }

    /// Reads files, and of directories every file whose name ends in `.pub`, in the order of names.
    ///
    /// # Errors
    /// [`PublicKeysError::File`] for the first file that can't be used.
    pub fn load<P: AsRef<Path>>(paths: &[P]) -> Result<Self, PublicKeysError> {
        let mut keys = Self::default();
        for path in paths {
            let path = path.as_ref();
            let wrap = |source| PublicKeysError::Read { path: path.to_owned(), source };
            if path.is_dir() {
                let mut files = Vec::new();
                for entry in fs::read_dir(path).map_err(wrap)? {
                    files.push(entry.map_err(wrap)?.path());
                }
                files.retain(|file| file.extension().is_some_and(|extension| extension == "pub"));
                files.sort();
                for file in files {
                    keys.add_file(&file)?;
                }
            } else {
                keys.add_file(path)?;
            }
        }
        Ok(keys)
    }

    /// Adds the keys of another set.
    pub fn extend(&mut self, other: Self) {
        self.0.extend(other.0);
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none: then nothing can be verified.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// All keys as PEM text, one section after the other.
    pub fn to_pem(&self) -> String {
        self.0
            .iter()
            .map(|key| {
                key.to_public_key_pem(LineEnding::LF).expect("because every checked key can be encoded")
            })
            .collect()
    }

    /// The fingerprints, in the order of the keys.
    pub fn fingerprints(&self) -> Vec<KeyFingerprint> {
        self.0.iter().map(KeyFingerprint::of).collect()
    }

    /// The key with this fingerprint alone, if it is among them.
    pub fn with_fingerprint(&self, fingerprint: &KeyFingerprint) -> Option<Self> {
        let key = self.0.iter().find(|key| KeyFingerprint::of(key) == *fingerprint)?;
        Some(Self::from(key.clone()))
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &RsaPublicKey> {
        self.0.iter()
    }

    fn add_file(&mut self, path: &Path) -> Result<(), PublicKeysError> {
        let wrap = |source| PublicKeysError::Read { path: path.to_owned(), source };
        if fs::metadata(path).map_err(wrap)?.len() > FILE_LIMIT {
            return Err(wrap(io::Error::other("larger than 1 MiB")));
        }
        let text = fs::read(path).map_err(wrap)?;
        let keys = Self::from_pem(&text)
            .map_err(|source| PublicKeysError::File { path: path.to_owned(), source: Box::new(source) })?;
        self.extend(keys);
        Ok(())
    }
}

impl From<RsaPublicKey> for PublicKeys {
    fn from(key: RsaPublicKey) -> Self {
        Self(vec![key])
    }
}

/// Why public keys could not be had.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PublicKeysError {
    /// No PEM text, or none with a public key.
    #[error("no PEM text with a public key")]
    NotPem,
    /// A key of another kind, or a damaged one.
    #[error("public key is no usable RSA key")]
    NotRsa,
    /// A file that is no key.
    #[error("cannot use public key {path}")]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        #[source]
        source: Box<PublicKeysError>,
    },
    /// A file or directory that can't be read.
    #[error("cannot read public key {path}")]
    Read {
        /// The file or directory.
        path: PathBuf,
        /// What the operating system said.
        #[source]
        source: io::Error,
    },
}
