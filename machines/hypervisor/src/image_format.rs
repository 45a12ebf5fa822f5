//! Which format an image has, by its first bytes, and whether it can be used without reading other files of the host.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

/// Where a CD's first volume descriptor is.
const CD: u64 = 0x8000;
/// qcow2's flag of contents in another file.
const EXTERNAL_DATA: u64 = 1 << 2;

/// The format of an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ImageFormat {
    /// Just the bytes of a disk.
    Raw,
    /// QEMU's own.
    Qcow2,
    /// A CD, perhaps one that is a disk too.
    Iso,
    /// VirtualBox's.
    Vdi,
    /// Hyper-V's.
    Vhdx,
}

impl ImageFormat {
    /// What QEMU calls the driver.
    pub(crate) fn driver(self) -> &'static str {
        match self {
            Self::Raw | Self::Iso => "raw",
            Self::Qcow2 => "qcow2",
            Self::Vdi => "vdi",
            Self::Vhdx => "vhdx",
        }
    }

    /// Looks into a file.
    ///
    /// # Errors
    /// [`ImageError`] if no machine can use it.
    pub fn of(path: &Path) -> Result<Self, ImageError> {
        let unreadable = |source| ImageError::Read { path: path.to_owned(), source };
        let file = File::open(path).map_err(unreadable)?;
        let metadata = file.metadata().map_err(unreadable)?;
        if metadata.is_dir() {
            return Err(ImageError::Directory { path: path.to_owned() });
        }
        let begin = read(&file, 0, 512).map_err(unreadable)?;
        let descriptor = read(&file, CD, 8).map_err(unreadable)?;
        Self::recognize(&begin, &descriptor)
            .map_err(|what| ImageError::Unusable { path: path.to_owned(), what })
    }

    /// By the first sector and the first bytes of a CD's descriptor.
    fn recognize(begin: &[u8], descriptor: &[u8]) -> Result<Self, Unusable> {
        let at = |offset: usize, bytes: &[u8]| begin.get(offset..offset + bytes.len()) == Some(bytes);
        if at(0, b"QFI\xfb") {
            return qcow2(begin).map(|()| Self::Qcow2);
        }
        if at(0, b"KDMV") || at(0, b"COWD") || at(0, b"# Disk Descriptor") {
            return Err(Unusable::Vmdk);
        }
        if at(0, b"conectix") {
            return Err(Unusable::Vhd);
        }
        if at(0, b"vhdxfile") {
            return Ok(Self::Vhdx);
        }
        if at(64, &[0x7f, 0x10, 0xda, 0xbe]) {
            return Ok(Self::Vdi);
        }
        if descriptor.get(1..6) == Some(b"CD001") {
            return Ok(Self::Iso);
        }
        if begin.starts_with(&[0x1f, 0x8b])
            || begin.starts_with(b"\xfd7zXZ")
            || begin.starts_with(b"\x28\xb5\x2f\xfd")
        {
            return Err(Unusable::Compressed);
        }
        if begin.is_empty() { Err(Unusable::Empty) } else { Ok(Self::Raw) }
    }

    /// Whether something starts from a disk of this format and contents, as far as that can be seen from outside.
    pub fn check_bootable(self, path: &Path) -> Result<(), ImageError> {
        if self != Self::Raw {
            return Ok(());
        }
        let unreadable = |source| ImageError::Read { path: path.to_owned(), source };
        let begin = File::open(path).and_then(|file| read(&file, 0, 512)).map_err(unreadable)?;
        if begin.get(510..512) == Some(&[0x55, 0xaa]) {
            return Ok(());
        }
        Err(ImageError::Unusable { path: path.to_owned(), what: Unusable::NoBootSector })
    }
}

/// A qcow2 image that names other files would show them to the machine.
fn qcow2(begin: &[u8]) -> Result<(), Unusable> {
    let number = |offset: usize, length: usize| {
        let bytes = begin.get(offset..offset + length)?;
        Some(bytes.iter().fold(0u64, |value, &byte| value << 8 | u64::from(byte)))
    };
    let version = number(4, 4).ok_or(Unusable::Empty)?;
    if number(8, 8).ok_or(Unusable::Empty)? != 0 {
        return Err(Unusable::Refers);
    }
    if version >= 3 && number(72, 8).ok_or(Unusable::Empty)? & EXTERNAL_DATA != 0 {
        return Err(Unusable::Refers);
    }
    Ok(())
}

fn read(file: &File, offset: u64, length: usize) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; length];
    let mut filled = 0;
    while filled < length {
        match file.read_at(&mut bytes[filled..], offset + filled as u64) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    bytes.truncate(filled);
    Ok(bytes)
}

