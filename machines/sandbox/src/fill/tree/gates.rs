//! One at a time: who populates a directory or fills a file, among the threads of this process and among processes.
//!
//! A gate is one of a few lock files that nobody inside of a sandbox can reach. It is held while the local disk is written to;
//! whoever waits for it does so until its deadline. A process that is killed leaves its gates open.

use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::Duration;

use parking_lot::{Condvar, Mutex};
use rustix::fs::{FlockOperation, Mode, OFlags, flock, openat};
use rustix::io::Errno;
use varve_store::Deadline;
use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::super::error::FillError;

const GATES: usize = 64;

/// The gates of a tree.
pub(super) struct Gates {
    directory: OwnedFd,
    path: PathBuf,
    /// Opened when they are needed first. A lock is this process'; which of its threads has it, [`Self::taken`] tells.
    locks: [OnceLock<OwnedFd>; GATES],
    taken: Mutex<[bool; GATES]>,
    freed: Condvar,
}

/// The right to go on; ends when it is dropped.
pub(super) struct Passage<'a> {
    gates: &'a Gates,
    gate: usize,
    lock: Option<&'a OwnedFd>,
}

impl Gates {
    pub(super) fn new(directory: OwnedFd, path: &Path) -> Self {
        let (taken, freed) = (Mutex::new([false; GATES]), Condvar::new());
        let locks = [const { OnceLock::new() }; GATES];
        Self { directory, path: path.to_owned(), locks, taken, freed }
    }

    /// Waits until nobody else works on this entry of a directory; on the directory itself without a name.
    pub(super) fn pass(
        &self,
        number: u64,
        name: &[u8],
        deadline: Deadline,
    ) -> Result<Passage<'_>, FillError> {
        let gate = gate_of(number, name);
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
        let mut pause = Duration::from_micros(200);
        while !passage.lock()? {
            if deadline.has_passed() {
                return Err(late());
            }
            std::thread::sleep(pause.min(deadline.remaining()));
            pause = (pause * 2).min(Duration::from_millis(20));
        }
        Ok(passage)
    }

    /// As [`Self::pass`]; `None` if somebody else works there.
    pub(super) fn pass_if_open(&self, number: u64, name: &[u8]) -> Result<Option<Passage<'_>>, FillError> {
        let gate = gate_of(number, name);
        if std::mem::replace(&mut self.taken.lock()[gate], true) {
            return Ok(None);
        }
        let mut passage = Passage { gates: self, gate, lock: None };
        Ok(passage.lock()?.then_some(passage))
    }

    /// The lock of a gate, for whom it is taken.
    fn lock_of(&self, gate: usize) -> Result<&OwnedFd, Errno> {
        match self.locks[gate].get() {
            Some(lock) => Ok(lock),
            None => {
                let flags = OFlags::RDWR | OFlags::CREATE | OFlags::CLOEXEC;
                let opened = openat(&self.directory, format!("{gate:02}"), flags, Mode::from(0o600))?;
                Ok(self.locks[gate].get_or_init(|| opened))
            }
        }
    }
}

impl Passage<'_> {
    /// Whether no other process has it.
    fn lock(&mut self) -> Result<bool, FillError> {
        let io = FillError::io("lock", &self.gates.path);
        let locked = self.gates.lock_of(self.gate).and_then(|lock| {
            match flock(lock, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => Ok(Some(lock)),
                Err(Errno::WOULDBLOCK | Errno::INTR) => Ok(None),
                Err(error) => Err(error),
            }
        });
        self.lock = locked.map_err(io)?;
        Ok(self.lock.is_some())
    }
}

impl Drop for Passage<'_> {
    fn drop(&mut self) {
        // Fails for no lock that was had.
        let _ = self.lock.map(|lock| flock(lock, FlockOperation::Unlock));
        self.gates.taken.lock()[self.gate] = false;
        self.gates.freed.notify_all();
    }
}

fn gate_of(number: u64, name: &[u8]) -> usize {
    (xxh3_64_with_seed(name, number) % GATES as u64) as usize
}
