//! The publisher's half of the chain of trust: master key, repository key and certificate, and what they sign.
//!
//! ```text
//! NAME.masterkey   RSA key that signs whitelists         0600    (may be kept elsewhere)
//! NAME.pub         its public half, for whoever mounts   0644
//! NAME.key         RSA key that signs manifests          0600
//! NAME.crt         its certificate, self-signed          0644
//! ```

use std::fs;
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use rand::RngCore as _;
use rand::rngs::OsRng;
use rsa::RsaPrivateKey;
use rsa::pkcs1::{DecodeRsaPrivateKey as _, EncodeRsaPrivateKey as _};
use rsa::pkcs1v15::SigningKey;
use rsa::pkcs8::{DecodePrivateKey as _, EncodePublicKey as _, LineEnding};
use rsa::sha2::Sha256;
use varve_content::{Algorithm, ContentHash};
use x509_cert::builder::{Builder as _, CertificateBuilder, Profile};
use x509_cert::der::EncodePem as _;
use x509_cert::name::Name;
use x509_cert::serial_number::SerialNumber;
use x509_cert::spki::SubjectPublicKeyInfoOwned;
use x509_cert::time::{Time, Validity};

use crate::certificate::CertificateError;
use crate::signature::{Letter, Padding};
use crate::whitelist::WhitelistFields;
use crate::{Certificate, Manifest, ManifestFields, PublicKeys, RepositoryName};

/// Bits of the keys that are made.
const KEY_BITS: usize = 2048;

/// The most bytes of a key's file.
const FILE_LIMIT: u64 = 64 << 10;

/// For how long a whitelist is signed unless somebody chooses otherwise.
pub const WHITELIST_VALIDITY: Duration = Duration::from_secs(30 * 24 * 3600);

/// The keys that a repository is published with.
#[derive(Clone)]
pub struct SigningKeys {
    repository: RepositoryName,
    master: Option<RsaPrivateKey>,
    key: RsaPrivateKey,
    certificate: Certificate,
}

impl SigningKeys {
    /// Makes new keys, and a certificate that is valid from `now` on for as long as `validity` says. Takes seconds.
    ///
    /// # Errors
    /// [`SigningError`] if the dates can't be written in a certificate or the system gives no random numbers.
    pub fn generate(
        repository: &RepositoryName,
        now: SystemTime,
        validity: Duration,
    ) -> Result<Self, SigningError> {
        let master = RsaPrivateKey::new(&mut OsRng, KEY_BITS)?;
        let key = RsaPrivateKey::new(&mut OsRng, KEY_BITS)?;
        let certificate = self_signed(repository, &key, now, validity)?;
        Ok(Self { repository: repository.clone(), master: Some(master), key, certificate })
    }

    /// Reads `NAME.key`, `NAME.crt` and, where it is there, `NAME.masterkey` from a directory.
    ///
    /// # Errors
    /// [`SigningError`] if a file is missing or no key, or the key is not the certificate's.
    pub fn load(directory: &Path, repository: &RepositoryName) -> Result<Self, SigningError> {
        let path = |extension| file(directory, repository, extension);
        let master = match read_key(&path("masterkey")) {
            Ok(key) => Some(key),
            Err(SigningError::Read { source, .. }) if source.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(error),
        };
        let key = read_key(&path("key"))?;
        let certificate = Certificate::from_pem(&read(&path("crt"))?)
            .map_err(|source| SigningError::Certificate { path: path("crt"), source })?;
        if *certificate.key() != key.to_public_key() {
            return Err(SigningError::Mismatch { key: path("key"), certificate: path("crt") });
        }
        Ok(Self { repository: repository.clone(), master, key, certificate })
    }

