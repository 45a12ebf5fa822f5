//! The files of this host that a machine's kernel knows, by the numbers that it knows them by: their own, where these are
//! different.

use std::collections::HashMap;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use parking_lot::{Mutex, MutexGuard};

/// The number of the root.
const ROOT: u64 = 1;
/// Files whose numbers are taken by files of other file systems get these.
const FIRST_MADE: u64 = 1 << 63;

/// What is known.
pub(super) struct Inodes {
    known: Mutex<Known>,
    turn: Mutex<()>,
}

struct Known {
    nodes: HashMap<u64, Node>,
    numbers: HashMap<Key, u64>,
    next: u64,
}

/// A file system and the number of a file in it.
pub(super) type Key = (u64, u64);

struct Node {
    /// As long as it is open, nobody else gets its number.
    file: Arc<OwnedFd>,
    key: Key,
    /// How often the kernel was told of it, less how often it forgot it.
    told: u64,
}

impl Inodes {
    pub(super) fn new(root: OwnedFd) -> rustix::io::Result<Self> {
        let status = rustix::fs::fstat(&root)?;
        let key = (status.st_dev, status.st_ino);
        let root = Node { file: Arc::new(root), key, told: 1 };
        let known = Known {
            nodes: HashMap::from([(ROOT, root)]),
            numbers: HashMap::from([(key, ROOT)]),
            next: FIRST_MADE,
        };
        Ok(Self { known: Mutex::new(known), turn: Mutex::new(()) })
    }

    pub(super) fn get(&self, number: u64) -> Option<Arc<OwnedFd>> {
        self.known.lock().nodes.get(&number).map(|node| Arc::clone(&node.file))
    }

    /// A file that the kernel is told of now; its number.
    pub(super) fn remember(&self, file: OwnedFd, key: Key) -> u64 {
        let mut known = self.known.lock();
        if let Some(&number) = known.numbers.get(&key) {
            if let Some(node) = known.nodes.get_mut(&number) {
                node.told += 1;
            }
            return number;
        }
        let number = match key.1 {
            own if own > ROOT && own < FIRST_MADE && !known.nodes.contains_key(&own) => own,
            _ => {
                known.next += 1;
                known.next - 1
            }
        };
        known.numbers.insert(key, number);
        known.nodes.insert(number, Node { file: Arc::new(file), key, told: 1 });
        number
    }

    /// The kernel has forgotten a file that it was told of so many times.
    pub(super) fn forget(&self, number: u64, times: u64) {
        let mut known = self.known.lock();
        let Some(node) = known.nodes.get_mut(&number).filter(|_| number != ROOT) else { return };
        node.told = node.told.saturating_sub(times);
        if node.told == 0 {
            let key = node.key;
            known.nodes.remove(&number);
            known.numbers.remove(&key);
        }
    }

    /// One at a time.
    pub(super) fn turn(&self) -> MutexGuard<'_, ()> {
        self.turn.lock()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(path: &std::path::Path) -> OwnedFd {
        std::fs::File::open(path).unwrap().into()
    }

    #[test]
    fn a_file_is_known_until_it_is_forgotten_as_often_as_it_was_told() {
        let scratch = tempfile::tempdir().unwrap();
        std::fs::write(scratch.path().join("a"), "a").unwrap();
        let inodes = Inodes::new(file(scratch.path())).unwrap();
        let path = scratch.path().join("a");
        let status = rustix::fs::stat(&path).unwrap();
        let key = (status.st_dev, status.st_ino);
        let number = inodes.remember(file(&path), key);
        assert_eq!(number, status.st_ino);
        assert_eq!(inodes.remember(file(&path), key), number);
        // The same number on another file system is another file.
        let other = inodes.remember(file(&path), (key.0 + 1, key.1));
        assert!(other >= FIRST_MADE);
        inodes.forget(number, 1);
        assert!(inodes.get(number).is_some());
        inodes.forget(number, 5);
        assert!(inodes.get(number).is_none() && inodes.get(other).is_some());
        inodes.forget(ROOT, 100);
        assert!(inodes.get(ROOT).is_some());
    }
}
