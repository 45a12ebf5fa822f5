//! Fills files: the content of each goes to the inode in the shadow, and that over the placeholder in the view.
//!
//! Small files come by the bundle. When one of them is filled, those of its directory that came along are filled as well, as
//! long as nobody else is about to: writing them costs less than being asked for them one by one.

use std::fs::File;
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::fs::FileExt as _;

use rustix::fs::{
    Access, AtFlags, FileType, Gid, Mode, OFlags, Uid, accessat, chmodat, fchmod, fchown, fstat, futimens,
    openat, renameat, statat, utimensat,
};
use rustix::io::Errno;
use varve_repository::{EntryKind, EntryView, Location};
use varve_store::Deadline;

use super::super::error::FillError;
use super::disk::in_shadow;
use super::populate::{set_xattrs, times_of};
use super::{Directory, Tree};

/// How much is read and written at once.
const PIECE: usize = 1 << 20;

impl Tree {
    /// Makes sure that a file can be read. Other kinds of entries always can, as far as they ever can.
    pub(in super::super) fn fill(
        &self,
        directory: &Directory,
        file: &Location,
        deadline: Deadline,
    ) -> Result<(), FillError> {
        self.populate(directory, deadline)?;
        if file.entry().kind() != EntryKind::File || Self::is_known_filled(directory, file) {
            return Ok(());
        }
        let path = self.shown(&directory.joined(file.entry().name()));
        let io = |action| FillError::io::<Errno>(action, &path);
        if self.is_in_shadow(directory, file).map_err(io("look at"))? {
            let view = self.open_in_view(&directory.path).map_err(io("open the directory of"))?;
            let first_link = file.entry().first_link_row().to_le_bytes();
            let passage = self.gates.pass(directory.number, &first_link, deadline)?;
            let is_missing = self.is_in_shadow(directory, file).map_err(io("look at"))?;
            if is_missing {
                self.state.will_change().map_err(FillError::io("write the state of", &self.path))?;
                self.fill_alone(directory, file, &view, deadline)?;
            }
            drop(passage);
            if is_missing {
                if let Err(error) = self.fill_beside(directory, file, &view, deadline) {
                    // Whoever touches them learns why.
                    tracing::debug!(%error, "files beside one could not be filled");
                }
                // The directory is as it was before.
                utimensat(view.as_fd(), ".", &times_of(&directory.location.entry()), AtFlags::empty())
                    .map_err(io("set the time of the directory of"))?;
            }
        }
        directory.filled.lock().insert(file.row());
        Ok(())
    }

    /// Fills all files of a directory.
    pub(in super::super) fn fill_directory(
        &self,
        directory: &Directory,
        deadline: Deadline,
    ) -> Result<(), FillError> {
        for location in self.snapshot.list(&directory.location, deadline)?.locations() {
            self.fill(directory, &location, deadline)?;
        }
        Ok(())
    }

    /// Fills a file, and with it all other names of it.
    fn fill_alone(
        &self,
        directory: &Directory,
        file: &Location,
        view: &OwnedFd,
        deadline: Deadline,
    ) -> Result<(), FillError> {
        let names = self.names_of(directory, file, deadline)?;
        // Somebody who had filled it was killed between two names of it: then it is whole, and perhaps in use.
        let mut in_view = false;
        for name in names.iter().filter(|_| names.len() > 1) {
            in_view |= is_filled(view, name)
                .map_err(FillError::io("look at", &self.shown(&directory.joined(name))))?;
        }
        if !in_view {
            self.write(directory, file, deadline)?;
        }
        for name in &names {
            match renameat(&self.shadow, in_shadow(directory, name), view, name.as_slice()) {
                Ok(()) => {}
                Err(Errno::NOENT) if is_filled(view, name) == Ok(true) => {}
                Err(error) => {
                    let path = self.shown(&directory.joined(name));
                    return Err(FillError::io("put into place", &path)(error));
                }
            }
        }
        Ok(())
    }

    /// Fills the files of the same directory that came along with this one, which is at their gate no more.
    fn fill_beside(
        &self,
        directory: &Directory,
        file: &Location,
        view: &OwnedFd,
        deadline: Deadline,
    ) -> Result<(), FillError> {
        let row = directory.location.row();
        for other in self.contents.beside(file) {
            let entry = other.entry();
            let is_here = other.parent().is_some_and(|parent| parent.row() == row);
            if !is_here || entry.link_count() > 1 || Self::is_known_filled(directory, &other) {
                continue;
            }
            let first_link = entry.first_link_row().to_le_bytes();
            let Some(passage) = self.gates.pass_if_open(directory.number, &first_link)? else { continue };
            let path = || self.shown(&directory.joined(entry.name()));
            if self
                .is_in_shadow(directory, &other)
                .map_err(|error| FillError::io("look at", &path())(error))?
            {
                self.write(directory, &other, deadline)?;
                renameat(&self.shadow, in_shadow(directory, entry.name()), view, entry.name())
                    .map_err(|error| FillError::io("put into place", &path())(error))?;
            }
            drop(passage);
            directory.filled.lock().insert(other.row());
        }
        Ok(())
    }

