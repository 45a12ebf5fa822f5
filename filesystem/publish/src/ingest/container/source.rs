//! Where an image is read from: a directory in the image layout, or a tar archive of one, or of Docker's own form. Files are
//! found by their names alone; nothing is unpacked.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, BufReader, Read, Seek as _, SeekFrom};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use rustix::fs::{FileType, Mode, OFlags, ResolveFlags};

use super::blob::{self, Hashed};
use super::document::Descriptor;
use super::error::ContainerError;
use crate::container::{DOCUMENT_LIMIT, Digest};
use crate::ingest::archive::{Archive, Kind};

/// The most members of an archive: an image has a few per layer.
const MOST_MEMBERS: usize = 100_000;

/// The longest name of a member that can be a part of an image.
const LONGEST_NAME: usize = 1024;

/// Bytes that are read at a time.
const BUFFER: usize = 256 << 10;

/// An image layout.
pub(super) struct Source {
    path: PathBuf,
    place: Place,
}

/// A file's content, and its length.
type Opened = (Box<dyn Read>, u64);

enum Place {
    Directory(OwnedFd),
    /// Where each file's content begins, and its length.
    Archive(File, HashMap<Vec<u8>, (u64, u64)>),
}

impl Source {
    pub(super) fn open(path: &Path) -> Result<Self, ContainerError> {
        let failed = |source: io::Error| ContainerError::Open { path: path.to_owned(), source };
        let file = File::open(path).map_err(failed)?;
        let status = file.metadata().map_err(failed)?;
        let place = if status.is_dir() {
            Place::Directory(file.into())
        } else if status.is_file() {
            let members = members(path, &file)?;
            Place::Archive(file, members)
        } else {
            return Err(failed(io::Error::other(
                "an image is read from a file or a directory, not from a pipe",
            )));
        };
        Ok(Self { path: path.to_owned(), place })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// A file of the layout with its length; `None` if there is none of that name.
    pub(super) fn file(&self, name: &str) -> Result<Option<Opened>, ContainerError> {
        let failed = |source| ContainerError::Open { path: self.path.join(name), source };
        match &self.place {
            Place::Directory(directory) => {
                // A pipe in the place of a blob must not be waited for.
                let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC;
                let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS;
                let opened = match rustix::fs::openat2(directory, name, flags, Mode::empty(), resolve) {
                    Ok(opened) => opened,
                    Err(rustix::io::Errno::NOENT) => return Ok(None),
                    Err(errno) => return Err(failed(errno.into())),
                };
                let status = rustix::fs::fstat(&opened).map_err(|errno| failed(errno.into()))?;
                if FileType::from_raw_mode(status.st_mode) != FileType::RegularFile {
                    return Err(failed(io::Error::other("it is no regular file")));
                }
                Ok(Some((Box::new(File::from(opened)), status.st_size as u64)))
            }
            Place::Archive(file, members) => {
                let Some(&(start, length)) = members.get(name.as_bytes()) else { return Ok(None) };
                let mut file = file.try_clone().map_err(failed)?;
                // Files are read one after the other: the clones share one position.
                file.seek(SeekFrom::Start(start)).map_err(failed)?;
                Ok(Some((Box::new(file.take(length)), length)))
            }
        }
    }

    /// The whole of a small file.
    pub(super) fn document(&self, name: &str) -> Result<Option<Vec<u8>>, ContainerError> {
        let Some((reader, _)) = self.file(name)? else { return Ok(None) };
        let mut bytes = Vec::new();
        reader
            .take(DOCUMENT_LIMIT + 1)
            .read_to_end(&mut bytes)
            .map_err(|source| ContainerError::Open { path: self.path.join(name), source })?;
        if bytes.len() as u64 > DOCUMENT_LIMIT {
            return Err(ContainerError::TooLarge { name: name.to_owned() });
        }
        Ok(Some(bytes))
    }

    /// A document by its descriptor, verified.
    pub(super) fn blob_document(&self, descriptor: &Descriptor) -> Result<Vec<u8>, ContainerError> {
        let digest = descriptor.digest()?;
        let name = blob_name(&digest);
        let bytes = self.document(&name)?.ok_or(ContainerError::Missing { name })?;
        blob::check(&digest, descriptor.size, (Digest::of(&bytes), bytes.len() as u64))?;
        Ok(bytes)
    }

    /// A blob to be read to its end. It is verified only by its digest and length then.
    pub(super) fn blob(
        &self,
        name: &str,
        size: u64,
    ) -> Result<BufReader<Hashed<Box<dyn Read>>>, ContainerError> {
        let (reader, _) =
            self.file(name)?.ok_or_else(|| ContainerError::Missing { name: name.to_owned() })?;
        Ok(BufReader::with_capacity(BUFFER, Hashed::new(reader, size)))
    }
}

/// Where a blob lies in a layout.
pub(super) fn blob_name(digest: &Digest) -> String {
    format!("blobs/sha256/{}", digest.digits())
}

/// Finds the files of an archive without reading their contents.
fn members(path: &Path, file: &File) -> Result<HashMap<Vec<u8>, (u64, u64)>, ContainerError> {
    let damaged = |source| ContainerError::Archive { path: path.to_owned(), source };
    let mut archive = Archive::new(BufReader::with_capacity(64 << 10, file));
    let mut members = HashMap::new();
    while let Some(member) = archive.next().map_err(damaged)? {
        if members.len() >= MOST_MEMBERS {
            return Err(ContainerError::TooLarge { name: path.display().to_string() });
        }
        let Kind::File { size, map } = &member.kind else { continue };
        if !map.is_plain(*size) || member.name.len() > LONGEST_NAME {
            continue;
        }
        let start = archive.leap().map_err(damaged)?;
        let name = member.name.strip_prefix(b"./").unwrap_or(&member.name).to_vec();
        members.insert(name, (start, *size));
    }
    Ok(members)
}
