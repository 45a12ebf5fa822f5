//! An HTTP server, a forward proxy and a gateway that misbehave on demand, on loopback, on a free port.
//!
//! [`FaultyServer`] gives the files below a directory, [`FaultyProxy`] forwards to any server, [`FaultyGateway`] stands
//! before one. They follow the same
//! [`Rule`]s, first match first; without a match they answer properly. They speak HTTP/1.1 with keep-alive, and record
//! every request. Dropping one closes its port and all connections. No TLS, no HTTP/2.

mod answer;
mod connection;
mod gateway;
mod origin;
mod rule;

use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread::{self, JoinHandle};
use std::time::Duration;

pub use connection::Request;
use gateway::Gateway;
use origin::Origin;
pub use rule::{Fault, Rule};

/// A server of a directory's files that follows [`Rule`]s.
pub struct FaultyServer(Listener);

/// A forward proxy (`GET http://…`) that follows [`Rule`]s; their paths are matched against the whole address.
pub struct FaultyProxy(Listener);

/// Stands before one server, whose address clients take it for, and follows [`Rule`]s. Bodies of requests are passed on.
pub struct FaultyGateway(Listener);

impl FaultyServer {
    /// Serves the files below `directory`: `directory/a/b` at `/a/b`. They are read at every request.
    pub fn new(directory: &Path) -> Self {
        Self(Listener::new(Origin::Directory(directory.to_owned())))
    }

    /// Serves the files below `directory` at `/cvmfs/name/`, as a stratum does.
    pub fn of_repository(name: &str, directory: &Path) -> Self {
        Self(Listener::new(Origin::Below {
            prefix: format!("/cvmfs/{name}"),
            directory: directory.to_owned(),
        }))
    }
}

impl FaultyProxy {
    /// A proxy that forwards what no rule says otherwise about.
    pub fn new() -> Self {
        Self(Listener::new(Origin::Forward))
    }
}

impl FaultyGateway {
    /// A gateway to the server at `address`. If that doesn't know conditional writes itself (`If-None-Match: *`), the gateway
    /// can for what went through it.
    pub fn new(address: SocketAddr, conditional_writes: bool) -> Self {
        Self(Listener::new(Origin::Gateway(Gateway::new(address, conditional_writes))))
    }
}

impl std::ops::Deref for FaultyGateway {
    type Target = Listener;

    fn deref(&self) -> &Listener {
        &self.0
    }
}

impl Default for FaultyProxy {
    fn default() -> Self {
        Self::new()
    }
}

impl std::ops::Deref for FaultyServer {
    type Target = Listener;

    fn deref(&self) -> &Listener {
        &self.0
    }
}

impl std::ops::Deref for FaultyProxy {
    type Target = Listener;

    fn deref(&self) -> &Listener {
        &self.0
    }
}

/// What [`FaultyServer`] and [`FaultyProxy`] have in common: rules, records, an address.
pub struct Listener {
    address: SocketAddr,
    state: Arc<State>,
    accepting: Option<JoinHandle<()>>,
}

/// Shared by the threads of one listener.
struct State {
    origin: Origin,
    inner: Mutex<Inner>,
    /// Signals `released` and `stopped`.
    changed: Condvar,
}

#[derive(Default)]
struct Inner {
    rules: Vec<Rule>,
    requests: Vec<Request>,
    connections: Vec<TcpStream>,
    in_flight: usize,
    most_in_flight: usize,
    stalled: usize,
    released: u64,
    stopped: bool,
    freshness: Option<u32>,
}

impl Listener {
    fn new(origin: Origin) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("because loopback has free ports");
        let address = listener.local_addr().expect("because it is bound");
        let state = Arc::new(State { origin, inner: Mutex::default(), changed: Condvar::new() });
        let shared = Arc::clone(&state);
        let accepting = Some(thread::spawn(move || accept(&listener, &shared)));
        Self { address, state, accepting }
    }

    /// `http://127.0.0.1:PORT`, without a slash at the end.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The address and port.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Adds a rule behind the others.
    pub fn add(&self, rule: Rule) {
        self.state.lock().rules.push(rule);
    }

    /// Behaves well from now on. What stalls goes on stalling, see [`Self::release`].
    pub fn clear(&self) {
        self.state.lock().rules.clear();
    }

    /// Tells caches from now on for how many seconds an answer is fresh.
    pub fn set_freshness(&self, seconds: u32) {
        self.state.lock().freshness = Some(seconds);
    }

    /// Lets everything that stalls at the moment go on with a proper answer.
    pub fn release(&self) {
        self.state.lock().released += 1;
        self.state.changed.notify_all();
    }

    /// Every request so far, in order of arrival.
    pub fn requests(&self) -> Vec<Request> {
        self.state.lock().requests.clone()
    }

    /// How many requests so far had `part` in their path.
    pub fn count(&self, part: &str) -> usize {
        self.state.lock().requests.iter().filter(|request| request.path.contains(part)).count()
    }

    /// Forgets the requests so far.
    pub fn forget_requests(&self) {
        self.state.lock().requests.clear();
    }

    /// The most requests that were being answered at one time.
    pub fn most_in_flight(&self) -> usize {
        self.state.lock().most_in_flight
    }

    /// How many requests stall at the moment.
    pub fn stalled(&self) -> usize {
        self.state.lock().stalled
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        let mut inner = self.state.lock();
        inner.stopped = true;
        for connection in inner.connections.drain(..) {
            // It may be closed already.
            let _closed = connection.shutdown(std::net::Shutdown::Both);
        }
        drop(inner);
        self.state.changed.notify_all();
        // Wakes the accepting thread, which then sees that it has stopped.
        let _woken = TcpStream::connect_timeout(&self.address, Duration::from_secs(1));
        if let Some(accepting) = self.accepting.take() {
            // The port is closed once it has ended.
            let _ended = accepting.join();
        }
    }
}

impl State {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    fn freshness(&self) -> Option<u32> {
        self.lock().freshness
    }

    fn stopped(&self) -> bool {
        self.lock().stopped
    }

    /// Blocks until [`Listener::release`] or the end.
    fn stall(&self) {
        let mut inner = self.lock();
        let before = inner.released;
        inner.stalled += 1;
        while inner.released == before && !inner.stopped {
            inner = self.changed.wait(inner).unwrap_or_else(std::sync::PoisonError::into_inner);
        }
        inner.stalled -= 1;
    }
}

fn accept(listener: &TcpListener, state: &Arc<State>) {
    for stream in listener.incoming() {
        let Ok(stream) = stream else { continue };
        let mut inner = state.lock();
        if inner.stopped {
            return;
        }
        if let Ok(clone) = stream.try_clone() {
            inner.connections.push(clone);
        }
        drop(inner);
        let shared = Arc::clone(state);
        thread::spawn(move || {
            // The peer may go away at any time, which ends the thread and is no fault of the test's.
            let _ended = connection::serve(&stream, &shared);
            let _closed = stream.shutdown(std::net::Shutdown::Both);
        });
    }
}
