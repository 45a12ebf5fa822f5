//! Objects and files from web servers: mirrors, proxies, fail-over, deadlines. What is fetched is checked against its
//! hash as it comes; it is not decompressed and not kept, see [`crate::Cache`].
//!
//! The caller's thread makes the request and takes the body. Who wants an object that is on its way already gets the same bytes. Locks are held only to look at the routes, never
//! over the network.
//!
//! | file | owns |
//! |---|---|
//! | config | lists of servers and proxies, times |
//! | routes | which server and proxy are good, for all requests and for one |
//! | pursuit | the order in which one thing is tried, and what a failure means |
//! | exchange | one request and its answer |
//! | hedge | when the same is asked over a second route at the same time |
//! | external | files that are not named by their hash, but checked against it |
//! | announcements | servers that tell by themselves that a repository has changed |
//! | nearby | which servers are near, as one of them tells |
//! | batches | many small objects with one request, or with several at a time |
//! | clients, engine | the library's clients, what drives their connections |

mod announcements;
mod batches;
mod clients;
mod config;
mod counters;
mod engine;
mod exchange;
mod external;
mod hedge;
mod nearby;
mod pursuit;
mod routes;

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use bytes::Bytes;
use varve_content::ObjectName;

use self::batches::BatchSupport;
use self::counters::Counts;
use self::engine::Engine;
#[cfg(feature = "s3")]
pub(crate) use self::engine::EventLoop;
use self::hedge::Hedging;
use self::pursuit::{Pursuit, Receiver, Wanted};
use self::routes::{Route, Routes};
use crate::flight::Flights;
use crate::{Deadline, Freshness, ObjectSink, ObjectSource, RepositoryFile, StoreError};

pub use self::announcements::{Announcement, Announcements};
pub use self::config::{HttpConfig, HttpConfigError, Proxy, ProxyGroups, ServerUrl};
pub use self::counters::HttpCounters;
pub use self::external::ExternalFile;
pub use self::nearby::{NearbyError, nearest_first};

/// The most bytes of an object that are shared with others who want it; what is larger they fetch themselves.
const SHARED: usize = 16 << 20;

/// A repository on web servers.
///
/// Its calls block, and must come from plain threads, not from those of an async runtime.
pub struct HttpSource {
    config: HttpConfig,
    routes: Routes,
    counts: Counts,
    hedging: Hedging,
    batch_support: BatchSupport,
    flights: Flights<(ObjectName, u64), Option<Arc<Vec<Bytes>>>>,
    engine: Engine,
    /// All proxies, in the order of the routes.
    proxies: Vec<Proxy>,
}

impl HttpSource {
    /// Sets up connections, but makes none.
    ///
    /// # Errors
    /// [`HttpConfigError`] for a bad certificate, a system without certificates where they are needed, or no threads.
    pub fn new(config: HttpConfig) -> Result<Self, HttpConfigError> {
        if config.servers.is_empty() {
            return Err(HttpConfigError::NoServer);
        }
        let routes = Routes::new(&config);
        let proxies: Vec<Proxy> = routes.proxies().cloned().collect();
        Ok(Self {
            engine: Engine::new(&config, &proxies)?,
            config,
            proxies,
            routes,
            counts: Counts::default(),
            hedging: Hedging::default(),
            batch_support: BatchSupport::default(),
            flights: Flights::new(),
        })
    }

    /// What has been counted, and which server and proxy are used.
    pub fn counters(&self) -> HttpCounters {
        let current = self.routes.current();
        HttpCounters {
            requests: self.counts.requests.load(Relaxed),
            bytes: self.counts.bytes.load(Relaxed),
            retries: self.counts.retries.load(Relaxed),
            hedges: self.counts.hedges.load(Relaxed),
            hedges_won: self.counts.hedges_won.load(Relaxed),
            failovers: self.routes.failovers(),
            server: self.routes.servers()[current.server].to_string(),
            proxy: self.routes.proxy(current).to_string(),
            servers: self.config.servers.iter().map(ServerUrl::to_string).collect(),
            proxies: (self.config.proxies.groups().iter())
                .map(|group| group.iter().map(Proxy::to_string).collect())
                .collect(),
        }
    }

    fn pursue(
        &self,
        wanted: &Wanted<'_>,
        receiver: &mut dyn Receiver,
        deadline: Deadline,
    ) -> Result<(), StoreError> {
        let pursued = self.engine.run(&self.config, &self.proxies, async |clients| {
            Pursuit::new(self, clients, wanted, receiver, deadline).run().await
        });
        pursued.unwrap_or_else(|error| {
            // Out of file descriptors, as a rule.
            let (name, place) = (wanted.name.to_string(), self.place());
            Err(StoreError::Transport { name, place, reason: error.to_string() })
        })
    }

