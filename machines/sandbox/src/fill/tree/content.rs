//! Fills one file: its content goes to the inode in the shadow, and that over the placeholder in the view.

use std::fs::File;
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::fs::FileExt as _;

use rustix::fs::{
    AtFlags, FileType, Gid, Mode, OFlags, Stat, Uid, chmodat, fchmod, fchown, futimens, openat, renameat,
    statat, utimensat,
};
use rustix::io::Errno;
use varve_repository::{EntryKind, EntryView, Location};
use varve_store::Deadline;

use super::super::error::FillError;
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
        let entry = file.entry();
        let path = self.shown(&directory.joined(entry.name()));
        let io = |action| FillError::io::<Errno>(action, &path);
        let view = self.open_in_view(&directory.path).map_err(io("open the directory of"))?;
        if !is_filled(&view, entry.name()).map_err(io("look at"))? {
            let _passage =
                self.gates.pass(directory.number, &entry.first_link_row().to_le_bytes(), deadline)?;
            if !is_filled(&view, entry.name()).map_err(io("look at"))? {
                self.state.will_change().map_err(FillError::io("write the state of", &self.path))?;
                self.fill_alone(directory, file, &view, deadline)?;
            }
        }
        directory.filled.lock().insert(file.row());
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
        let entry = file.entry();
        let path = self.shown(&directory.joined(entry.name()));
        let io = |action| FillError::io::<Errno>(action, &path);
        let shadow = self.shadow_of(directory)?;
        let names = self.names_of(directory, file, deadline)?;
        // Somebody who had filled it was killed between two names of it: then it is whole, and perhaps in use.
        let mut in_view = false;
        for name in &names {
            in_view |= is_filled(view, name).map_err(io("look at"))?;
        }
        if !in_view {
            let inode = self.open_shadow(&shadow, entry.name()).map_err(io("open the shadow of"))?;
            let written = self.write(&inode, file, deadline).and_then(|()| {
                self.seal(&inode, &entry).map_err(FillError::io("set the attributes of", &path))
            });
            if let Err(error) = written {
                // What was written takes room that the disk may not have.
                let _ = inode.set_len(0);
                return Err(error);
            }
        }
        for name in &names {
            match renameat(&shadow, name.as_slice(), view, name.as_slice()) {
                Ok(()) => {}
                Err(Errno::NOENT) if is_filled(view, name) == Ok(true) => {}
                Err(error) => return Err(io("put into place")(error)),
            }
        }
        // The directory is as it was before.
        utimensat(view.as_fd(), ".", &times_of(&directory.location.entry()), AtFlags::empty())
            .map_err(io("set the time of the directory of"))
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

    fn open_shadow(&self, shadow: &OwnedFd, name: &[u8]) -> Result<File, Errno> {
        let flags = OFlags::WRONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        match openat(shadow, name, flags, Mode::empty()) {
            // Somebody was killed who had given it its permissions already.
            Err(Errno::ACCESS) => {
                chmodat(shadow, name, Mode::from(0o600), AtFlags::empty())?;
                openat(shadow, name, flags, Mode::empty())
            }
            result => result,
        }
        .map(File::from)
    }

    fn write(&self, inode: &File, file: &Location, deadline: Deadline) -> Result<(), FillError> {
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
            inode.write_all_at(piece, at).map_err(FillError::io("write to", &path()))?;
            at += read as u64;
        }
        // Of somebody who was killed here there is never more; so this frees nothing, it makes sure.
        inode.set_len(size).map_err(FillError::io("write to", &path()))
    }

    /// Everything but the content: a file never changes once it can be seen.
    fn seal(&self, inode: &File, entry: &EntryView<'_>) -> Result<(), Errno> {
        set_xattrs(inode, entry);
        if self.privileged {
            let (user, group) = (Uid::from_raw(entry.uid()), Gid::from_raw(entry.gid()));
            fchown(inode, Some(user), Some(group))?;
        }
        fchmod(inode, Mode::from(entry.permissions()))?;
        futimens(inode, &times_of(entry))
    }
}

/// Whether a name in the view is a file, no placeholder.
fn is_filled(view: &OwnedFd, name: &[u8]) -> Result<bool, Errno> {
    statat(view, name, AtFlags::SYMLINK_NOFOLLOW).map(|stat| is_file(&stat))
}

fn is_file(stat: &Stat) -> bool {
    FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile
}
