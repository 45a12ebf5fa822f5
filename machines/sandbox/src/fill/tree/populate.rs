//! Puts all entries of one directory into the view: directories, links, placeholders of files.

use std::os::fd::{AsFd as _, OwnedFd};
use std::sync::atomic::Ordering;

use rustix::fs::{
    AtFlags, FileType, Gid, Mode, RenameFlags, Timespec, Timestamps, UTIME_OMIT, Uid, XattrFlags, chmodat,
    chownat, fsetxattr, linkat, mkdirat, mknodat, renameat, renameat_with, symlinkat, unlinkat, utimensat,
};
use rustix::io::Errno;
use varve_repository::{EntryKind, EntryName, EntryView, Location};
use varve_store::Deadline;

use super::super::error::FillError;
use super::{Directory, Tree, open_directory};

/// The link that placeholders are made of, see [`super`].
const PLACEHOLDER: &str = "placeholder";

impl Tree {
    /// Makes sure that all entries of a directory are in the view.
    pub(in super::super) fn populate(
        &self,
        directory: &Directory,
        deadline: Deadline,
    ) -> Result<(), FillError> {
        if Self::is_populated(directory) {
            return Ok(());
        }
        // Without a catalog nothing is begun.
        let listing = self.snapshot.list(&directory.location, deadline)?;
        let number = directory.number.to_string();
        let io = |action| FillError::io::<Errno>(action, &self.shown(&directory.path));
        if !self.is_marked(&number) {
            let _passage = self.gates.pass(directory.number, b"", deadline)?;
            if !self.is_marked(&number) {
                self.state.will_change().map_err(FillError::io("write the state of", &self.path))?;
                let view = self.open_in_view(&directory.path).map_err(io("open"))?;
                let fresh = format!("new-{number}");
                let shadow = self.fresh_shadow(&fresh).map_err(io("make the shadow of"))?;
                let locations: Vec<Location> = listing.locations().collect();
                self.put_all(&view, &shadow, &locations, directory)?;
                let attributes = directory.location.entry();
                set_xattrs(&view, &attributes);
                self.set_attributes(&view, ".", &attributes).map_err(io("set the attributes of"))?;
                // The mark.
                renameat(&self.shadow, &fresh, &self.shadow, &number).map_err(io("mark"))?;
            }
        }
        directory.populated.store(true, Ordering::Release);
        Ok(())
    }

    fn is_marked(&self, number: &str) -> bool {
        rustix::fs::accessat(&self.shadow, number, rustix::fs::Access::EXISTS, AtFlags::empty()).is_ok()
    }

    /// A new directory; what somebody left there who was killed goes.
    fn fresh_shadow(&self, name: &str) -> Result<OwnedFd, Errno> {
        match mkdirat(&self.shadow, name, Mode::from(0o700)) {
            Err(Errno::EXIST) => {
                let left = open_directory(&self.shadow, name)?;
                for entry in rustix::fs::Dir::read_from(&left)?.flatten() {
                    if !matches!(entry.file_name().to_bytes(), b"." | b"..") {
                        unlinkat(&left, entry.file_name(), AtFlags::empty())?;
                    }
                }
                Ok(left)
            }
            result => result.and_then(|()| open_directory(&self.shadow, name)),
        }
    }

    fn put_all(
        &self,
        view: &OwnedFd,
        shadow: &OwnedFd,
        locations: &[Location],
        directory: &Directory,
    ) -> Result<(), FillError> {
        for location in locations {
            let entry = location.entry();
            if EntryName::new(entry.name()).is_err() {
                return Err(FillError::Damaged {
                    path: self.path.clone(),
                    what: "a name that no file can have",
                });
            }
            // The rows of a directory stand one behind the other.
            let first = locations
                .first()
                .and_then(|begin| entry.first_link_row().checked_sub(begin.row()))
                .and_then(|at| locations.get(at as usize));
            let first = first.map_or_else(|| entry.name().to_vec(), |first| first.entry().name().to_vec());
            let path = || self.shown(&directory.joined(entry.name()));
            self.put(view, shadow, &entry, &first).map_err(|error| FillError::io("make", &path())(error))?;
        }
        Ok(())
    }