    /// A route for messages.
    fn place_of(&self, route: Route) -> String {
        let server = &self.routes.servers()[route.server];
        match self.routes.proxy(route) {
            Proxy::Direct => server.to_string(),
            Proxy::Through(proxy) => format!("{server} through {proxy}"),
        }
    }

    /// All servers for messages.
    fn all_servers(&self) -> String {
        self.routes.servers().iter().map(ServerUrl::as_str).collect::<Vec<_>>().join(", ")
    }
}

impl ObjectSource for HttpSource {
    fn fetch(
        &self,
        name: &ObjectName,
        limit: u64,
        sink: &mut dyn ObjectSink,
        deadline: Deadline,
    ) -> Result<(), StoreError> {
        let timed_out = || StoreError::TimedOut { name: name.to_string(), place: self.place() };
        let wanted = Wanted {
            name,
            path: format!("/data/{}", name.path()),
            part: None,
            hash: Some(name.hash),
            limit,
            revalidate: false,
            optional: false,
        };
        let fetch_here = |sink: &mut dyn ObjectSink| {
            let mut receiver = Sharing { sink, pieces: Some(Vec::new()), size: 0 };
            self.pursue(&wanted, &mut receiver, deadline)?;
            Ok(receiver.pieces.map(Arc::new))
        };
        let mut fetched_here = None;
        let shared =
            self.flights.run(&(*name, limit), deadline, &timed_out, || match fetch_here(&mut *sink) {
                Ok(pieces) => {
                    fetched_here = Some(Ok(()));
                    Ok(pieces)
                }
                // This thread's own sink failed, which is nobody else's matter.
                Err(error @ StoreError::Io { .. }) => {
                    fetched_here = Some(Err(error));
                    Ok(None)
                }
                Err(error) => Err(error),
            })?;
        if let Some(result) = fetched_here {
            return result;
        }
        match shared {
            Some(pieces) => pieces
                .iter()
                .try_for_each(|piece| sink.write(piece))
                .map_err(|source| StoreError::Io { action: "pass on", path: name.to_string(), source }),
            None => fetch_here(sink).map(|_| ()),
        }
    }

    fn fetch_file(
        &self,
        file: RepositoryFile,
        freshness: Freshness,
        deadline: Deadline,
    ) -> Result<Vec<u8>, StoreError> {
        let ask = |path: String| {
            let wanted = Wanted {
                name: &file,
                path,
                part: None,
                hash: None,
                limit: file.limit(),
                revalidate: freshness == Freshness::Revalidated,
                optional: false,
            };
            let mut bytes = Vec::new();
            self.pursue(&wanted, &mut bytes, deadline)?;
            Ok(bytes)
        };
        match ask(format!("/{}", file.name())) {
            // A server may have it only where the original's clients look for it.
            Err(StoreError::NotFound { .. }) if file == RepositoryFile::WhitelistPkcs7 => {
                ask(RepositoryFile::GLUED_WHITELIST_PKCS7.to_owned())
            }
            answer => answer,
        }
    }

    fn fetch_batch(
        &self,
        wanted: &[(ObjectName, u64)],
        deadline: Deadline,
    ) -> Vec<Result<Vec<u8>, StoreError>> {
        batches::fetch(self, wanted, deadline)
    }

    fn mirrors(&self) -> usize {
        self.routes.servers().len()
    }

    fn leave_mirror(&self) {
        self.routes.server_failed(self.routes.current().server);
    }

    fn place(&self) -> String {
        self.place_of(self.routes.current())
    }
}

/// Passes bytes on and keeps hold of them for others, which copies nothing.
struct Sharing<'a> {
    sink: &'a mut dyn ObjectSink,
    pieces: Option<Vec<Bytes>>,
    size: usize,
}

impl Receiver for Sharing<'_> {
    fn restart(&mut self) -> io::Result<()> {
        self.pieces = Some(Vec::new());
        self.size = 0;
        self.sink.restart()
    }

    fn take(&mut self, bytes: Bytes) -> io::Result<()> {
        self.sink.write(&bytes)?;
        self.size += bytes.len();
        if self.size > SHARED {
            self.pieces = None;
        } else if let Some(pieces) = &mut self.pieces {
            pieces.push(bytes);
        }
        Ok(())
    }
}

impl Receiver for Vec<u8> {
    fn restart(&mut self) -> io::Result<()> {
        self.clear();
        Ok(())
    }

    fn take(&mut self, bytes: Bytes) -> io::Result<()> {
        self.extend_from_slice(&bytes);
        Ok(())
    }
}
