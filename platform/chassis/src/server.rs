//! The HTTP server: one thread accepts and hands each connection to the worker thread that has the fewest. Each worker
//! runs its connections on one core, so that nothing is shared between cores on a request's way.

use std::future::Future;
use std::io;
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, SystemTime};

use http::{Request, Response};
use rustix::process::{Resource, Rlimit};
use tokio::runtime::{Builder, Runtime};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;

use crate::access_log::AccessLog;
use crate::body::Body;
use crate::connection::{self, Door, Shared};
use crate::limits::Limits;
use crate::metrics::Metrics;
use crate::request_body::RequestBody;
use crate::shutdown::{Phase, Shutdown, reached};
use crate::tls::Tls;

/// Connections that may wait to be accepted.
const BACKLOG: i32 = 4096;

/// Threads per worker that wait for disks.
const DISK_THREADS: usize = 16;

/// What answers requests. Called on a worker thread: it must not wait for anything without `await`.
pub trait Handler: Send + Sync + 'static {
    /// The response to a request from a client, or a proxy, at this address.
    fn handle(
        &self,
        request: Request<RequestBody>,
        peer: IpAddr,
    ) -> impl Future<Output = Response<Body>> + Send;
}

/// How a server is to be run.
#[derive(Debug)]
pub struct ServerConfig {
    /// Where to listen; port 0 takes any free one.
    pub listen: Vec<SocketAddr>,
    /// Where to tell the metrics, to whoever asks. Without it they are told where everything is, but to this machine alone.
    pub metrics: Option<SocketAddr>,
    /// Worker threads.
    pub workers: usize,
    /// What is borne with.
    pub limits: Limits,
    /// What clients must speak TLS by; the metrics' own listener doesn't.
    pub tls: Option<Tls>,
    /// The wall clock, for the access log.
    pub clock: fn() -> SystemTime,
    /// Whether SIGTERM, SIGINT (drain; at once the second time) and SIGHUP (reopen the access log) are obeyed.
    pub signals: bool,
}

/// A server that listens, but does not answer yet.
#[derive(Debug)]
pub struct Server {
    listeners: Vec<(TcpListener, SocketAddr)>,
    metrics_listener: Option<(TcpListener, SocketAddr)>,
    config: ServerConfig,
    metrics: Arc<Metrics>,
}

impl Server {
    /// Begins to listen at every address.
    ///
    /// # Errors
    /// [`ServerError::Listen`] if an address can't be had.
    pub fn bind(mut config: ServerConfig) -> Result<Self, ServerError> {
        let listen = |&address: &SocketAddr| {
            let bind = || -> io::Result<(TcpListener, SocketAddr)> {
                let listener = TcpListener::bind(address)?;
                listener.set_nonblocking(true)?;
                rustix::net::listen(&listener, BACKLOG)?;
                let address = listener.local_addr()?;
                Ok((listener, address))
            };
            bind().map_err(|source| ServerError::Listen { address, source })
        };
        let listeners = config.listen.iter().map(listen).collect::<Result<_, _>>()?;
        let metrics_listener = config.metrics.as_ref().map(listen).transpose()?;
        config.limits.connections = config.limits.connections.clamp(1, affordable_connections());
        Ok(Self { listeners, metrics_listener, config, metrics: Arc::default() })
    }

    /// Where it listens, with the ports that were taken.
    pub fn addresses(&self) -> Vec<SocketAddr> {
        self.listeners.iter().map(|(_, address)| *address).collect()
    }

    /// Where it tells its metrics, if that is a place of its own.
    pub fn metrics_address(&self) -> Option<SocketAddr> {
        self.metrics_listener.as_ref().map(|(_, address)| *address)
    }

    /// What it counts.
    pub fn metrics(&self) -> Arc<Metrics> {
        Arc::clone(&self.metrics)
    }

