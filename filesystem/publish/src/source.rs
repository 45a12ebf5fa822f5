//! The directory tree that is published, as the operating system shows it: names, attributes, extended attributes.
//!
//! Everything is opened relative to its directory and without following links, so that neither deep paths nor a tree
//! that changes under the walk lead elsewhere.

use std::io;
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::path::Path;

use rustix::fs::{AtFlags, CWD, Dir, Mode, OFlags, Stat};
use rustix::io::Errno;
use varve_repository::{EntryName, Xattrs, XattrsError};

/// Extended attributes that describe the machine a tree lies on rather than the tree.
const LOCAL_XATTRS: [&[u8]; 5] =
    [b"security.selinux", b"security.ima", b"security.evm", b"trusted.overlay.", b"user.overlay."];

/// An open directory of the source tree.
#[derive(Debug)]
pub(crate) struct SourceDirectory {
    fd: std::sync::Arc<OwnedFd>,
}

impl SourceDirectory {
    /// Opens the top of a tree. Links in its path are followed: the user named it.
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let fd = rustix::fs::openat(CWD, path, flags, Mode::empty())?;
        Ok(Self { fd: std::sync::Arc::new(fd) })
    }

    /// Opens a directory in this one.
    pub(crate) fn enter(&self, name: &EntryName) -> Result<Self, Errno> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let fd = rustix::fs::openat(&*self.fd, name.as_bytes(), flags, Mode::empty())?;
        Ok(Self { fd: std::sync::Arc::new(fd) })
    }

    /// The open directory itself, for opening files in it later.
    pub(crate) fn fd(&self) -> std::sync::Arc<OwnedFd> {
        self.fd.clone()
    }

    /// The directory's own attributes.
    pub(crate) fn stat(&self) -> Result<Stat, Errno> {
        rustix::fs::fstat(&*self.fd)
    }

    /// The attributes of an entry, `None` if it has vanished.
    pub(crate) fn stat_entry(&self, name: &EntryName) -> Result<Option<Stat>, Errno> {
        match rustix::fs::statat(&*self.fd, name.as_bytes(), AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => Ok(Some(stat)),
            Err(Errno::NOENT) => Ok(None),
            Err(errno) => Err(errno),
        }
    }

    /// All names, sorted.
    pub(crate) fn names(&self) -> Result<Vec<EntryName>, Errno> {
        let mut names = Vec::new();
        for entry in Dir::read_from(&*self.fd)? {
            let entry = entry?;
            // Everything but `.` and `..` is a name.
            if let Ok(name) = EntryName::new(entry.file_name().to_bytes()) {
                names.push(name);
            }
        }
        names.sort_unstable();
        Ok(names)
    }

    /// The target of a symbolic link.
    pub(crate) fn read_link(&self, name: &EntryName) -> Result<Vec<u8>, Errno> {
        Ok(rustix::fs::readlinkat(&*self.fd, name.as_bytes(), Vec::new())?.into_bytes())
    }

    /// One extended attribute of an entry, or of the directory itself without a name.
    pub(crate) fn xattr(&self, name: Option<&EntryName>, attribute: &str) -> Result<Option<Vec<u8>>, Errno> {
        let mut value = vec![0; 4096 + 256];
        match rustix::fs::lgetxattr(self.magic_path(name), attribute, &mut value) {
            Ok(length) => {
                value.truncate(length);
                Ok(Some(value))
            }
            Err(Errno::NODATA | Errno::OPNOTSUPP) => Ok(None),
            Err(errno) => Err(errno),
        }
    }

    /// The extended attributes of an entry, or of the directory itself without a name, and the names of those that a
    /// catalog can't hold.
    pub(crate) fn xattrs(&self, name: Option<&EntryName>) -> Result<(Xattrs, Vec<Vec<u8>>), Errno> {
        let path = self.magic_path(name);
        let mut list = [0; 512];
        let long;
        let names: &[u8] = match rustix::fs::llistxattr(path.as_slice(), &mut list) {
            Ok(0) | Err(Errno::OPNOTSUPP | Errno::NOENT) => return Ok((Xattrs::default(), Vec::new())),
            Ok(length) => &list[..length],
            Err(Errno::RANGE) => {
                let mut bytes = vec![0; 64 << 10];
                let length = rustix::fs::llistxattr(path.as_slice(), &mut bytes)?;
                bytes.truncate(length);
                long = bytes;
                &long
            }
            Err(errno) => return Err(errno),
        };
        let mut kept = Vec::new();
        let mut dropped = Vec::new();
        for name in names.split(|&byte| byte == 0).filter(|name| !name.is_empty()) {
            if is_local_xattr(name) {
                continue;
            }
            // A catalog records at most 255 bytes.
            let mut value = [0; 256];
            match rustix::fs::lgetxattr(path.as_slice(), name, &mut value) {
                Ok(length) if length <= 255 && kept.len() < 255 => {
                    kept.push((name.to_vec(), value[..length].to_vec()));
                }
                Ok(_) | Err(Errno::RANGE) => dropped.push(name.to_vec()),
                // Gone meanwhile, or only for the privileged.
                Err(Errno::NODATA | Errno::PERM | Errno::ACCESS | Errno::OPNOTSUPP) => {}
                Err(errno) => return Err(errno),
            }
        }
        match Xattrs::new(kept) {
            Ok(xattrs) => Ok((xattrs, dropped)),
            Err(XattrsError::Twice { .. } | XattrsError::Malformed) => Err(Errno::IO),
            // Names have at most 255 bytes in every system that has them, and the values were counted.
            Err(XattrsError::TooLong { name }) => Ok((Xattrs::default(), vec![name.into_bytes()])),
            Err(XattrsError::TooMany { .. }) => Ok((Xattrs::default(), dropped)),
        }
    }

    /// Without calls that take a directory and a name, the directory's magic link serves as the path to it.
    fn magic_path(&self, name: Option<&EntryName>) -> Vec<u8> {
        let mut path = format!("/proc/self/fd/{}/", self.fd.as_raw_fd()).into_bytes();
        path.extend_from_slice(name.map_or(b".", |name| name.as_bytes()));
        path
    }
}

/// Whether an attribute is never recorded.
pub(crate) fn is_local_xattr(name: &[u8]) -> bool {
    LOCAL_XATTRS.iter().any(|local| name.starts_with(local))
}
