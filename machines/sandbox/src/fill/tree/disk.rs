//! Where things of a tree are on the disk: in the view, or still in the shadow.

use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt as _;
use std::path::PathBuf;
use std::sync::atomic::Ordering;

use rustix::fs::{AtFlags, Mode, OFlags, ResolveFlags, Stat, openat, openat2, statat};
use rustix::io::Errno;
use varve_repository::Location;

use super::super::error::FillError;
use super::{Directory, Tree, joined, open_directory};

impl Tree {
    /// Whether a file is known to be filled, without looking.
    pub(in super::super) fn is_known_filled(directory: &Directory, location: &Location) -> bool {
        directory.filled.lock().contains(&location.row())
    }

    /// The inode that a file will have, if it is not filled yet.
    pub(in super::super) fn unfilled(
        &self,
        directory: &Directory,
        file: &Location,
    ) -> Result<Option<Stat>, FillError> {
        let inode = in_shadow(directory, file.entry().name());
        match statat(&self.shadow, inode, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => Ok(Some(stat)),
            Err(Errno::NOENT) => {
                directory.filled.lock().insert(file.row());
                Ok(None)
            }
            Err(error) => Err(FillError::io("look at", &self.shown(&directory.path))(error)),
        }
    }

    /// Whether anything in a populated directory is not filled.
    pub(in super::super) fn has_placeholders(&self, directory: &Directory) -> Result<bool, FillError> {
        if directory.is_whole.load(Ordering::Acquire) {
            return Ok(false);
        }
        let io = |error| FillError::io("list", &self.shown(&directory.path))(error);
        let shadow = open_directory(&self.shadow, directory.number.to_string()).map_err(io)?;
        // The first entry tells, after the two that every directory has.
        let found =
            rustix::fs::Dir::new(shadow).map_err(io)?.take(3).collect::<Result<Vec<_>, _>>().map_err(io)?;
        if found.iter().any(|entry| !matches!(entry.file_name().to_bytes(), b"." | b"..")) {
            return Ok(true);
        }
        directory.is_whole.store(true, Ordering::Release);
        Ok(false)
    }

    /// The inode that a file has, or will have.
    pub(in super::super) fn inode_of(&self, directory: &Directory, name: &[u8]) -> Result<Stat, FillError> {
        match statat(&self.shadow, in_shadow(directory, name), AtFlags::SYMLINK_NOFOLLOW) {
            Err(Errno::NOENT) => self.stat_in_view(&joined(&directory.path, name)),
            result => result,
        }
        .map_err(FillError::io("look at", &self.shown(&directory.path)))
    }

    /// The attributes of a directory as they are on the disk.
    pub(in super::super) fn stat_in_view(&self, path: &[u8]) -> Result<Stat, Errno> {
        if path.is_empty() {
            return rustix::fs::fstat(&self.view);
        }
        let (parent, name) = split(path);
        statat(self.open_in_view(parent)?, name, AtFlags::SYMLINK_NOFOLLOW)
    }

    /// A file that is filled, opened for reading.
    pub(in super::super) fn open_filled(&self, directory: &Directory, name: &[u8]) -> Result<OwnedFd, Errno> {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        openat(self.open_in_view(&directory.path)?, name, flags, Mode::empty())
    }

    pub(in super::super) fn is_populated(directory: &Directory) -> bool {
        directory.populated.load(Ordering::Acquire)
    }

    /// Whether the disk shows other permissions of this directory than the catalog says: this user could not write to it.
    pub(in super::super) fn shows_other_permissions(&self, permissions: u32) -> bool {
        !self.privileged && permissions & 0o700 != 0o700
    }

    /// Opens a directory of the view, never anything outside of it.
    pub(super) fn open_in_view(&self, path: &[u8]) -> Result<OwnedFd, Errno> {
        if path.is_empty() {
            return rustix::io::fcntl_dupfd_cloexec(&self.view, 0);
        }
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_XDEV;
        openat2(&self.view, path, flags, Mode::empty(), resolve)
    }

    /// The whole path, for messages.
    pub(super) fn shown(&self, path: &[u8]) -> PathBuf {
        self.path.join("view").join(std::ffi::OsStr::from_bytes(path))
    }
}

/// Where a file of a directory is that isn't filled, below the shadow.
pub(super) fn in_shadow(directory: &Directory, name: &[u8]) -> Vec<u8> {
    let mut path = directory.number.to_string().into_bytes();
    path.push(b'/');
    path.extend_from_slice(name);
    path
}

fn split(path: &[u8]) -> (&[u8], &[u8]) {
    match path.iter().rposition(|&byte| byte == b'/') {
        Some(at) => (&path[..at], &path[at + 1..]),
        None => (b"", path),
    }
}