    /// Writes the four files (three without a master key). None of them may exist.
    ///
    /// # Errors
    /// [`SigningError::Write`] for the first that can't be written.
    pub fn save(&self, directory: &Path) -> Result<(), SigningError> {
        let path = |extension| file(directory, &self.repository, extension);
        if let Some(master) = &self.master {
            write(&path("masterkey"), 0o600, master.to_pkcs1_pem(LineEnding::LF)?.as_bytes())?;
            let public =
                master.to_public_key().to_public_key_pem(LineEnding::LF).map_err(rsa::pkcs8::Error::from)?;
            write(&path("pub"), 0o644, public.as_bytes())?;
        }
        write(&path("key"), 0o600, self.key.to_pkcs1_pem(LineEnding::LF)?.as_bytes())?;
        write(&path("crt"), 0o644, self.certificate.pem())
    }

    /// The repository they belong to.
    pub fn repository(&self) -> &RepositoryName {
        &self.repository
    }

    /// The certificate: its PEM text is what the certificate object holds.
    pub fn certificate(&self) -> &Certificate {
        &self.certificate
    }

    /// The public half of the master key, if it is here.
    pub fn public_keys(&self) -> Option<PublicKeys> {
        self.master.as_ref().map(|master| PublicKeys::from(master.to_public_key()))
    }

    /// Signs a manifest. `algorithm` is the repository's.
    ///
    /// # Errors
    /// [`SigningError::OtherRepository`] if it is another repository's.
    pub fn sign_manifest(
        &self,
        fields: ManifestFields,
        algorithm: Algorithm,
    ) -> Result<Manifest, SigningError> {
        if fields.repository != self.repository {
            return Err(SigningError::OtherRepository {
                repository: self.repository.clone(),
                other: fields.repository,
            });
        }
        let letter = Letter::sign(fields.text(), algorithm, Padding::Sha1, &self.key)?;
        Ok(Manifest::new_signed(fields, letter))
    }

    /// Signs a whitelist that names the certificate and `others` (of publishers beside this one): the bytes of
    /// `.cvmfswhitelist`.
    ///
    /// # Errors
    /// [`SigningError::NoMasterKey`] if it is not here, [`SigningError::Time`] for times that can't be written.
    pub fn sign_whitelist(
        &self,
        issued: SystemTime,
        expires: SystemTime,
        others: &[ContentHash],
        algorithm: Algorithm,
    ) -> Result<Vec<u8>, SigningError> {
        let master = self
            .master
            .as_ref()
            .ok_or_else(|| SigningError::NoMasterKey { repository: self.repository.clone() })?;
        let own = self.certificate.fingerprint(algorithm);
        let mut certificates = vec![own];
        certificates.extend(others.iter().filter(|other| **other != own));
        let text = WhitelistFields::text(&self.repository, issued, expires, &certificates)
            .ok_or(SigningError::Time)?;
        Ok(Letter::sign(text, algorithm, Padding::Unprefixed, master)?.to_bytes())
    }
}

impl std::fmt::Debug for SigningKeys {
    /// Shows no part of the private keys.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SigningKeys").field("repository", &self.repository).finish_non_exhaustive()
    }
}

/// A certificate for a key, signed by itself.
fn self_signed(
    repository: &RepositoryName,
    key: &RsaPrivateKey,
    now: SystemTime,
    validity: Duration,
) -> Result<Certificate, SigningError> {
    /// The most characters of a common name (RFC 5280, ub-common-name).
    const COMMON_NAME: usize = 64;
    let time = |time| Time::try_from(time).map_err(|_| SigningError::Time);
    let end = now.checked_add(validity).ok_or(SigningError::Time)?;
    let validity = Validity { not_before: time(now)?, not_after: time(end)? };
    let mut name = repository.to_string();
    name.truncate(COMMON_NAME);
    let subject: Name = format!("CN={name}").parse().map_err(build)?;
    let mut serial = [0; 8];
    OsRng.fill_bytes(&mut serial);
    serial[0] &= 0x7f;
    let signer = SigningKey::<Sha256>::new(key.clone());
    let public = SubjectPublicKeyInfoOwned::from_key(key.to_public_key()).map_err(build)?;
    let profile = Profile::Leaf {
        issuer: subject.clone(),
        enable_key_agreement: false,
        enable_key_encipherment: false,
    };
    let builder = CertificateBuilder::new(
        profile,
        SerialNumber::new(&serial).map_err(build)?,
        validity,
        subject,
        public,
        &signer,
    )
    .map_err(build)?;
    let certificate = builder.build::<rsa::pkcs1v15::Signature>().map_err(build)?;
    let pem = certificate.to_pem(LineEnding::LF).map_err(build)?;
    Certificate::from_pem(pem.as_bytes()).map_err(build)
}

