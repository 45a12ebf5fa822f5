//! What every server and long-running command of Varve stands on. It knows nothing of repositories.
//!
//! - [`Server`]: listens, accepts, spreads connections over one thread per core, cuts off who is too slow, drains and
//!   stops. It asks a [`Handler`] for a response whose [`Body`] lies in memory, in a file, or comes
//!   piece by piece for as long as somebody has some.
//! - A router of axum's is such a handler; [`Peer`] tells it whom it answers. [`RateLimit`] bounds how often somebody tries
//!   something; [`Tls`] encrypts.
//! - [`AccessLog`]: a line per request, written beside the requests' way.
//! - [`Metrics`]: every number that Varve's servers count, in one place.
//! - [`db`]: the database of services, SQLite or PostgreSQL.
//! - [`Shutdown`]: how a process is told to come to an end.
//! - [`logging`]: what is said on standard error, and how much of it.
//!
//! Invariants: no client can hold a thread; every wait for a client ends at a limit of [`Limits`]; what is logged or
//! counted never blocks a response.

mod access_log;
mod activity;
mod body;
mod connection;
pub mod db;
mod exchange;
mod file_body;
mod limits;
pub mod logging;
mod metrics;
mod pieces;
mod rate_limit;
mod request_body;
mod routes;
mod server;
mod shutdown;
mod stream;
mod tls;

pub use access_log::{AccessLog, AccessLogError, AccessLogFormat};
pub use body::Body;
pub use file_body::FileBody;
pub use limits::Limits;
pub use metrics::{METRICS, Metric, MetricKind, Metrics};
pub use pieces::{NotTaken, PieceSender};
pub use rate_limit::{Rate, RateLimit, TooMany};
pub use request_body::{RequestBody, RequestBodyError};
pub use routes::Peer;
pub use server::{Handler, Server, ServerConfig, ServerError};
pub use shutdown::Shutdown;
pub use tls::{Tls, TlsError};
