//! Syncs a file system while objects are still being put, so that the sync at the end finds little left to do.
//!
//! It only ever begins early what [`ObjectStore::sync`](crate::ObjectStore::sync) does: a failure is kept until then, since the
//! operating system reports it once.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;

use parking_lot::Mutex;

/// How much is put before a sync is begun: about a second's work of a few cores.
const ENOUGH: u64 = 128 << 20;

/// What a file costs beside its bytes: its inode and its name have to be written too.
const PER_FILE: u64 = 16 << 10;

/// The sync in the background: at most one at a time.
#[derive(Debug, Default)]
pub(super) struct WriteBack {
    /// What has been put since the last one was begun.
    pending: AtomicU64,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    running: Option<JoinHandle<io::Result<()>>>,
    failed: Option<io::Error>,
}

impl WriteBack {
    /// Takes note of a file of `bytes` bytes; begins a sync if it is time for one.
    pub(super) fn stored(&self, data: &Arc<OwnedFd>, bytes: u64) {
        let weight = bytes + PER_FILE;
        if self.pending.fetch_add(weight, Ordering::Relaxed) + weight >= ENOUGH {
            self.begin(data);
        }
    }

    /// Begins a sync unless one is running.
    pub(super) fn begin(&self, data: &Arc<OwnedFd>) {
        // Whoever holds the lock is beginning one, or waits for the last.
        let Some(mut state) = self.state.try_lock() else { return };
        if state.running.as_ref().is_some_and(|running| !running.is_finished()) {
            return;
        }
        state.wait();
        self.pending.store(0, Ordering::Relaxed);
        let data = data.clone();
        // Without a thread everything is left to the sync at the end.
        state.running = std::thread::Builder::new()
            .name("write-back".to_owned())
            .spawn(move || Ok(rustix::fs::syncfs(&*data)?))
            .ok();
    }

    /// Waits for the last sync that was begun, and reports what any of them failed with.
    pub(super) fn end(&self) -> io::Result<()> {
        let mut state = self.state.lock();
        state.wait();
        state.failed.take().map_or(Ok(()), Err)
    }
}

impl State {
    fn wait(&mut self) {
        if let Some(running) = self.running.take() {
            let result = running.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
            if let Err(error) = result {
                self.failed.get_or_insert(error);
            }
        }
    }
}