/// Why an image can't be used.
#[derive(Debug, thiserror::Error)]
pub enum ImageError {
    /// It can't be read.
    #[error("cannot read the image {}", .path.display())]
    Read {
        /// The image.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// It is a directory.
    #[error("{} is a directory, not an image", .path.display())]
    Directory {
        /// The directory.
        path: PathBuf,
    },
    /// Its contents are not for us.
    #[error("the image {} {what}", .path.display())]
    Unusable {
        /// The image.
        path: PathBuf,
        /// What it is.
        what: Unusable,
    },
}

/// What is wrong with an image's contents.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unusable {
    /// VMware's.
    #[error("is in VMware's format")]
    Vmdk,
    /// Virtual PC's.
    #[error("is in Virtual PC's format")]
    Vhd,
    /// It names other files.
    #[error("refers to another file, which could be any of this host's")]
    Refers,
    /// It is compressed as a whole.
    #[error("is compressed")]
    Compressed,
    /// There is nothing in it.
    #[error("is empty, or cut off")]
    Empty,
    /// No firmware would start it.
    #[error("has no boot sector: nothing would start from it")]
    NoBootSector,
}

impl ImageError {
    /// What a person can do about it.
    pub(crate) fn hint(&self) -> Option<String> {
        let Self::Unusable { what, path } = self else { return None };
        let convert = || format!("convert it: qemu-img convert -O qcow2 {} NEW.qcow2", path.display());
        match what {
            Unusable::Vmdk | Unusable::Vhd => Some(convert()),
            Unusable::Refers => Some(format!(
                "if you trust it, make one file of it: qemu-img convert -O qcow2 {} NEW.qcow2",
                path.display()
            )),
            Unusable::Compressed => Some("decompress it first".to_owned()),
            Unusable::NoBootSector => Some("a kernel is started with --kernel and --initramfs".to_owned()),
            Unusable::Empty => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sector(parts: &[(usize, &[u8])]) -> Vec<u8> {
        let mut sector = vec![0; 512];
        for (offset, bytes) in parts {
            sector[*offset..offset + bytes.len()].copy_from_slice(bytes);
        }
        sector
    }

    #[test]
    fn formats_are_known_by_their_beginning() {
        let qcow2 = sector(&[(0, b"QFI\xfb\0\0\0\x03")]);
        assert_eq!(ImageFormat::recognize(&qcow2, b""), Ok(ImageFormat::Qcow2));
        let vdi = sector(&[(64, &[0x7f, 0x10, 0xda, 0xbe])]);
        assert_eq!(ImageFormat::recognize(&vdi, b""), Ok(ImageFormat::Vdi));
        assert_eq!(ImageFormat::recognize(&sector(&[(0, b"vhdxfile")]), b""), Ok(ImageFormat::Vhdx));
        assert_eq!(
            ImageFormat::recognize(&sector(&[(510, &[0x55, 0xaa])]), b"\x01CD001\x01\0"),
            Ok(ImageFormat::Iso)
        );
        assert_eq!(ImageFormat::recognize(&sector(&[]), b""), Ok(ImageFormat::Raw));
    }

    #[test]
    fn images_that_would_read_files_of_the_host_are_refused() {
        let backing = sector(&[(0, b"QFI\xfb\0\0\0\x02"), (15, &[104])]);
        assert_eq!(ImageFormat::recognize(&backing, b""), Err(Unusable::Refers));
        let external = sector(&[(0, b"QFI\xfb\0\0\0\x03"), (79, &[4])]);
        assert_eq!(ImageFormat::recognize(&external, b""), Err(Unusable::Refers));
        let text = sector(&[(0, b"# Disk DescriptorFile\nversion=1")]);
        assert_eq!(ImageFormat::recognize(&text, b""), Err(Unusable::Vmdk));
    }

    #[test]
    fn what_is_cut_off_or_compressed_is_told() {
        assert_eq!(ImageFormat::recognize(b"", b""), Err(Unusable::Empty));
        assert_eq!(ImageFormat::recognize(b"QFI\xfb", b""), Err(Unusable::Empty));
        assert_eq!(ImageFormat::recognize(b"\x1f\x8b\x08", b""), Err(Unusable::Compressed));
    }

    proptest::proptest! {
        #[test]
        fn no_bytes_are_too_strange(begin: Vec<u8>, descriptor: Vec<u8>) {
            let _ = ImageFormat::recognize(&begin, &descriptor);
        }
    }
}