    /// Answers requests until `shutdown`, then lets transfers end within the grace time.
    ///
    /// # Errors
    /// [`ServerError::Start`] if threads can't be had.
    pub fn run<H: Handler>(
        self,
        handler: H,
        log: Option<&AccessLog>,
        shutdown: &Shutdown,
    ) -> Result<(), ServerError> {
        let start = |source| ServerError::Start { source };
        let shared = Arc::new(Shared {
            handler,
            http: connection::http(&self.config.limits),
            metrics: self.metrics,
            log: log.map(AccessLog::queue),
            clock: self.config.clock,
            tls: self.config.tls,
            open: AtomicUsize::new(0),
            limits: self.config.limits,
        });
        let mut workers = Vec::new();
        for number in 0..self.config.workers.max(1) {
            workers.push(Worker::start(number, &shared, shutdown).map_err(start)?);
        }
        let public = if self.metrics_listener.is_some() { Door::Public } else { Door::Only };
        let listeners = self.listeners.into_iter().map(|(listener, _)| (listener, public));
        let metrics = self.metrics_listener.map(|(listener, _)| (listener, Door::Metrics));
        let runtime = runtime().map_err(start)?;
        let accepting = runtime.block_on(accept_until_shutdown(
            listeners.chain(metrics).collect(),
            &shared,
            &workers,
            shutdown,
            self.config.signals,
        ));
        let threads: Vec<_> = workers.into_iter().map(|worker| worker.thread).collect();
        for thread in threads {
            // A worker that panicked has said so itself.
            let _ = thread.join();
        }
        accepting.map_err(start)
    }
}

/// Why a server does not run.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// An address is taken, not ours, or not allowed.
    #[error("cannot listen on {address}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// What the operating system said.
        #[source]
        source: io::Error,
    },
    /// Threads, signals or descriptors could not be had.
    #[error("cannot start the server")]
    Start {
        /// What the operating system said.
        #[source]
        source: io::Error,
    },
}

/// An accepted connection on its way to its worker.
struct Accepted {
    stream: TcpStream,
    peer: SocketAddr,
    door: Door,
    permit: OwnedSemaphorePermit,
}

/// An open connection among the counts, however it ends.
struct Open<H> {
    shared: Arc<Shared<H>>,
    of_worker: Arc<AtomicUsize>,
    _permit: OwnedSemaphorePermit,
}

impl<H> Drop for Open<H> {
    fn drop(&mut self) {
        self.of_worker.fetch_sub(1, Ordering::Relaxed);
        self.shared.open.fetch_sub(1, Ordering::Relaxed);
        self.shared.metrics.connection_closed();
    }
}

struct Worker {
    accepted: UnboundedSender<Accepted>,
    open: Arc<AtomicUsize>,
    thread: thread::JoinHandle<()>,
}

impl Worker {
    fn start<H: Handler>(number: usize, shared: &Arc<Shared<H>>, shutdown: &Shutdown) -> io::Result<Self> {
        let runtime = runtime()?;
        let (accepted, arriving) = unbounded_channel();
        let open = Arc::new(AtomicUsize::new(0));
        let (shared, shutdown, counter) = (Arc::clone(shared), shutdown.clone(), Arc::clone(&open));
        let thread = thread::Builder::new().name(format!("http-{number}")).spawn(move || {
            runtime.block_on(work(shared, arriving, counter, shutdown));
            // Whoever still waits for a disk is not waited for.
            runtime.shutdown_background();
        })?;
        Ok(Self { accepted, open, thread })
    }
}

fn runtime() -> io::Result<Runtime> {
    Builder::new_current_thread().enable_all().max_blocking_threads(DISK_THREADS).build()
}

/// A worker's life: takes connections until shutdown, then waits for them within the grace time.
async fn work<H: Handler>(
    shared: Arc<Shared<H>>,
    mut arriving: UnboundedReceiver<Accepted>,
    open: Arc<AtomicUsize>,
    shutdown: Shutdown,
) {
    let mut connections = JoinSet::new();
    let mut watch = shutdown.watch();
    let serve = |accepted: Accepted| {
        let Accepted { stream, peer, door, permit } = accepted;
        let open = Open { shared: Arc::clone(&shared), of_worker: Arc::clone(&open), _permit: permit };
        let watch = shutdown.watch();
        async move {
            match tokio::net::TcpStream::from_std(stream) {
                Ok(stream) => connection::serve(Arc::clone(&open.shared), stream, (peer, door), watch).await,
                Err(error) => tracing::warn!(%error, "cannot watch a connection"),
            }
            drop(open);
        }
    };
    loop {
        tokio::select! {
            accepted = arriving.recv() => match accepted {
                Some(accepted) => { connections.spawn(serve(accepted)); }
                None => break,
            },
            Some(_) = connections.join_next() => {}
            () = reached(&mut watch, Phase::Draining) => break,
        }
    }
    arriving.close();
    while let Ok(accepted) = arriving.try_recv() {
        connections.spawn(serve(accepted));
    }
    let drained = async { while connections.join_next().await.is_some() {} };
    if tokio::time::timeout(shared.limits.grace, drained).await.is_err() {
        shutdown.stop();
        tracing::warn!(connections = connections.len(), "transfers did not end in time");
    }
}

