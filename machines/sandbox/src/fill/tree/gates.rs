//! One at a time: who populates a directory or fills a file, among the threads of this process and among processes.
//!
//! A gate is one of a few lock files that nobody inside of a sandbox can reach. It is held while the local disk is written to;
//! whoever waits for it does so until its deadline. A process that is killed leaves its gates open.

use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::time::Duration;

use parking_lot::{Condvar, Mutex};
use rustix::fs::{FlockOperation, Mode, OFlags, flock, openat};
use varve_store::Deadline;
use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::super::error::FillError;

const GATES: usize = 64;

/// The gates of a tree.
pub(super) struct Gates {
    directory: OwnedFd,
    path: PathBuf,
    taken: Mutex<[bool; GATES]>,
    freed: Condvar,
}

/// The right to go on; ends when it is dropped.
pub(super) struct Passage<'a> {
    gates: &'a Gates,
    gate: usize,
    /// Closing it frees the lock.
    lock: Option<OwnedFd>,
}

impl Gates {
    pub(super) fn new(directory: OwnedFd, path: &Path) -> Self {
        let (taken, freed) = (Mutex::new([false; GATES]), Condvar::new());
        Self { directory, path: path.to_owned(), taken, freed }
    }

    /// Waits until nobody else works on this entry of a directory; on the directory itself without a name.
    pub(super) fn pass(
        &self,
        number: u64,
        name: &[u8],
        deadline: Deadline,
    ) -> Result<Passage<'_>, FillError> {
        let gate = (xxh3_64_with_seed(name, number) % GATES as u64) as usize;
        let late = || FillError::Late { path: self.path.join(format!("{gate:02}")) };
        {
            let mut taken = self.taken.lock();
            while taken[gate] {
                if self.freed.wait_until(&mut taken, deadline.instant()).timed_out() && taken[gate] {
                    return Err(late());
                }
            }
            taken[gate] = true;
        }
        let mut passage = Passage { gates: self, gate, lock: None };
        let io = FillError::io("lock", &self.path);
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::CLOEXEC;
        let lock =
            openat(self.directory.as_fd(), format!("{gate:02}"), flags, Mode::from(0o600)).map_err(io)?;
        let mut pause = Duration::from_micros(200);
        loop {
            match flock(&lock, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => break,
                Err(rustix::io::Errno::WOULDBLOCK | rustix::io::Errno::INTR) if !deadline.has_passed() => {
                    std::thread::sleep(pause.min(deadline.remaining()));
                    pause = (pause * 2).min(Duration::from_millis(20));
                }
                Err(rustix::io::Errno::WOULDBLOCK) => return Err(late()),
                Err(error) => return Err(FillError::io("lock", &self.path)(error)),
            }
        }
        passage.lock = Some(lock);
        Ok(passage)
    }
}

impl Drop for Passage<'_> {
    fn drop(&mut self) {
        self.lock = None;
        self.gates.taken.lock()[self.gate] = false;
        self.gates.freed.notify_all();
    }
}