    fn put(
        &self,
        view: &OwnedFd,
        shadow: &OwnedFd,
        entry: &EntryView<'_>,
        first_link: &[u8],
    ) -> Result<(), Errno> {
        let name = entry.name();
        let made = match entry.kind() {
            EntryKind::Directory => mkdirat(view, name, Mode::from(0o700)),
            EntryKind::Symlink if !self.leads_nowhere(entry) => {
                symlinkat(self.contents.link_target(entry.link_target()).as_slice(), view, name)
            }
            EntryKind::Fifo => mknodat(view, name, FileType::Fifo, Mode::from(0o600), 0),
            EntryKind::File
            | EntryKind::Symlink
            | EntryKind::Socket
            | EntryKind::CharacterDevice
            | EntryKind::BlockDevice => {
                if first_link == name {
                    mknodat(shadow, name, FileType::RegularFile, Mode::from(0o600), 0)?;
                    self.set_owner(shadow, name, entry)?;
                } else {
                    linkat(shadow, first_link, shadow, name, AtFlags::empty())?;
                }
                return match self.put_placeholder(view, name) {
                    // Somebody was killed here before.
                    Err(Errno::EXIST) => Ok(()),
                    result => result,
                };
            }
        };
        match made {
            Ok(()) | Err(Errno::EXIST) => self.set_attributes(view, name, entry),
            Err(error) => Err(error),
        }
    }

    fn put_placeholder(&self, view: &OwnedFd, name: &[u8]) -> Result<(), Errno> {
        match linkat(&self.base, PLACEHOLDER, view, name, AtFlags::empty()) {
            // None yet, or one with as many names as the file system allows; or it has no such links at all.
            Err(Errno::NOENT | Errno::MLINK) => {
                let fresh = format!("{PLACEHOLDER}-{}", rustix::process::getpid().as_raw_nonzero());
                let _ = unlinkat(&self.base, &fresh, AtFlags::empty());
                mknodat(&self.base, &fresh, FileType::Socket, Mode::empty(), 0)?;
                let linked = linkat(&self.base, &fresh, view, name, AtFlags::empty());
                renameat_with(&self.base, &fresh, &self.base, PLACEHOLDER, RenameFlags::empty())?;
                linked
            }
            Err(Errno::PERM | Errno::OPNOTSUPP | Errno::XDEV) => {
                mknodat(view, name, FileType::Socket, Mode::empty(), 0)
            }
            result => result,
        }
    }

    /// The owner, where files can be given away.
    fn set_owner(
        &self,
        directory: &OwnedFd,
        name: impl rustix::path::Arg,
        entry: &EntryView<'_>,
    ) -> Result<(), Errno> {
        if !self.privileged {
            return Ok(());
        }
        let (user, group) = (Uid::from_raw(entry.uid()), Gid::from_raw(entry.gid()));
        chownat(directory, name, Some(user), Some(group), AtFlags::SYMLINK_NOFOLLOW)
    }

    /// Owner, permissions and time of anything but a placeholder.
    pub(super) fn set_attributes(
        &self,
        directory: &OwnedFd,
        name: impl rustix::path::Arg + Copy,
        entry: &EntryView<'_>,
    ) -> Result<(), Errno> {
        self.set_owner(directory, name, entry)?;
        if entry.kind() != EntryKind::Symlink {
            let always = if entry.is_directory() && !self.privileged { 0o700 } else { 0 };
            chmodat(directory, name, Mode::from(entry.permissions() | always), AtFlags::empty())?;
        }
        utimensat(directory.as_fd(), name, &times_of(entry), AtFlags::SYMLINK_NOFOLLOW)
    }
}

/// Extended attributes, as far as the disk has such and the user may set them; whoever reads them can do without.
pub(super) fn set_xattrs(file: impl std::os::fd::AsFd, entry: &EntryView<'_>) {
    for (name, value) in entry.xattrs().iter() {
        let _ = fsetxattr(&file, name, value, XattrFlags::empty());
    }
}

/// The time of modification; that of the last access is left to the disk.
pub(super) fn times_of(entry: &EntryView<'_>) -> Timestamps {
    let mtime = entry.mtime();
    Timestamps {
        last_access: Timespec { tv_sec: 0, tv_nsec: UTIME_OMIT },
        last_modification: Timespec {
            tv_sec: mtime.seconds,
            tv_nsec: i64::from(mtime.nanoseconds.unwrap_or(0)),
        },
    }
}
