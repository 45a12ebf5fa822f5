//! The manifest beside an image: what is in it, by hash, signed. `NAME.manifest.json` is the text, `NAME.manifest.sig` the
//! signature of its bytes (RSA, PKCS #1 v1.5, SHA-256), as `openssl dgst -sha256 -verify` reads it.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::Format;
use crate::signing::{ImageKey, ImageSignatureError, PublicImageKey};

/// The most bytes of a manifest.
const MANIFEST_LIMIT: u64 = 1 << 20;

/// How the names of a manifest and its signature end.
pub(crate) const MANIFEST_ENDING: &str = ".manifest.json";
pub(crate) const SIGNATURE_ENDING: &str = ".manifest.sig";

/// What an image is made of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImageManifest {
    /// The form of this text: 1.
    pub version: u32,
    /// The image's name.
    pub name: String,
    /// The date of everything in it, in seconds since 1970.
    pub epoch: u64,
    /// The files that this manifest vouches for.
    pub files: Vec<FilePart>,
    /// The kernel.
    pub kernel: KernelPart,
    /// What the kernel unpacks.
    pub initramfs: InitramfsPart,
    /// What the kernel is told.
    pub command_line: String,
}

/// A file beside the manifest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FilePart {
    /// Its name, without a directory.
    pub name: String,
    /// Its form, see [`Format::name`].
    pub format: String,
    /// Its size in bytes.
    pub size: u64,
    /// Its hash in hexadecimal digits.
    pub sha256: String,
}

/// A kernel.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KernelPart {
    /// What `uname -r` says.
    pub release: String,
    /// The package it is from, if it is a packaged one, and its version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub package: Option<String>,
    /// That package's version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub package_version: Option<String>,
    /// Its size in bytes.
    pub size: u64,
    /// Its hash in hexadecimal digits.
    pub sha256: String,
    /// The modules that come along.
    pub modules: Vec<String>,
}

/// An initial file system.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InitramfsPart {
    /// What it is compressed with.
    pub compression: String,
    /// Its size in bytes, compressed.
    pub size: u64,
    /// Its hash in hexadecimal digits, compressed.
    pub sha256: String,
    /// The guest's size in bytes.
    pub guest_size: u64,
    /// The guest's hash in hexadecimal digits.
    pub guest_sha256: String,
    /// The hash of `/etc/varve/boot.toml`, if there is one, in hexadecimal digits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub boot_settings_sha256: Option<String>,
    /// The operating system's repository, if the image is for one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repository: Option<String>,
}

impl ImageManifest {
    /// Its text, and the text's signature by `key`.
    ///
    /// # Errors
    /// [`ImageSignatureError`] if it can't be signed.
    pub fn sign(&self, key: &ImageKey) -> Result<(Vec<u8>, Vec<u8>), ImageSignatureError> {
        let mut text = serde_json::to_vec_pretty(self).map_err(ManifestError::Form)?;
        text.push(b'\n');
        let signature = key.sign(&text)?;
        Ok((text, signature))
    }

    /// Reads a text whose signature by `key` is right.
    ///
    /// # Errors
    /// [`ImageSignatureError`] for a wrong signature, or a text that is no manifest of this version.
    pub fn verify(text: &[u8], signature: &[u8], key: &PublicImageKey) -> Result<Self, ImageSignatureError> {
        key.verify(text, signature)?;
        let manifest: Self = serde_json::from_slice(text).map_err(ManifestError::Form)?;
        if manifest.version == 1 {
            Ok(manifest)
        } else {
            Err(ManifestError::Version { version: manifest.version }.into())
        }
    }

    /// Reads and verifies the manifest beside an image, or the one that is named itself: the manifest and its path.
    ///
    /// # Errors
    /// [`ImageSignatureError`] if there is none, or as [`Self::verify`].
    pub fn beside(image: &Path, key: &PublicImageKey) -> Result<(Self, PathBuf), ImageSignatureError> {
        let name = image.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let path = match name.strip_suffix(MANIFEST_ENDING) {
            Some(_) => image.to_owned(),
            None => {
                let stem = name.rsplit_once('.').map_or(name.as_str(), |(stem, _)| stem);
                image.with_file_name(format!("{stem}{MANIFEST_ENDING}"))
            }
        };
        let manifest = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let stem = manifest.strip_suffix(MANIFEST_ENDING).unwrap_or(&manifest);
        let signature = path.with_file_name(format!("{stem}{SIGNATURE_ENDING}"));
        let text = read_bounded(&path)?;
        let signature = read_bounded(&signature)?;
        Ok((Self::verify(&text, &signature, key)?, path))
    }

