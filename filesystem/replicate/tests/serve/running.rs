//! A server in this process, on a port of its own, with both fixtures and a large file.

use std::collections::BTreeSet;
use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, UNIX_EPOCH};

use varve_chassis::{AccessLog, AccessLogFormat, Limits, Metrics, Server, ServerConfig, Shutdown};
use varve_replicate::{RepositoryServer, ServeConfig};
use varve_testkit::{Fixture, Random};

use crate::client::Client;

/// An object whose name is right in form; nobody checks its content here.
pub(crate) const LARGE: &str = "/cvmfs/large.example/data/8e/b208f7e05d987a9b044a8e98c6b087f15a0bfc";

pub(crate) struct Running {
    pub(crate) address: SocketAddr,
    pub(crate) metrics_address: Option<SocketAddr>,
    pub(crate) shutdown: Shutdown,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) root: PathBuf,
    pub(crate) large: Vec<u8>,
    log: Option<AccessLog>,
    thread: Option<JoinHandle<Option<AccessLog>>>,
    scratch: tempfile::TempDir,
}

impl Running {
    pub(crate) fn start() -> Self {
        Self::with(Limits::default(), false)
    }

    pub(crate) fn with(limits: Limits, logged: bool) -> Self {
        Self::made(limits, logged, false, None)
    }

    /// With a port of its own for the metrics.
    pub(crate) fn with_metrics_apart() -> Self {
        Self::made(Limits::default(), false, true, None)
    }

    /// With a database of addresses.
    pub(crate) fn with_geo(database: PathBuf) -> Self {
        Self::made(Limits::default(), false, false, Some(database))
    }

    fn made(limits: Limits, logged: bool, apart: bool, geo: Option<PathBuf>) -> Self {
        let scratch = tempfile::tempdir().expect("a directory");
        let root = scratch.path().join("repositories");
        fs::create_dir(&root).expect("created");
        for fixture in Fixture::all() {
            symlink(fixture.served(), root.join(fixture.name())).expect("linked");
        }
        let large = Random::new(7).bytes(9_000_001);
        let path = root.join(LARGE.strip_prefix("/cvmfs/").expect("it begins so"));
        fs::create_dir_all(path.parent().expect("a directory")).expect("created");
        fs::write(&path, &large).expect("written");

        let config =
            ServeConfig { root: root.clone(), elsewhere: None, only: BTreeSet::new(), meta: None, geo };
        let repositories = RepositoryServer::new(config).expect("readable");
        let server = Server::bind(ServerConfig {
            listen: vec!["127.0.0.1:0".parse().expect("an address")],
            metrics: apart.then(|| "127.0.0.1:0".parse().expect("an address")),
            workers: 2,
            limits,
            tls: None,
            clock: || UNIX_EPOCH + Duration::from_secs(971_211_336),
            signals: false,
        })
        .expect("a free port");
        let address = server.addresses()[0];
        let metrics_address = server.metrics_address();
        let metrics = server.metrics();
        let log = logged.then(|| {
            let path = scratch.path().join("access.log");
            AccessLog::start(&path, AccessLogFormat::Combined).expect("opened")
        });
        let shutdown = Shutdown::new();
        let switch = shutdown.clone();
        let thread = std::thread::spawn(move || {
            server.run(repositories, log.as_ref(), &switch).expect("it runs");
            log
        });
        Self {
            address,
            metrics_address,
            shutdown,
            metrics,
            root,
            large,
            log: None,
            thread: Some(thread),
            scratch,
        }
    }

    pub(crate) fn client(&self) -> Client {
        Client::connect(self.address)
    }

    /// Ends the server and returns the lines of its log.
    pub(crate) fn stop(mut self) -> Vec<String> {
        self.shutdown.begin();
        self.wait();
        if let Some(log) = self.log.take() {
            log.finish();
        }
        let log = fs::read_to_string(self.scratch.path().join("access.log")).unwrap_or_default();
        log.lines().map(str::to_owned).collect()
    }

    /// Returns when the server has ended.
    pub(crate) fn wait(&mut self) {
        if let Some(thread) = self.thread.take() {
            self.log = thread.join().expect("the server did not panic");
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.shutdown.begin();
        self.shutdown.begin();
        self.wait();
    }
}
