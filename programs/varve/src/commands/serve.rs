//! `varve serve`: repositories over HTTP, until told to stop.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::thread;
use std::time::{Duration, SystemTime};

use clap::Args;
use varve_chassis::{AccessLog, AccessLogFormat, Limits, Server, ServerConfig, Shutdown};
use varve_publish::Storage;
use varve_replicate::{Elsewhere, Place, RepositoryServer, ServeConfig};
use varve_repository::RepositoryName;
use varve_store::AwsEnvironment;

use crate::commands::repo::local;
use crate::failure::Failure;
use crate::invocation::Invocation;
use crate::places::Places;

/// How long a bucket may fail before a client is told.
const PATIENCE: Duration = Duration::from_secs(5);

/// Serve repositories over HTTP at /cvmfs/NAME
#[derive(Args, Debug)]
#[command(
    after_help = "SIGTERM and Ctrl-C let transfers end first, the second time stop at once; SIGHUP reopens the \
                        access log. See docs/operate/serve.md."
)]
pub(crate) struct Serve {
    /// Only these repositories; every repository of this machine without any
    names: Vec<RepositoryName>,
    /// Where to listen; may be repeated; port 0 takes a free port
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:8000")]
    listen: Vec<SocketAddr>,
    /// Serve the children of this directory instead of the repositories of this machine
    #[arg(long, value_name = "DIRECTORY")]
    root: Option<PathBuf>,
    /// Tell clients which servers are near them, by this database of addresses in MaxMind's format
    ///
    /// The file may be replaced while it is in use.
    #[arg(long, value_name = "FILE")]
    geo_database: Option<PathBuf>,
    /// Tell the metrics at this address instead, to whoever asks
    ///
    /// Without it, /metrics is answered where repositories are served, but only to this machine itself.
    #[arg(long, value_name = "ADDRESS:PORT")]
    metrics: Option<SocketAddr>,
    /// Append a line per request to this file; - for standard output
    #[arg(long, value_name = "FILE")]
    access_log: Option<PathBuf>,
    /// What a line of the access log holds: common or combined
    #[arg(long, value_name = "FORMAT", default_value = "combined", requires = "access_log")]
    access_log_format: AccessLogFormat,
    /// Worker threads; one per core if not given
    #[arg(long, value_name = "NUMBER")]
    workers: Option<usize>,
    /// The most connections at once
    #[arg(long, value_name = "NUMBER", default_value_t = Limits::default().connections)]
    max_connections: usize,
    /// Seconds that transfers may take to end after SIGTERM
    #[arg(long, value_name = "SECONDS", default_value_t = Limits::default().grace.as_secs())]
    grace: u64,
}

impl Serve {
    pub(crate) fn run(self, invocation: &Invocation) -> Result<(), Failure> {
        let places = invocation.places()?;
        // Only the repositories of this machine have settings, which may name another directory.
        let by_settings = BySettings { places: places.clone(), aws: invocation.environment.aws() };
        let settings = || Box::new(by_settings) as Box<dyn Elsewhere>;
        let repositories = RepositoryServer::new(ServeConfig {
            elsewhere: self.root.is_none().then(settings),
            root: self.root.unwrap_or_else(|| places.repositories()),
            only: self.names.iter().cloned().collect::<BTreeSet<_>>(),
            meta: Some(places.config().join("meta.json")),
            geo: self.geo_database,
        })?;
        let limits = Limits {
            connections: self.max_connections,
            grace: Duration::from_secs(self.grace),
            ..Limits::default()
        };
        let workers = self.workers.or_else(|| thread::available_parallelism().ok().map(Into::into));
        let server = Server::bind(ServerConfig {
            listen: self.listen,
            metrics: self.metrics,
            workers: workers.unwrap_or(1),
            limits,
            tls: None,
            clock: SystemTime::now,
            signals: true,
        })?;
        let log = match &self.access_log {
            Some(path) => Some(AccessLog::start(path, self.access_log_format)?),
            None => None,
        };
        let names = repositories.names()?;
        for name in self.names.iter().filter(|name| !names.contains(name)) {
            invocation.output.warn(format!("there is no repository {} yet", name.as_str()));
        }
        for address in server.addresses() {
            invocation.output.say(format!("serving {} repositories at http://{address}/", names.len()));
        }
        if let Some(address) = server.metrics_address() {
            invocation.output.say(format!("metrics at http://{address}/metrics"));
        }
        let result = server.run(repositories, log.as_ref(), &Shutdown::new());
        if let Some(log) = log {
            log.finish();
        }
        Ok(result?)
    }
}

/// Finds the directory or the bucket that a repository's settings name.
#[derive(Debug)]
struct BySettings {
    places: Places,
    aws: AwsEnvironment,
}

impl Elsewhere for BySettings {
    fn place(&self, name: &RepositoryName) -> Option<Place> {
        let local = local::repository_in(&self.places, self.aws.clone(), name);
        let settings =
            local.read_settings().inspect_err(|error| tracing::warn!(%name, %error, "no settings"));
        match settings.ok()?.storage {
            Storage::Local => None,
            Storage::Directory(path) => Some(Place::Directory(path)),
            Storage::S3(storage) => {
                let mut config = storage
                    .config(name.as_str(), &self.aws)
                    .inspect_err(|error| tracing::warn!(%name, %error, "no credentials"))
                    .ok()?;
                // Whoever waits for an answer tries again by himself.
                config.location.patience = config.location.patience.min(PATIENCE);
                Some(Place::Bucket(config))
            }
        }
    }
}
