//! Files of mirrors, over HTTP or from a directory of this machine: bounded, tried again, resumed. What the bytes should
//! be is not known here: whoever takes them checks.

use std::fs::File;
use std::future::Future;
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::sync::OnceLock;
use std::time::Duration;

use reqwest::header::{CONTENT_RANGE, RANGE};
use reqwest::{Client, Response, StatusCode};
use tokio::runtime::Runtime;
use tokio::time::{sleep, timeout};

use crate::location::{MirrorUrl, PackagePath};

/// How files are fetched.
#[derive(Clone, Debug)]
pub struct TransferConfig {
    /// What servers are told.
    pub user_agent: String,
    /// A proxy for everything that isn't a file of this machine.
    pub proxy: Option<String>,
    /// How long the other side may be silent.
    pub patience: Duration,
    /// How often a file is asked for before its mirror counts as broken.
    pub attempts: u32,
    /// How many files are fetched at once.
    pub parallel: usize,
}

/// The way to the mirrors.
#[derive(Debug)]
pub struct Transfers {
    config: TransferConfig,
    runtime: Runtime,
    plain: OnceLock<Result<Client, String>>,
    encrypted: OnceLock<Result<Client, String>>,
}

/// A file that did not come.
#[derive(Debug, thiserror::Error)]
pub enum TransferError {
    /// The mirror definitely does not have it.
    #[error("{address} does not exist")]
    Absent {
        /// What was asked for.
        address: String,
    },
    /// More came than the file can have.
    #[error("{address} has more than the {limit} bytes that it can have")]
    TooLarge {
        /// What was asked for.
        address: String,
        /// The most bytes.
        limit: u64,
    },
    /// The mirror, or the way to it, failed as often as it was tried.
    #[error("{address} cannot be fetched: {reason}")]
    Broken {
        /// What was asked for.
        address: String,
        /// What happened last.
        reason: String,
    },
    /// A directory of this machine, or what takes the bytes, failed.
    #[error("cannot copy {address}")]
    Io {
        /// What was asked for.
        address: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// There can be no connections at all.
    #[error("cannot open connections: {reason}")]
    Client {
        /// Why.
        reason: String,
    },
}

impl TransferError {
    /// Whether the mirror said that there is no such file.
    #[must_use]
    pub fn is_absence(&self) -> bool {
        matches!(self, Self::Absent { .. })
    }
}

/// What takes the bytes of a file.
pub(crate) trait Sink {
    /// How many it has already; the rest is asked for.
    fn position(&self) -> u64;
    /// The next ones.
    fn take(&mut self, bytes: &[u8]) -> io::Result<()>;
    /// Forgets what it has.
    fn restart(&mut self) -> io::Result<()>;
}

impl Sink for Vec<u8> {
    fn position(&self) -> u64 {
        self.len() as u64
    }

    fn take(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.extend_from_slice(bytes);
        Ok(())
    }

    fn restart(&mut self) -> io::Result<()> {
        self.clear();
        Ok(())
    }
}

/// Before the second attempt; doubled before each further one.
const FIRST_PAUSE: Duration = Duration::from_millis(200);

const PIECE: usize = 256 << 10;

/// Why one attempt failed.
enum Failure {
    Final(TransferError),
    Passing(String),
}

impl Transfers {
    /// Opens no connection yet.
    ///
    /// # Errors
    /// If the system has no threads or descriptors left.
    pub fn new(config: TransferConfig) -> Result<Self, TransferError> {
        // Fails if the program has chosen a provider already, which is as good.
        let _chosen = rustls::crypto::ring::default_provider().install_default();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| TransferError::Client { reason: error.to_string() })?;
        Ok(Self { config, runtime, plain: OnceLock::new(), encrypted: OnceLock::new() })
    }

    /// A small file as a whole.
    ///
    /// # Errors
    /// If it doesn't come, or has more than `limit` bytes.
    pub fn fetch(
        &self,
        mirror: &MirrorUrl,
        path: &PackagePath,
        limit: u64,
    ) -> Result<Vec<u8>, TransferError> {
        let mut bytes = Vec::new();
        self.wait(self.copy(mirror, path, limit, &mut bytes))?;
        Ok(bytes)
    }

    /// How many files are fetched at once.
    pub(crate) fn parallel(&self) -> usize {
        self.config.parallel.max(1)
    }

    /// Runs transfers to their end.
    pub(crate) fn wait<T>(&self, transfers: impl Future<Output = T>) -> T {
        self.runtime.block_on(transfers)
    }

