//! What drives connections while a caller waits.
//!
//! Over plain HTTP a connection carries one request at a time, so each caller borrows a [`Lane`]: a set of connections
//! and the event loop that drives them, on the caller's own thread. That spares two changes of thread per request,
//! which for small objects cost more than everything else (docs/decisions/0003-lanes.md). Over TLS all callers share
//! connections, where HTTP/2 is offered also for requests at the same time; two threads of the process drive those.

use std::sync::{Arc, Weak};

use parking_lot::Mutex;
use reqwest::Client;
use tokio::runtime::{Builder, Runtime};

use super::clients;
use super::config::{HttpConfig, HttpConfigError, Proxy};

/// Threads that drive all shared connections of the process, whatever number of sources there is. They start with the
/// first source that needs them and end with the last. A process that forks must do so before.
const SHARED_THREADS: usize = 2;

/// Lanes that wait to be borrowed again; more are only kept while they are in use.
const MOST_IDLE: usize = 64;

/// How the connections of one source are driven.
pub(super) enum Engine {
    /// Each caller with connections of its own.
    Lanes(Mutex<Vec<Lane>>),
    /// All callers with the same.
    Shared { clients: Vec<Client>, threads: Arc<EventLoop> },
}

/// Connections through each proxy, and what drives them.
pub(super) struct Lane {
    clients: Vec<Client>,
    event_loop: EventLoop,
}

/// An event loop that doesn't wait when it is dropped: name resolution that hangs would hang whoever drops the source.
pub(crate) struct EventLoop(Option<Runtime>);

static SHARED: Mutex<Weak<EventLoop>> = Mutex::new(Weak::new());

impl Engine {
    pub(super) fn new(config: &HttpConfig, proxies: &[Proxy]) -> Result<Self, HttpConfigError> {
        if clients::is_encrypted(config, proxies) {
            let threads = EventLoop::shared()?;
            return Ok(Self::Shared { clients: clients::build(config, proxies)?, threads });
        }
        Ok(Self::Lanes(Mutex::new(vec![Lane::new(config, proxies)?])))
    }

    /// Runs what `work` makes of the clients, one per proxy, on the calling thread, which must not belong to an async
    /// runtime.
    pub(super) fn run<T>(
        &self,
        config: &HttpConfig,
        proxies: &[Proxy],
        work: impl AsyncFnOnce(&[Client]) -> T,
    ) -> Result<T, HttpConfigError> {
        match self {
            Self::Shared { clients, threads } => Ok(threads.run(work(clients))),
            Self::Lanes(idle) => {
                // In a statement of its own, so that the lock is not held while a lane is made.
                let kept = idle.lock().pop();
                let lane = match kept {
                    Some(lane) => lane,
                    None => Lane::new(config, proxies)?,
                };
                let result = lane.event_loop.run(work(&lane.clients));
                let mut idle = idle.lock();
                if idle.len() < MOST_IDLE {
                    // The last used is borrowed first: its connections are the least likely to have been closed.
                    idle.push(lane);
                }
                Ok(result)
            }
        }
    }
}

impl Lane {
    fn new(config: &HttpConfig, proxies: &[Proxy]) -> Result<Self, HttpConfigError> {
        let runtime = Builder::new_current_thread().enable_all().build().map_err(HttpConfigError::Threads)?;
        Ok(Self { clients: clients::build(config, proxies)?, event_loop: EventLoop(Some(runtime)) })
    }
}

impl EventLoop {
    /// The threads of this process, started if no source has them.
    pub(crate) fn shared() -> Result<Arc<Self>, HttpConfigError> {
        let mut existing = SHARED.lock();
        if let Some(threads) = existing.upgrade() {
            return Ok(threads);
        }
        let runtime = Builder::new_multi_thread()
            .worker_threads(SHARED_THREADS)
            .thread_name("varve-net")
            .enable_all()
            .build()
            .map_err(HttpConfigError::Threads)?;
        let threads = Arc::new(Self(Some(runtime)));
        *existing = Arc::downgrade(&threads);
        Ok(threads)
    }

    /// Runs something to its end on the calling thread.
    pub(crate) fn run<F: Future>(&self, future: F) -> F::Output {
        self.runtime().block_on(future)
    }

    /// Lets something run on the loop's own threads.
    #[cfg(feature = "s3")]
    pub(crate) fn spawn(&self, future: impl Future<Output = ()> + Send + 'static) {
        self.runtime().spawn(future);
    }

    fn runtime(&self) -> &Runtime {
        self.0.as_ref().expect("because it is taken only when dropped")
    }
}

impl Drop for EventLoop {
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}
