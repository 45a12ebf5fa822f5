//! Fetching before it is asked for: jobs in the background, few at a time, whose failures show when a reader gets there.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use varve_store::Deadline;

use crate::pool::Pool;

/// At most so many jobs at a time.
pub(super) const MOST_AHEAD: usize = 8;

/// What is fetched ahead has this long.
const PATIENCE: Duration = Duration::from_secs(60);

/// The jobs of a mount.
pub(crate) struct Ahead {
    running: Arc<AtomicUsize>,
    pool: Arc<Pool>,
}

impl Ahead {
    pub(crate) fn new(pool: Arc<Pool>) -> Self {
        Self { running: Arc::default(), pool }
    }

    /// Runs a job unless there are too many; says whether it does.
    pub(super) fn run(&self, job: impl FnOnce(Deadline) + Send + 'static) -> bool {
        let running = Arc::clone(&self.running);
        if running.fetch_add(1, Ordering::Relaxed) >= MOST_AHEAD {
            running.fetch_sub(1, Ordering::Relaxed);
            return false;
        }
        self.pool.run(move || {
            job(Deadline::after(PATIENCE));
            running.fetch_sub(1, Ordering::Relaxed);
        });
        true
    }
}