    /// All names of a file in its directory, where the catalog has all of them.
    fn names_of(
        &self,
        directory: &Directory,
        file: &Location,
        deadline: Deadline,
    ) -> Result<Vec<Vec<u8>>, FillError> {
        let entry = file.entry();
        if entry.link_count() < 2 {
            return Ok(vec![entry.name().to_vec()]);
        }
        let listing = self.snapshot.list(&directory.location, deadline)?;
        let same = listing.entries().filter(|other| other.first_link_row() == entry.first_link_row());
        Ok(same.map(|other| other.name().to_vec()).collect())
    }

    /// Whether a name of a populated directory isn't filled.
    fn is_in_shadow(&self, directory: &Directory, file: &Location) -> Result<bool, Errno> {
        let inode = in_shadow(directory, file.entry().name());
        match accessat(&self.shadow, inode, Access::EXISTS, AtFlags::empty()) {
            Ok(()) => Ok(true),
            Err(Errno::NOENT) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Writes the whole inode in the shadow.
    fn write(&self, directory: &Directory, file: &Location, deadline: Deadline) -> Result<(), FillError> {
        let entry = file.entry();
        let path = || self.shown(&directory.joined(entry.name()));
        let inode = self
            .open_shadow(&in_shadow(directory, entry.name()))
            .map_err(|error| FillError::io("open the shadow of", &path())(error))?;
        let written = self.write_content(&inode, file, deadline).and_then(|()| {
            self.seal(&inode, &entry).map_err(|error| FillError::io("set the attributes of", &path())(error))
        });
        if written.is_err() {
            // What was written takes room that the disk may not have.
            let _ = inode.set_len(0);
        }
        written
    }

    fn open_shadow(&self, inode: &[u8]) -> Result<File, Errno> {
        let flags = OFlags::WRONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        match openat(&self.shadow, inode, flags, Mode::empty()) {
            // Somebody was killed who had given it its permissions already.
            Err(Errno::ACCESS) => {
                chmodat(&self.shadow, inode, Mode::from(0o600), AtFlags::empty())?;
                openat(&self.shadow, inode, flags, Mode::empty())
            }
            result => result,
        }
        .map(File::from)
    }

    fn write_content(&self, inode: &File, file: &Location, deadline: Deadline) -> Result<(), FillError> {
        let path = || self.path.join("shadow");
        let size = file.entry().size();
        let mut buffer = vec![0; PIECE.min(size as usize)];
        let mut at = 0;
        while at < size {
            let piece = &mut buffer[..PIECE.min((size - at) as usize)];
            let read = self.contents.read(file, at, piece, deadline)?;
            if read != piece.len() {
                return Err(FillError::Damaged { path: path(), what: "a content ended too early" });
            }
            inode.write_all_at(piece, at).map_err(|error| FillError::io("write to", &path())(error))?;
            at += read as u64;
        }
        Ok(())
    }

    /// Everything but the content: a file never changes once it can be seen.
    fn seal(&self, inode: &File, entry: &EntryView<'_>) -> Result<(), Errno> {
        set_xattrs(inode, entry);
        let stat = fstat(inode)?;
        // Of somebody who was killed here there is never more: this makes sure.
        if stat.st_size.cast_unsigned() != entry.size() {
            rustix::fs::ftruncate(inode, entry.size())?;
        }
        if self.privileged && (stat.st_uid, stat.st_gid) != (entry.uid(), entry.gid()) {
            let (user, group) = (Uid::from_raw(entry.uid()), Gid::from_raw(entry.gid()));
            fchown(inode, Some(user), Some(group))?;
        }
        fchmod(inode, Mode::from(entry.permissions()))?;
        futimens(inode, &times_of(entry))
    }
}

/// Whether a name in the view is a file, no placeholder.
fn is_filled(view: &OwnedFd, name: &[u8]) -> Result<bool, Errno> {
    let stat = statat(view, name, AtFlags::SYMLINK_NOFOLLOW)?;
    Ok(FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile)
}