async fn accept_until_shutdown<H: Handler>(
    listeners: Vec<(TcpListener, Door)>,
    shared: &Arc<Shared<H>>,
    workers: &[Worker],
    shutdown: &Shutdown,
    signals: bool,
) -> io::Result<()> {
    let permits = Arc::new(Semaphore::new(shared.limits.connections));
    let accepting = async {
        let listening =
            |(listener, door)| Ok::<_, io::Error>((tokio::net::TcpListener::from_std(listener)?, door));
        let listeners = listeners.into_iter().map(listening).collect::<io::Result<Vec<_>>>()?;
        let accepting =
            listeners.iter().map(|(listener, door)| accept(listener, *door, shared, workers, &permits));
        join_all(accepting).await;
        Ok(())
    };
    let mut watch = shutdown.watch();
    let settling = async {
        loop {
            tokio::time::sleep(Duration::from_secs(5)).await;
            shared.metrics.settle();
        }
    };
    let serving = async {
        tokio::select! {
            result = accepting => result,
            () = settling => Ok(()),
            () = reached(&mut watch, Phase::Draining) => Ok(()),
        }
    };
    if !signals {
        return serving.await;
    }
    let obeying = obey(shutdown.clone(), shared.log.clone())?;
    let obeying = tokio::spawn(obeying);
    let result = serving.await;
    // A second signal must still be heard while the workers drain.
    let mut watch = shutdown.watch();
    tokio::select! {
        () = async { while shared.open.load(Ordering::Relaxed) > 0 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }} => {}
        () = reached(&mut watch, Phase::Stopping) => {}
    }
    obeying.abort();
    result
}

/// The connections of one listener, one after the other.
async fn accept<H: Handler>(
    listener: &tokio::net::TcpListener,
    door: Door,
    shared: &Arc<Shared<H>>,
    workers: &[Worker],
    permits: &Arc<Semaphore>,
) {
    loop {
        let Ok(permit) = Arc::clone(permits).acquire_owned().await else { return };
        let (stream, peer) = match accept_one(listener).await {
            Ok(accepted) => accepted,
            Err(error) => {
                // A client that gave up is nothing; a full table of descriptors needs a moment.
                if !matches!(error.kind(), io::ErrorKind::ConnectionAborted | io::ErrorKind::Interrupted) {
                    tracing::warn!(%error, "cannot accept a connection");
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
                continue;
            }
        };
        let Some(worker) = workers.iter().min_by_key(|worker| worker.open.load(Ordering::Relaxed)) else {
            return;
        };
        worker.open.fetch_add(1, Ordering::Relaxed);
        shared.open.fetch_add(1, Ordering::Relaxed);
        shared.metrics.connection_opened();
        if worker.accepted.send(Accepted { stream, peer, door, permit }).is_err() {
            // The worker drains: so will this thread, as soon as it looks.
            shared.open.fetch_sub(1, Ordering::Relaxed);
            return;
        }
    }
}

/// The next connection, no longer tied to this thread.
async fn accept_one(listener: &tokio::net::TcpListener) -> io::Result<(TcpStream, SocketAddr)> {
    let (stream, peer) = listener.accept().await?;
    stream.set_nodelay(true)?;
    Ok((stream.into_std()?, peer))
}

/// The signals that a server obeys, from now on.
fn obey(
    shutdown: Shutdown,
    log: Option<crate::access_log::AccessLogQueue>,
) -> io::Result<impl Future<Output = ()> + Send> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut hangup = signal(SignalKind::hangup())?;
    Ok(async move {
        loop {
            tokio::select! {
                _ = terminate.recv() => shutdown.begin(),
                _ = interrupt.recv() => shutdown.begin(),
                _ = hangup.recv() => {
                    if log.as_ref().is_some_and(|log| !log.reopen()) {
                        tracing::warn!("the access log is too busy to be reopened");
                    }
                }
            }
        }
    })
}

async fn join_all(futures: impl Iterator<Item = impl Future<Output = ()>>) {
    let mut futures: Vec<_> = futures.map(Box::pin).collect();
    std::future::poll_fn(|context| {
        futures.retain_mut(|future| future.as_mut().poll(context).is_pending());
        if futures.is_empty() { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
    })
    .await;
}

/// As many connections as there can be descriptors for them and for the files that they ask for.
fn affordable_connections() -> usize {
    let limit = rustix::process::getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
    let files = match rustix::process::setrlimit(Resource::Nofile, raised) {
        Ok(()) => limit.maximum,
        Err(_) => limit.current,
    };
    let files = usize::try_from(files.unwrap_or(u64::MAX)).unwrap_or(usize::MAX);
    (files.saturating_sub(128) / 2).max(16)
}
