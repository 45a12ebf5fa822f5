//! What is mounted, and for how many connections. A mount is made once, whoever asks for it first, while all others wait; it is
//! taken away when nobody wants it any more.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustix::io::Errno;

use super::Wanted;

/// Mounts for a holder.
pub trait Mounter: Send + Sync {
    /// Mounts on an empty directory.
    ///
    /// # Errors
    /// A text for people; then nothing is mounted.
    fn mount(&self, order: &serde_json::Value, directory: &Path) -> Result<(), String>;

    /// Takes it away, even if it is in use.
    fn unmount(&self, directory: &Path);
}

/// Everything that is mounted.
pub(super) struct Slots<'a> {
    directory: PathBuf,
    mounter: &'a dyn Mounter,
    table: Mutex<Table>,
}

#[derive(Default)]
struct Table {
    slots: BTreeMap<String, Arc<Slot>>,
    made: usize,
}

struct Slot {
    directory: PathBuf,
    users: Mutex<usize>,
    mounted: Mutex<bool>,
}

/// A connection's share in a mount.
pub(super) struct Share<'a, 'b> {
    slots: &'b Slots<'a>,
    key: String,
    slot: Arc<Slot>,
}

impl<'a> Slots<'a> {
    pub(super) fn new(directory: &Path, mounter: &'a dyn Mounter) -> Self {
        Self { directory: directory.to_owned(), mounter, table: Mutex::default() }
    }

    /// Returns once it is mounted.
    pub(super) fn share<'b>(&'b self, wanted: &Wanted) -> Result<Share<'a, 'b>, String> {
        let key = wanted.order.to_string();
        let slot = {
            let mut table = locked(&self.table);
            let number = table.made;
            let slot = table.slots.entry(key.clone()).or_insert_with(|| {
                let directory = self.directory.join(number.to_string());
                Arc::new(Slot { directory, users: Mutex::new(0), mounted: Mutex::new(false) })
            });
            *locked(&slot.users) += 1;
            let slot = Arc::clone(slot);
            table.made += 1;
            slot
        };
        let share = Share { slots: self, key, slot };
        let mut mounted = locked(&share.slot.mounted);
        if *mounted && is_dead(&share.slot.directory) {
            self.mounter.unmount(&share.slot.directory);
            *mounted = false;
        }
        if !*mounted {
            let directory = &share.slot.directory;
            std::fs::create_dir_all(directory).map_err(|error| error.to_string())?;
            self.mounter.mount(&wanted.order, directory)?;
            *mounted = true;
        }
        drop(mounted);
        Ok(share)
    }
}

impl Share<'_, '_> {
    pub(super) fn directory(&self) -> &Path {
        &self.slot.directory
    }
}

impl Drop for Share<'_, '_> {
    fn drop(&mut self) {
        let mut table = locked(&self.slots.table);
        let mut users = locked(&self.slot.users);
        *users -= 1;
        if *users > 0 {
            return;
        }
        // Who wants it from now on gets another slot.
        table.slots.remove(&self.key);
        drop((users, table));
        if *locked(&self.slot.mounted) {
            self.slots.mounter.unmount(&self.slot.directory);
        }
        let _ = std::fs::remove_dir(&self.slot.directory);
    }
}

/// Whether what was mounted there has no server any more.
fn is_dead(directory: &Path) -> bool {
    let status = rustix::fs::statat(rustix::fs::CWD, directory, rustix::fs::AtFlags::empty());
    matches!(status, Err(Errno::NOTCONN | Errno::CONNABORTED))
}

/// A thread that panicked can't have left these halfway.
pub(super) fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[derive(Default)]
    struct Counter {
        mounts: AtomicUsize,
        unmounts: AtomicUsize,
    }

    impl Mounter for Counter {
        fn mount(&self, order: &serde_json::Value, directory: &Path) -> Result<(), String> {
            assert!(directory.is_dir());
            if order == "bad" {
                return Err("no such thing".into());
            }
            self.mounts.fetch_add(1, Ordering::SeqCst);
            Ok(())
        }

        fn unmount(&self, _: &Path) {
            self.unmounts.fetch_add(1, Ordering::SeqCst);
        }
    }

    #[test]
    fn each_is_mounted_once_and_as_long_as_somebody_wants_it() {
        let scratch = varve_testkit::Scratch::new();
        let counter = Counter::default();
        let slots = Slots::new(&scratch, &counter);
        let wanted = |order: &str| Wanted { target: order.into(), order: order.into() };
        let first = slots.share(&wanted("a")).unwrap();
        std::thread::scope(|scope| {
            for _ in 0..20 {
                scope.spawn(|| assert_eq!(slots.share(&wanted("a")).unwrap().directory(), first.directory()));
            }
        });
        assert_eq!((counter.mounts.load(Ordering::SeqCst), counter.unmounts.load(Ordering::SeqCst)), (1, 0));
        let other = slots.share(&wanted("b")).unwrap();
        assert_ne!(first.directory(), other.directory());
        drop(first);
        assert_eq!((counter.mounts.load(Ordering::SeqCst), counter.unmounts.load(Ordering::SeqCst)), (2, 1));
        assert_eq!(slots.share(&wanted("bad")).err().as_deref(), Some("no such thing"));
        drop(slots.share(&wanted("a")).unwrap());
        assert_eq!((counter.mounts.load(Ordering::SeqCst), counter.unmounts.load(Ordering::SeqCst)), (3, 2));
        drop(other);
        assert_eq!(std::fs::read_dir(&scratch).unwrap().count(), 0);
    }
}
