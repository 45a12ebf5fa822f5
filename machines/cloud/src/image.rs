//! Images: files that the operator has put into one directory, known by the digest of what is in them.
//!
//! A location is a name in that directory and nothing else: nobody can have a file of the service or of a host shown to a
//! machine of theirs.

use std::fmt;
use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::str::FromStr;

use sha2::{Digest as _, Sha256};
use varve_hypervisor::{Firmware, ImageError, ImageFormat};

use crate::account::AccountId;
use crate::id::ImageId;
use crate::instance::UnknownWord;

/// The longest name of an image's file.
const LONGEST: usize = 128;

/// What is recorded of an image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Image {
    /// Its id.
    pub id: ImageId,
    /// Who registered it.
    pub owner: AccountId,
    /// Its name.
    pub name: String,
    /// What people say of it.
    pub description: String,
    /// Its file's name in the directory of images.
    pub location: String,
    /// The SHA-256 of the file, in hexadecimal digits.
    pub digest: String,
    /// The bytes of the file.
    pub size: u64,
    /// What starts it.
    pub firmware: FirmwareName,
    /// Whether everybody can use it.
    pub for_all: bool,
    /// When it was registered, in milliseconds since 1970.
    pub created: i64,
    /// Whether nobody can start from it any more.
    pub deregistered: bool,
}

/// What starts an image, in words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FirmwareName(pub Firmware);

impl FirmwareName {
    /// As EC2 calls it.
    pub fn as_str(self) -> &'static str {
        match self.0 {
            Firmware::Bios => "legacy-bios",
            Firmware::Uefi => "uefi",
        }
    }
}

impl FromStr for FirmwareName {
    type Err = UnknownWord;

    fn from_str(text: &str) -> Result<Self, UnknownWord> {
        match text {
            "legacy-bios" => Ok(Self(Firmware::Bios)),
            "uefi" | "uefi-preferred" => Ok(Self(Firmware::Uefi)),
            _ => Err(UnknownWord),
        }
    }
}

impl fmt::Display for FirmwareName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Why a file is no image.
#[derive(Debug, thiserror::Error)]
pub enum ImageFileError {
    /// Not a name.
    #[error("the location of an image is the name of a file in the service's directory of images, not '{}'", crate::ec2::shown(.0))]
    Location(String),
    /// It isn't there.
    #[error("the directory of images has no file '{0}'")]
    Absent(String),
    /// It can't be started.
    #[error(transparent)]
    Unusable(#[from] ImageError),
    /// It can't be read.
    #[error("the image '{name}' can't be read")]
    Read {
        /// Its name.
        name: String,
        /// Why.
        #[source]
        source: io::Error,
    },
}

/// The file of a location.
///
/// # Errors
/// [`ImageFileError::Location`].
pub(crate) fn file(directory: &Path, location: &str) -> Result<PathBuf, ImageFileError> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_' | b'+');
    if location.is_empty()
        || location.len() > LONGEST
        || location.starts_with('.')
        || !location.bytes().all(allowed)
    {
        return Err(ImageFileError::Location(location.to_owned()));
    }
    Ok(directory.join(location))
}

/// Looks whether a machine can start from a file, and reads it for its digest and size.
///
/// # Errors
/// [`ImageFileError`].
pub(crate) fn examine(directory: &Path, location: &str) -> Result<(String, u64), ImageFileError> {
    let path = file(directory, location)?;
    // A link could lead anywhere.
    if !std::fs::symlink_metadata(&path).is_ok_and(|metadata| metadata.is_file()) {
        return Err(ImageFileError::Absent(location.to_owned()));
    }
    ImageFormat::of(&path)?.check_bootable(&path)?;
    let unreadable = |source| ImageFileError::Read { name: location.to_owned(), source };
    digest(&path).map_err(unreadable)
}

/// The SHA-256 of a file, and its size.
pub(crate) fn digest(path: &Path) -> io::Result<(String, u64)> {
    let mut file = File::open(path)?;
    let mut digest = Sha256::new();
    let mut piece = vec![0; 1 << 20];
    let mut size = 0;
    loop {
        match file.read(&mut piece)? {
            0 => return Ok((hex::encode(digest.finalize()), size)),
            count => {
                digest.update(&piece[..count]);
                size += count as u64;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn locations_stay_in_their_directory() {
        let scratch = varve_testkit::Scratch::new();
        for location in ["", ".", "..", "../x", "/etc/shadow", "a/b", ".hidden", "x\0", &"a".repeat(200)] {
            assert!(matches!(file(scratch.path(), location), Err(ImageFileError::Location(_))), "{location}");
        }
        std::os::unix::fs::symlink("/etc/passwd", scratch.join("link")).unwrap();
        assert!(matches!(examine(scratch.path(), "link"), Err(ImageFileError::Absent(_))));
        std::fs::write(scratch.join("text"), "no image").unwrap();
        assert!(matches!(examine(scratch.path(), "text"), Err(ImageFileError::Unusable(_))));
        let mut disk = vec![0; 1 << 20];
        disk[510..512].copy_from_slice(&[0x55, 0xaa]);
        std::fs::write(scratch.join("disk.img"), &disk).unwrap();
        let (digest, size) = examine(scratch.path(), "disk.img").unwrap();
        assert_eq!((digest, size), (hex::encode(Sha256::digest(&disk)), 1 << 20));
    }
}
