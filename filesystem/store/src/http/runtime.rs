//! The few threads that drive all network connections of the process, whatever number of sources there is.
//!
//! They start with the first source and end with the last. A process that forks must do so before.

use std::sync::{Arc, Weak};

use parking_lot::Mutex;
use tokio::runtime::{Builder, Runtime};

use super::config::HttpConfigError;

const THREADS: usize = 2;

/// Keeps the threads alive.
pub(super) struct NetworkThreads(Option<Runtime>);

static THREADS_OF_THIS_PROCESS: Mutex<Weak<NetworkThreads>> = Mutex::new(Weak::new());

impl NetworkThreads {
    /// The threads of this process, started if no source has them.
    pub(super) fn get() -> Result<Arc<Self>, HttpConfigError> {
        let mut existing = THREADS_OF_THIS_PROCESS.lock();
        if let Some(threads) = existing.upgrade() {
            return Ok(threads);
        }
        let runtime = Builder::new_multi_thread()
            .worker_threads(THREADS)
            .thread_name("varve-net")
            .enable_all()
            .build()
            .map_err(HttpConfigError::Threads)?;
        let threads = Arc::new(Self(Some(runtime)));
        *existing = Arc::downgrade(&threads);
        Ok(threads)
    }

    /// Runs `future` on the calling thread, which must not be one of an async runtime; connections are driven by ours.
    pub(super) fn run<F: Future>(&self, future: F) -> F::Output {
        let runtime = self.0.as_ref().expect("because it is taken only when dropped");
        runtime.handle().block_on(future)
    }
}

impl Drop for NetworkThreads {
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            // Waiting for name resolution that hangs would hang whoever drops the last source.
            runtime.shutdown_background();
        }
    }
}
