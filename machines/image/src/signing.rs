//! The key that images are signed with: RSA, in PEM, one pair for all images of a user.

use std::fs;
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use rand::rngs::OsRng;
use rsa::pkcs1::DecodeRsaPrivateKey as _;
use rsa::pkcs1v15::{Signature, SigningKey, VerifyingKey};
use rsa::pkcs8::{
    DecodePrivateKey as _, DecodePublicKey as _, EncodePrivateKey as _, EncodePublicKey as _, LineEnding,
};
use rsa::sha2::Sha256;
use rsa::signature::{SignatureEncoding as _, Signer as _, Verifier as _};
use rsa::{RsaPrivateKey, RsaPublicKey};

use crate::manifest::ManifestError;

/// Bits of a key that is made.
const KEY_BITS: usize = 3072;

/// The most bytes of a key's file.
const FILE_LIMIT: u64 = 64 << 10;

/// The private key.
#[derive(Clone)]
pub struct ImageKey(RsaPrivateKey);

/// Its public half.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublicImageKey(RsaPublicKey);

impl ImageKey {
    /// Makes a new one. Takes seconds.
    ///
    /// # Errors
    /// [`ImageSignatureError`] if the system gives no random numbers.
    pub fn generate() -> Result<Self, ImageSignatureError> {
        Ok(Self(RsaPrivateKey::new(&mut OsRng, KEY_BITS)?))
    }

    /// Reads one, in either of the two forms that OpenSSL writes.
    ///
    /// # Errors
    /// [`ImageSignatureError`] if the file can't be read or holds none.
    pub fn load(path: &Path) -> Result<Self, ImageSignatureError> {
        let text = read(path)?;
        RsaPrivateKey::from_pkcs8_pem(&text)
            .or_else(|_| RsaPrivateKey::from_pkcs1_pem(&text))
            .map(Self)
            .map_err(|_| ImageSignatureError::NoKey { path: path.to_owned(), kind: "private" })
    }

    /// Reads it, or makes it where there is none: then `made` is true, and the public half lies beside it with the
    /// ending `.pub`.
    ///
    /// # Errors
    /// [`ImageSignatureError`] if files can't be read or written.
    pub fn load_or_make(path: &Path) -> Result<(Self, bool), ImageSignatureError> {
        match Self::load(path) {
            Err(ImageSignatureError::File { source, .. }) if source.kind() == io::ErrorKind::NotFound => {}
            known => return known.map(|key| (key, false)),
        }
        let key = Self::generate()?;
        if let Some(directory) = path.parent() {
            fs::create_dir_all(directory).map_err(ImageSignatureError::file(directory))?;
        }
        let private = key.0.to_pkcs8_pem(LineEnding::LF).map_err(rsa::Error::from)?;
        write(path, 0o600, private.as_bytes())?;
        write(&path.with_extension("pub"), 0o644, key.public().to_pem()?.as_bytes())?;
        Ok((key, true))
    }

    /// The public half.
    pub fn public(&self) -> PublicImageKey {
        PublicImageKey(self.0.to_public_key())
    }

    pub(crate) fn sign(&self, bytes: &[u8]) -> Result<Vec<u8>, ImageSignatureError> {
        let signer = SigningKey::<Sha256>::new(self.0.clone());
        Ok(signer.try_sign(bytes).map_err(|_| ImageSignatureError::Sign)?.to_vec())
    }
}

impl std::fmt::Debug for ImageKey {
    /// Shows no part of the key.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ImageKey")
    }
}

impl PublicImageKey {
    /// Reads one in PEM.
    ///
    /// # Errors
    /// [`ImageSignatureError`] if the file can't be read or holds none.
    pub fn load(path: &Path) -> Result<Self, ImageSignatureError> {
        RsaPublicKey::from_public_key_pem(&read(path)?)
            .map(Self)
            .map_err(|_| ImageSignatureError::NoKey { path: path.to_owned(), kind: "public" })
    }

    /// As PEM text.
    ///
    /// # Errors
    /// [`ImageSignatureError`] if it can't be written so.
    pub fn to_pem(&self) -> Result<String, ImageSignatureError> {
        let pem = self.0.to_public_key_pem(LineEnding::LF);
        Ok(pem.map_err(|error| rsa::Error::from(rsa::pkcs8::Error::from(error)))?)
    }

    pub(crate) fn verify(&self, bytes: &[u8], signature: &[u8]) -> Result<(), ImageSignatureError> {
        let signature = Signature::try_from(signature).map_err(|_| ImageSignatureError::Wrong)?;
        let verifier = VerifyingKey::<Sha256>::new(self.0.clone());
        verifier.verify(bytes, &signature).map_err(|_| ImageSignatureError::Wrong)
    }
}

fn read(path: &Path) -> Result<String, ImageSignatureError> {
    let wrap = ImageSignatureError::file(path);
    let read = || {
        if fs::metadata(path)?.len() > FILE_LIMIT {
            return Err(io::Error::other("larger than 64 KiB"));
        }
        fs::read_to_string(path)
    };
    read().map_err(wrap)
}

fn write(path: &Path, mode: u32, bytes: &[u8]) -> Result<(), ImageSignatureError> {
    let create = || {
        let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(mode).open(path)?;
        file.write_all(bytes)?;
        file.sync_all()
    };
    create().map_err(ImageSignatureError::file(path))
}

/// Why an image is not signed, or its signature not good.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ImageSignatureError {
    /// A file can't be used.
    #[error("cannot use {path}")]
    File {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        #[source]
        source: io::Error,
    },
    /// A file holds no such key.
    #[error("{path} holds no {kind} RSA key in PEM form")]
    NoKey {
        /// The file.
        path: PathBuf,
        /// Private or public.
        kind: &'static str,
    },
    /// A key can't be made or written.
    #[error("cannot make a key")]
    Key(#[from] rsa::Error),
    /// The key is too small for a signature.
    #[error("the key can't sign")]
    Sign,
    /// Somebody else signed, or something else was signed.
    #[error("the manifest's signature is not by this key")]
    Wrong,
    /// The signed text is of no use.
    #[error(transparent)]
    Manifest(#[from] ManifestError),
}

impl ImageSignatureError {
    fn file(path: &Path) -> impl FnOnce(io::Error) -> Self + use<> {
        let path = path.to_owned();
        move |source| Self::File { path, source }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_made_once_and_read_again() {
        let scratch = tempfile::tempdir().expect("scratch");
        let path = scratch.path().join("keys/image.key");
        let (made, new) = ImageKey::load_or_make(&path).expect("make");
        let (again, newer) = ImageKey::load_or_make(&path).expect("load");
        assert_eq!((new, newer), (true, false));
        let public = PublicImageKey::load(&path.with_extension("pub")).expect("the public half");
        assert_eq!((made.public(), again.public()), (public.clone(), public));
        let mode = std::os::unix::fs::PermissionsExt::mode(&fs::metadata(&path).expect("file").permissions());
        assert_eq!(mode & 0o777, 0o600);
        assert!(matches!(PublicImageKey::load(&path), Err(ImageSignatureError::NoKey { .. })));
    }
}
