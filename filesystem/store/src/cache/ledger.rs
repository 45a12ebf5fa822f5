//! How many bytes a cache directory uses, told by all processes that share it, without a process that manages it.
//!
//! Each process collects what it has written and adds it to the file `ledger`, eight bytes little endian, under a lock,
//! in steps of a small part of the quota. What deleted files or a lost step make wrong, the next scan corrects.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;
use rustix::fs::{FlockOperation, flock};

/// The most bytes that one process keeps to itself.
const LARGEST_STEP: u64 = 16 << 20;

/// A file takes whole pages of the disk, and its entry something.
const PAGE: u64 = 4096;

pub(super) struct Ledger {
    /// `None` where the directory can't be written to: then nothing is added either.
    file: Option<Mutex<File>>,
    step: u64,
    pending: AtomicU64,
}

impl Ledger {
    pub(super) fn open(directory: &Path, quota: Option<u64>) -> Self {
        let opened = File::options()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(directory.join("ledger"));
        Self {
            file: opened.ok().map(Mutex::new),
            step: quota.map_or(LARGEST_STEP, |quota| (quota / 64).min(LARGEST_STEP)),
            pending: AtomicU64::new(0),
        }
    }

    /// Notes a new file. Once a step is full, says what all processes together use.
    pub(super) fn add(&self, file_length: u64) -> Option<u64> {
        let bytes = disk_use(file_length);
        let pending = self.pending.fetch_add(bytes, Ordering::Relaxed) + bytes;
        if pending < self.step {
            return None;
        }
        let pending = self.pending.swap(0, Ordering::Relaxed);
        self.locked(|file| {
            let total = read(file)?.saturating_add(pending);
            file.write_all_at(&total.to_le_bytes(), 0)?;
            Ok(total)
        })
    }

    /// Replaces what was told by what a scan has found.
    pub(super) fn set(&self, total: u64) {
        self.pending.store(0, Ordering::Relaxed);
        self.locked(|file| file.write_all_at(&total.to_le_bytes(), 0));
    }

    /// What all processes have told; `None` before the first scan.
    pub(super) fn total(&self) -> Option<u64> {
        self.locked(read).map(|told| told.saturating_add(self.pending.load(Ordering::Relaxed)))
    }

    fn locked<T>(&self, work: impl FnOnce(&File) -> io::Result<T>) -> Option<T> {
        let file = self.file.as_ref()?.lock();
        flock(&*file, FlockOperation::LockExclusive).ok()?;
        let result = work(&file);
        // Closing the file would release the lock too.
        let _released = flock(&*file, FlockOperation::Unlock);
        result.ok()
    }
}

/// What a file of this length takes of the disk.
pub(super) fn disk_use(file_length: u64) -> u64 {
    file_length.next_multiple_of(PAGE)
}

fn read(file: &File) -> io::Result<u64> {
    let mut bytes = [0; 8];
    file.read_exact_at(&mut bytes, 0)?;
    Ok(u64::from_le_bytes(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processes_add_up() {
        let place = tempfile::tempdir().expect("a temporary directory");
        let (first, second) =
            (Ledger::open(place.path(), Some(64 * 8192)), Ledger::open(place.path(), Some(64 * 8192)));
        assert_eq!(first.total(), None);
        assert_eq!(first.add(10_000), None);
        first.set(100);
        assert_eq!(first.add(4097), Some(100 + 8192));
        assert_eq!(second.add(1), None);
        assert_eq!(second.add(1), Some(100 + 2 * 8192));
        assert_eq!(first.total(), Some(100 + 2 * 8192));
    }
}