    /// Compares a file of the manifest's directory with what the manifest says of it.
    ///
    /// # Errors
    /// [`ManifestError`] if it isn't named, can't be read or differs.
    pub fn check_file(&self, path: &Path) -> Result<(), ManifestError> {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let part = self
            .files
            .iter()
            .find(|part| part.name == name)
            .ok_or_else(|| ManifestError::Unnamed { name: name.clone() })?;
        let mut hasher = Sha256::new();
        let size = File::open(path)
            .and_then(|file| io::copy(&mut file.take(part.size.saturating_add(1)), &mut hasher))
            .map_err(|source| ManifestError::Read { name: name.clone(), source })?;
        if size == part.size && hex::encode(hasher.finalize()) == part.sha256 {
            Ok(())
        } else {
            Err(ManifestError::Different { name })
        }
    }
}

impl FilePart {
    /// What is said of a file of such bytes.
    pub(crate) fn of(name: String, format: Format, bytes: &[u8]) -> Self {
        Self { name, format: format.name().to_owned(), size: bytes.len() as u64, sha256: digest(bytes) }
    }
}

fn read_bounded(path: &Path) -> Result<Vec<u8>, ManifestError> {
    let wrap = |source| ManifestError::Read { name: path.display().to_string(), source };
    let mut bytes = Vec::new();
    File::open(path).and_then(|file| file.take(MANIFEST_LIMIT).read_to_end(&mut bytes)).map_err(wrap)?;
    Ok(bytes)
}

/// A hash in hexadecimal digits.
pub(crate) fn digest(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}

/// Why a manifest vouches for nothing.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ManifestError {
    /// It isn't the JSON that it should be.
    #[error("the manifest is malformed")]
    Form(#[source] serde_json::Error),
    /// It is of another time.
    #[error("the manifest has version {version}, which this program does not know")]
    Version {
        /// The version it names.
        version: u32,
    },
    /// It doesn't name a file.
    #[error("the manifest does not name {name}")]
    Unnamed {
        /// The file.
        name: String,
    },
    /// A file can't be read.
    #[error("cannot read {name}")]
    Read {
        /// The file.
        name: String,
        /// What the operating system said.
        #[source]
        source: io::Error,
    },
    /// A file is not the one that was signed for.
    #[error("{name} is not what its manifest says")]
    Different {
        /// The file.
        name: String,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manifest() -> ImageManifest {
        ImageManifest {
            version: 1,
            name: "varve".to_owned(),
            epoch: 1_700_000_000,
            files: vec![FilePart::of("varve.iso".to_owned(), Format::Iso, b"image")],
            kernel: KernelPart {
                release: "6.1.0-56-amd64".to_owned(),
                package: None,
                package_version: None,
                size: 6,
                sha256: digest(b"kernel"),
                modules: Vec::new(),
            },
            initramfs: InitramfsPart {
                compression: "xz".to_owned(),
                size: 1,
                sha256: digest(b"x"),
                guest_size: 1,
                guest_sha256: digest(b"x"),
                boot_settings_sha256: None,
                repository: None,
            },
            command_line: String::new(),
        }
    }

    #[test]
    fn what_was_signed_is_verified_and_nothing_else() {
        let key = ImageKey::generate().expect("key");
        let (text, signature) = manifest().sign(&key).expect("sign");
        assert_eq!(ImageManifest::verify(&text, &signature, &key.public()).expect("verify"), manifest());
        let mut other = text.clone();
        other[20] ^= 1;
        assert!(ImageManifest::verify(&other, &signature, &key.public()).is_err());
        let stranger = ImageKey::generate().expect("key");
        assert!(ImageManifest::verify(&text, &signature, &stranger.public()).is_err());
        let (text, signature) = ImageManifest { version: 2, ..manifest() }.sign(&key).expect("sign");
        assert!(ImageManifest::verify(&text, &signature, &key.public()).is_err());
    }

    #[test]
    fn a_file_is_compared_with_what_was_said_of_it() {
        let scratch = tempfile::tempdir().expect("scratch");
        let path = scratch.path().join("varve.iso");
        std::fs::write(&path, b"image").expect("write");
        manifest().check_file(&path).expect("the same");
        for other in [&b"imagf"[..], b"image and more", b""] {
            std::fs::write(&path, other).expect("write");
            assert!(matches!(manifest().check_file(&path), Err(ManifestError::Different { .. })));
        }
        assert!(matches!(
            manifest().check_file(&scratch.path().join("other")),
            Err(ManifestError::Unnamed { .. })
        ));
    }
}
