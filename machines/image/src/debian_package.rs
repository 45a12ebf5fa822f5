//! Debian's package files as they lie on a disk: who they are and what they hold. Who made them is apt's to check.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use crate::compression::{decompress, decompressing};

/// The most bytes of the part that says what a package is.
const CONTROL_LIMIT: u64 = 16 << 20;

/// A package file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DebianPackage {
    /// Where it lies.
    pub path: PathBuf,
    /// Its name.
    pub name: String,
    /// Its version as Debian writes it.
    pub version: String,
    /// What it is made for, such as `amd64`.
    pub architecture: String,
}

impl DebianPackage {
    /// Reads what a file says of itself.
    ///
    /// # Errors
    /// [`PackageError`] if it can't be read or is no package.
    pub fn open(path: &Path) -> Result<Self, PackageError> {
        let mut control = None;
        members(path, |name, member| {
            if name.starts_with("control.tar") {
                let mut bytes = Vec::new();
                member.take(CONTROL_LIMIT).read_to_end(&mut bytes)?;
                control = control_text(&decompress(name, &bytes, CONTROL_LIMIT)?)?;
            }
            Ok(())
        })?;
        let control = control.ok_or_else(|| PackageError::NotOne { path: path.to_owned() })?;
        let field = |name: &str| {
            let line = control.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
            line.map(|value| value.trim().to_owned())
                .ok_or_else(|| PackageError::NotOne { path: path.to_owned() })
        };
        Ok(Self {
            path: path.to_owned(),
            name: field("Package")?,
            version: field("Version")?,
            architecture: field("Architecture")?,
        })
    }

    /// Calls `each` with the path (without `./` before it) of every regular file, and its contents.
    ///
    /// # Errors
    /// [`PackageError::Read`] for what can't be read, be it that `each` said so.
    pub fn files(
        &self,
        mut each: impl FnMut(&str, &mut dyn Read) -> io::Result<()>,
    ) -> Result<(), PackageError> {
        members(&self.path, |name, member| {
            if !name.starts_with("data.tar") {
                return Ok(());
            }
            let mut archive = tar::Archive::new(decompressing(name, member)?);
            for entry in archive.entries()? {
                let mut entry = entry?;
                if entry.header().entry_type().is_file() {
                    let path = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
                    each(path.trim_start_matches("./"), &mut entry)?;
                }
            }
            Ok(())
        })
    }
}

fn members(
    path: &Path,
    mut each: impl FnMut(&str, &mut dyn Read) -> io::Result<()>,
) -> Result<(), PackageError> {
    let read = || {
        let mut archive = ar::Archive::new(io::BufReader::new(File::open(path)?));
        while let Some(member) = archive.next_entry() {
            let mut member = member?;
            let name = String::from_utf8_lossy(member.header().identifier()).into_owned();
            each(name.trim_end_matches('/'), &mut member)?;
        }
        Ok(())
    };
    let mut read = read;
    read().map_err(|source| PackageError::Read { path: path.to_owned(), source })
}

fn control_text(archive: &[u8]) -> io::Result<Option<String>> {
    for entry in tar::Archive::new(archive).entries()? {
        let mut entry = entry?;
        if entry.path_bytes().as_ref() == b"./control" || entry.path_bytes().as_ref() == b"control" {
            let mut text = String::new();
            entry.read_to_string(&mut text)?;
            return Ok(Some(text));
        }
    }
    Ok(None)
}

/// Why a package file is of no use.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PackageError {
    /// It can't be read to its end.
    #[error("cannot read the package {path}")]
    Read {
        /// The file.
        path: PathBuf,
        /// What the operating system or the decompressor said.
        #[source]
        source: io::Error,
    },
    /// It is something else.
    #[error("{path} is no Debian package")]
    NotOne {
        /// The file.
        path: PathBuf,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    fn package(directory: &Path) -> PathBuf {
        let tar = |name: &str, contents: &[u8]| {
            let mut builder = tar::Builder::new(Vec::new());
            let mut header = tar::Header::new_gnu();
            header.set_size(contents.len() as u64);
            builder.append_data(&mut header, name, contents).expect("append");
            builder.into_inner().expect("finish")
        };
        let control = tar("control", b"Package: linux-image-x\nVersion: 6.1-1\nArchitecture: amd64\n");
        let data = crate::Compression::Xz.compress(&tar("boot/vmlinuz-6.1", b"kernel")).expect("xz");
        let path = directory.join("x.deb");
        let mut archive = ar::Builder::new(File::create(&path).expect("create"));
        for (name, bytes) in
            [("debian-binary", &b"2.0\n"[..]), ("control.tar", &control), ("data.tar.xz", &data)]
        {
            let header = ar::Header::new(name.into(), bytes.len() as u64);
            archive.append(&header, bytes).expect("append");
        }
        path
    }

    #[test]
    fn a_package_tells_what_it_is_and_what_it_holds() {
        let scratch = tempfile::tempdir().expect("scratch");
        let package = DebianPackage::open(&package(scratch.path())).expect("open");
        assert_eq!(
            (package.name.as_str(), package.version.as_str(), package.architecture.as_str()),
            ("linux-image-x", "6.1-1", "amd64")
        );
        let mut seen = Vec::new();
        package
            .files(|path, contents| {
                let mut text = String::new();
                contents.read_to_string(&mut text)?;
                seen.push((path.to_owned(), text));
                Ok(())
            })
            .expect("files");
        assert_eq!(seen, [("boot/vmlinuz-6.1".to_owned(), "kernel".to_owned())]);
    }

    #[test]
    fn other_files_are_refused() {
        let scratch = tempfile::tempdir().expect("scratch");
        let path = scratch.path().join("x.deb");
        std::fs::write(&path, b"!<arch>\n").expect("write");
        assert!(matches!(DebianPackage::open(&path), Err(PackageError::NotOne { .. })));
        std::fs::write(&path, b"something else").expect("write");
        assert!(matches!(DebianPackage::open(&path), Err(PackageError::Read { .. })));
    }
}
