//! What lasts of a tree beside its files: the form of its layout, and whether a loss of power can have torn it.
//!
//! ```text
//!  clean ── first change ──▶ changed during this boot of the machine ── synced by the last user ──▶ clean
//!                                        │
//!                                        └── found during another boot ──▶ thrown away
//! ```
//!
//! Files are not synced one by one. Until the machine stops that does no harm: processes see each other's writes, synced or
//! not. So a tree that was changed, not synced, and is found by another boot is not believed.
//!
//! Every user of the tree holds a shared lock on the file of the state. Who gets the exclusive one is alone.

use std::fs::File;
use std::io::{self, Read as _, Seek as _, Write as _};
use std::os::fd::{AsFd, BorrowedFd};

use parking_lot::Mutex;
use rustix::fs::{FlockOperation, Mode, OFlags, Timespec, Timestamps, UTIME_NOW, flock, openat};

/// The first line of the state; another one is another layout.
const FORM: &str = "varve tree 1";
const CLEAN: &str = "clean";

/// The time as the file system has it.
const USED_NOW: Timestamps = Timestamps {
    last_access: Timespec { tv_sec: 0, tv_nsec: UTIME_NOW },
    last_modification: Timespec { tv_sec: 0, tv_nsec: UTIME_NOW },
};

/// The state of a tree that is in use.
pub(super) struct State {
    file: Mutex<File>,
    /// What identifies this boot of the machine, and this tree's place on its disk.
    here: String,
    changed: Mutex<bool>,
}

/// What was found.
pub(super) enum Found {
    /// It can be used.
    Sound(State),
    /// It is of another form, or torn by the machine's stop; nobody uses it.
    Unusable,
}

impl State {
    /// Looks at the state of the tree in this directory; a new one if there is none yet.
    pub(super) fn open(tree: BorrowedFd<'_>, boot: &str, place: u64) -> io::Result<Found> {
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::CLOEXEC;
        let file = File::from(openat(tree, "state", flags, Mode::from(0o600))?);
        flock(file.as_fd(), FlockOperation::LockShared)?;
        let mut text = String::new();
        (&file).take(4096).read_to_string(&mut text)?;
        // When it was used last, see `bound`.
        rustix::fs::futimens(&file, &USED_NOW)?;
        let here = format!("{boot} {place}");
        let mut lines = text.lines();
        let changed = match (lines.next(), lines.next(), lines.next()) {
            (None, None, None) => false,
            (Some(FORM), Some(CLEAN), Some(found)) if found == place.to_string() => false,
            (Some(FORM), Some(found), None) if found == here => true,
            _ => {
                // Whoever uses it now wrote the state itself, so it can't be unusable for them: nobody does, or a newer program.
                return match flock(file.as_fd(), FlockOperation::NonBlockingLockExclusive) {
                    Ok(()) => Ok(Found::Unusable),
                    Err(error) => Err(error.into()),
                };
            }
        };
        Ok(Found::Sound(Self { file: Mutex::new(file), here, changed: Mutex::new(changed) }))
    }

    /// To be called before the first change.
    pub(super) fn will_change(&self) -> io::Result<()> {
        let mut changed = self.changed.lock();
        if !*changed {
            let file = self.file.lock();
            write(&file, &format!("{FORM}\n{}\n", self.here))?;
            // If this were lost while what follows is kept, torn files would be believed.
            file.sync_data()?;
            *changed = true;
        }
        Ok(())
    }

    /// Makes what was changed last, unless others use the tree: the last of them does it then.
    pub(super) fn settle(&self, tree: BorrowedFd<'_>) -> io::Result<()> {
        let mut changed = self.changed.lock();
        let mut file = self.file.lock();
        if flock(file.as_fd(), FlockOperation::NonBlockingLockExclusive).is_err() {
            return Ok(flock(file.as_fd(), FlockOperation::LockShared)?);
        }
        // Others may have changed it, who have ended since.
        let mut text = String::new();
        file.rewind()?;
        (&*file).take(4096).read_to_string(&mut text)?;
        if !text.is_empty() && text.lines().nth(1) != Some(CLEAN) {
            rustix::fs::syncfs(tree)?;
            let place = self.here.rsplit(' ').next().unwrap_or_default();
            write(&file, &format!("{FORM}\n{CLEAN}\n{place}\n"))?;
        }
        *changed = false;
        Ok(flock(file.as_fd(), FlockOperation::LockShared)?)
    }
}

fn write(mut file: &File, text: &str) -> io::Result<()> {
    // One write of less than a block: whole, or not at all.
    file.rewind()?;
    file.write_all(text.as_bytes())?;
    file.set_len(text.len() as u64)
}
