//! `varve hub` itself: one process with everything.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use clap::Args;
use varve_chassis::db::{Database, DatabaseConfig};
use varve_chassis::{AccessLog, AccessLogFormat, Limits, Server, ServerConfig, Shutdown, Tls, TlsError};
use varve_portal::accounts::SignUpPolicy;
use varve_portal::{Hub, HubConfig, SCHEMA, web};

use super::place::Place;
use crate::exit_code::ExitCode;
use crate::failure::Failure;
use crate::invocation::Invocation;

/// How long a request waits for a database that is away.
const PATIENCE: Duration = Duration::from_secs(10);
/// Threads that wait for the database.
const DATABASE_THREADS: usize = 8;

#[derive(Args, Debug)]
pub(super) struct Start {
    /// Where to listen; may be repeated; port 0 takes a free port
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:8080")]
    listen: Vec<SocketAddr>,
    /// Where browsers and machines find the hub, if that is not where it listens: `https://hub.example.org`
    #[arg(long, value_name = "URL")]
    address: Option<String>,
    #[command(flatten)]
    place: Place,
    /// Who may make an account: open (everybody), invitation or closed
    #[arg(long, value_name = "POLICY", default_value = "invitation")]
    sign_up: SignUpPolicy,
    /// The certificate for TLS, with those that vouch for it, in PEM
    #[arg(long, value_name = "FILE", requires = "key")]
    certificate: Option<PathBuf>,
    /// Its key
    #[arg(long, value_name = "FILE", requires = "certificate")]
    key: Option<PathBuf>,
    /// TLS with a certificate of the hub's own, made at the first start for localhost and the address
    #[arg(long, conflicts_with = "certificate")]
    self_signed: bool,
    /// Believe the last X-Forwarded-For: the hub can be reached through a proxy only
    #[arg(long)]
    behind_proxy: bool,
    /// Tell the metrics at this address instead, to whoever asks
    #[arg(long, value_name = "ADDRESS:PORT")]
    metrics: Option<SocketAddr>,
    /// Append a line per request to this file; - for standard output
    #[arg(long, value_name = "FILE")]
    access_log: Option<PathBuf>,
    /// Seconds that requests may take to end after SIGTERM
    #[arg(long, value_name = "SECONDS", default_value_t = Limits::default().grace.as_secs())]
    grace: u64,
}

impl Start {
    pub(super) fn run(self, invocation: &Invocation) -> Result<(), Failure> {
        let location = self.place.location(invocation)?;
        let tls = self.tls(invocation)?;
        let config = DatabaseConfig { location, threads: DATABASE_THREADS, patience: PATIENCE };
        let database = Database::open(&config, &[SCHEMA])?;
        let workers = thread::available_parallelism().map_or(1, Into::into);
        let server = Server::bind(ServerConfig {
            listen: self.listen.clone(),
            metrics: self.metrics,
            workers,
            limits: Limits {
                grace: Duration::from_secs(self.grace),
                body_bytes: web::MOST_BODY as u64,
                ..Limits::default()
            },
            tls: tls.clone(),
            clock: SystemTime::now,
            signals: true,
        })?;
        let scheme = if tls.is_some() { "https" } else { "http" };
        let listening = server.addresses();
        let first = listening.first().map(|address| format!("{scheme}://{address}")).unwrap_or_default();
        let address =
            self.address.as_deref().map_or(first, |address| address.trim_end_matches('/').to_owned());
        if !address.starts_with("http://") && !address.starts_with("https://") {
            return Err(Failure::usage(format!(
                "the address {address:?} begins with neither http:// nor https://"
            )));
        }
        let hub = Hub::new(
            HubConfig {
                address: address.clone(),
                sign_up: self.sign_up,
                behind_proxy: self.behind_proxy,
                clock: SystemTime::now,
            },
            database,
            Instant::now(),
        );
        let shutdown = Shutdown::new();
        let caretaker = Caretaker::start(&hub, &shutdown)?;
        let log = match &self.access_log {
            Some(path) => Some(AccessLog::start(path, AccessLogFormat::Combined)?),
            None => None,
        };
        let output = &invocation.output;
        output.say(format_args!("the hub is at {address}/ with the database {}", config.location));
        if tls.is_none() && listening.iter().any(|address| !address.ip().is_loopback()) && !self.behind_proxy
        {
            output.warn(
                "without TLS everybody on the way reads passwords: --self-signed or --certificate encrypts",
            );
        }
        if let Some(tls) = &tls {
            output.say(format_args!("the SHA-256 of its certificate is {}", tls.fingerprint()));
        }
        if let Some(code) = caretaker.first_code {
            output.say(format_args!("make the first account at {address}/sign-up?code={code}"));
        }
        let result = server.run(web::router(&hub), log.as_ref(), &shutdown);
        // Whatever ended the server ends what looks after the hub.
        shutdown.begin();
        let _ = caretaker.thread.join();
        if let Some(log) = log {
            log.finish();
        }
        Ok(result?)
    }

    fn tls(&self, invocation: &Invocation) -> Result<Option<Tls>, Failure> {
        let unusable = |error: TlsError| Failure::usage_error(error);
        if let (Some(certificate), Some(key)) = (&self.certificate, &self.key) {
            return Tls::from_files(certificate, key).map(Some).map_err(unusable);
        }
        if !self.self_signed {
            return Ok(None);
        }
        let mut names = vec!["localhost".to_owned(), "127.0.0.1".to_owned(), "::1".to_owned()];
        names.extend(
            self.listen
                .iter()
                .filter(|address| !address.ip().is_unspecified())
                .map(|address| address.ip().to_string()),
        );
        let host =
            self.address.as_deref().and_then(|address| address.split_once("://")).map(|(_, host)| host);
        names.extend(host.and_then(|host| host.split(['/', ':']).next()).map(str::to_owned));
        names.sort();
        names.dedup();
        let directory = invocation.places()?.hub().to_owned();
        let (certificate, key) = (directory.join("hub.crt"), directory.join("hub.key"));
        Tls::self_signed(&certificate, &key, &names).map(Some).map_err(unusable)
    }
}

/// The thread that looks after the hub while it runs.
struct Caretaker {
    thread: thread::JoinHandle<()>,
    first_code: Option<String>,
}

impl Caretaker {
    fn start(hub: &Hub, shutdown: &Shutdown) -> Result<Self, Failure> {
        let failed = |error: std::io::Error| Failure::new(ExitCode::Failure, error);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(failed)?;
        let code = runtime.block_on(hub.first_code())?;
        let (hub, shutdown) = (hub.clone(), shutdown.clone());
        let thread = thread::Builder::new().name("hub".to_owned()).spawn(move || {
            runtime.block_on(async {
                tokio::select! {
                    () = hub.look_after() => {}
                    () = shutdown.begun() => hub.end_waiting(),
                }
            });
        });
        Ok(Self { thread: thread.map_err(failed)?, first_code: code.map(|code| code.as_str().to_owned()) })
    }
}
