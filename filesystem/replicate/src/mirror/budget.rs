//! A number of bytes that threads share: who wants more than is left waits.

use parking_lot::{Condvar, Mutex};

/// The bytes that may be in memory at a time.
pub(super) struct Budget {
    total: u64,
    left: Mutex<u64>,
    returned: Condvar,
}

/// Some of them, given back when this is dropped.
pub(super) struct Share<'a> {
    budget: &'a Budget,
    bytes: u64,
}

impl Budget {
    pub(super) fn new(total: u64) -> Self {
        Self { total, left: Mutex::new(total), returned: Condvar::new() }
    }

    /// Waits for so many bytes. Whoever wants more than there are gets all of them, and is alone then.
    pub(super) fn take(&self, bytes: u64) -> Share<'_> {
        let bytes = bytes.min(self.total);
        let mut left = self.left.lock();
        while *left < bytes {
            self.returned.wait(&mut left);
        }
        *left -= bytes;
        Share { budget: self, bytes }
    }
}

impl Drop for Share<'_> {
    fn drop(&mut self) {
        *self.budget.left.lock() += self.bytes;
        self.budget.returned.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_wants_more_than_is_left_waits() {
        let budget = Budget::new(10);
        let all = budget.take(100);
        assert_eq!(*budget.left.lock(), 0);
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| budget.take(4).bytes);
            drop(all);
            assert_eq!(waiting.join().expect("no panic"), 4);
        });
        assert_eq!(*budget.left.lock(), 10);
    }
}