fn build(error: impl std::error::Error + Send + Sync + 'static) -> SigningError {
    SigningError::Build(Box::new(error))
}

fn file(directory: &Path, repository: &RepositoryName, extension: &str) -> PathBuf {
    directory.join(format!("{repository}.{extension}"))
}

fn read(path: &Path) -> Result<Vec<u8>, SigningError> {
    let wrap = |source| SigningError::Read { path: path.to_owned(), source };
    if fs::metadata(path).map_err(wrap)?.len() > FILE_LIMIT {
        return Err(wrap(io::Error::other("larger than 64 KiB")));
    }
    fs::read(path).map_err(wrap)
}

/// A private key in either of the two forms that OpenSSL writes.
fn read_key(path: &Path) -> Result<RsaPrivateKey, SigningError> {
    let text = String::from_utf8(read(path)?).map_err(|_| SigningError::Key { path: path.to_owned() })?;
    RsaPrivateKey::from_pkcs1_pem(&text)
        .or_else(|_| RsaPrivateKey::from_pkcs8_pem(&text))
        .map_err(|_| SigningError::Key { path: path.to_owned() })
}

fn write(path: &Path, mode: u32, bytes: &[u8]) -> Result<(), SigningError> {
    let wrap = |source| SigningError::Write { path: path.to_owned(), source };
    let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(mode).open(path).map_err(wrap)?;
    file.write_all(bytes).and_then(|()| file.sync_all()).map_err(wrap)
}

/// Why something could not be signed, or keys not be had.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SigningError {
    /// A key's file that can't be read.
    #[error("cannot read {path}")]
    Read {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        #[source]
        source: io::Error,
    },
    /// A key's file that can't be written.
    #[error("cannot write {path}")]
    Write {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        #[source]
        source: io::Error,
    },
    /// A file that holds no usable private key.
    #[error("{path} holds no RSA private key in PEM form without a password")]
    Key {
        /// The file.
        path: PathBuf,
    },
    /// A file that holds no usable certificate.
    #[error("{path} holds no usable certificate")]
    Certificate {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        #[source]
        source: CertificateError,
    },
    /// Key and certificate don't belong together.
    #[error("{key} is not the key of {certificate}")]
    Mismatch {
        /// The key's file.
        key: PathBuf,
        /// The certificate's file.
        certificate: PathBuf,
    },
    /// Keys of one repository, a manifest of another.
    #[error("keys of {repository} do not sign for {other}")]
    OtherRepository {
        /// Whose keys they are.
        repository: RepositoryName,
        /// Whose manifest it is.
        other: RepositoryName,
    },
    /// A whitelist can't be signed here.
    #[error("master key of {repository} is not on this machine")]
    NoMasterKey {
        /// The repository.
        repository: RepositoryName,
    },
    /// A time that whitelist or certificate can't express.
    #[error("time is out of range")]
    Time,
    /// A certificate or a key could not be encoded.
    #[error("certificate could not be made")]
    Build(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The key could not be used.
    #[error("signature could not be made")]
    Sign(#[from] rsa::Error),
    /// The key could not be written as text.
    #[error("key could not be encoded")]
    Encode(#[from] rsa::pkcs8::Error),
}

impl From<rsa::pkcs1::Error> for SigningError {
    fn from(error: rsa::pkcs1::Error) -> Self {
        build(error)
    }
}