    /// Copies what the sink lacks of a file of at most `limit` bytes.
    pub(crate) async fn copy(
        &self,
        mirror: &MirrorUrl,
        path: &PackagePath,
        limit: u64,
        sink: &mut impl Sink,
    ) -> Result<(), TransferError> {
        if let Some(directory) = mirror.directory() {
            let file = directory.join(path.as_str());
            let address = format!("file://{}", file.display());
            return match copy_file(&file, limit, sink) {
                Ok(true) => Ok(()),
                Ok(false) => Err(TransferError::TooLarge { address, limit }),
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    Err(TransferError::Absent { address })
                }
                Err(source) => Err(TransferError::Io { address, source }),
            };
        }
        let address = mirror.join(path);
        let mut pause = FIRST_PAUSE;
        let mut reason = String::new();
        for attempt in 0..self.config.attempts.max(1) {
            if attempt > 0 {
                tracing::debug!(address, reason, "trying again");
                sleep(pause).await;
                pause *= 2;
            }
            match self.attempt(&address, limit, sink).await {
                Ok(()) => return Ok(()),
                Err(Failure::Final(error)) => return Err(error),
                Err(Failure::Passing(why)) => reason = why,
            }
        }
        Err(TransferError::Broken { address, reason })
    }

    async fn attempt(&self, address: &str, limit: u64, sink: &mut impl Sink) -> Result<(), Failure> {
        let failed = |source| Failure::Final(TransferError::Io { address: address.to_owned(), source });
        let too_large = || Failure::Final(TransferError::TooLarge { address: address.to_owned(), limit });
        let mut position = sink.position();
        if position >= limit && limit > 0 {
            return Ok(());
        }
        let mut request = self.client(address)?.get(address);
        if position > 0 {
            request = request.header(RANGE, format!("bytes={position}-{}", limit - 1));
        }
        let answer = timeout(self.config.patience, request.send());
        let response =
            answer.await.map_err(|_| self.silent())?.map_err(|error| Failure::Passing(words(&error)))?;
        match response.status() {
            StatusCode::PARTIAL_CONTENT if begins_at(&response, position) => {}
            StatusCode::OK if position == 0 => {}
            // The whole came although only the rest was asked for.
            StatusCode::OK => {
                sink.restart().map_err(failed)?;
                position = 0;
            }
            StatusCode::NOT_FOUND | StatusCode::GONE => {
                return Err(Failure::Final(TransferError::Absent { address: address.to_owned() }));
            }
            status @ (StatusCode::RANGE_NOT_SATISFIABLE | StatusCode::PARTIAL_CONTENT) => {
                sink.restart().map_err(failed)?;
                return Err(Failure::Passing(format!("the server answered '{status}'")));
            }
            status => return Err(Failure::Passing(format!("the server answered '{status}'"))),
        }
        let announced = response.content_length();
        if announced.is_some_and(|announced| announced > limit - position.min(limit)) {
            return Err(too_large());
        }
        let mut response = response;
        loop {
            let piece = timeout(self.config.patience, response.chunk()).await.map_err(|_| self.silent())?;
            let Some(piece) = piece.map_err(|error| Failure::Passing(words(&error)))? else { return Ok(()) };
            if sink.position() + piece.len() as u64 > limit {
                return Err(too_large());
            }
            sink.take(&piece).map_err(failed)?;
        }
    }

    fn silent(&self) -> Failure {
        Failure::Passing(format!("nothing came for {} s", self.config.patience.as_secs()))
    }

    fn client(&self, address: &str) -> Result<&Client, Failure> {
        // The system's certificates take time to load and may be missing where nothing is encrypted.
        let encrypted = |address: &str| address.starts_with("https:");
        let needed = encrypted(address) || self.config.proxy.as_deref().is_some_and(encrypted);
        let (client, encrypted) = if needed { (&self.encrypted, true) } else { (&self.plain, false) };
        let client = client.get_or_init(|| self.build(encrypted).map_err(|error| words(&error)));
        client.as_ref().map_err(|reason| Failure::Final(TransferError::Client { reason: reason.clone() }))
    }

    fn build(&self, encrypted: bool) -> Result<Client, reqwest::Error> {
        let builder =
            Client::builder().user_agent(&self.config.user_agent).connect_timeout(self.config.patience);
        let builder = match &self.config.proxy {
            Some(proxy) => builder.proxy(reqwest::Proxy::all(proxy)?),
            None => builder.no_proxy(),
        };
        if encrypted { builder.build() } else { builder.tls_certs_only([]).build() }
    }
}

/// Whether there were at most `limit` bytes.
fn copy_file(path: &std::path::Path, limit: u64, sink: &mut impl Sink) -> io::Result<bool> {
    let mut file = File::open(path)?;
    if file.metadata()?.len() > limit {
        return Ok(false);
    }
    file.seek(SeekFrom::Start(sink.position()))?;
    let mut file = file.take(limit + 1 - sink.position().min(limit));
    let mut piece = vec![0; PIECE];
    loop {
        match file.read(&mut piece)? {
            0 => return Ok(true),
            _ if sink.position() >= limit => return Ok(false),
            size => sink.take(&piece[..size])?,
        }
    }
}

fn begins_at(response: &Response, position: u64) -> bool {
    let range = response.headers().get(CONTENT_RANGE).and_then(|range| range.to_str().ok());
    range.is_some_and(|range| range.starts_with(&format!("bytes {position}-")))
}

/// The innermost cause: the outer ones repeat the address.
fn words(error: &reqwest::Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    cause.to_string()
}
