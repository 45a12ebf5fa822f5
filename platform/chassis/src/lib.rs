//! What every server and long-running command of Varve stands on. It knows nothing of repositories.
//!
//! - [`Server`]: listens, accepts, spreads connections over one thread per core, cuts off who is too slow, drains and
//!   stops. It asks a [`Handler`] for a response whose [`Body`] lies in memory, in a file, or comes
//!   piece by piece for as long as somebody has some.
//! - [`AccessLog`]: a line per request, written beside the requests' way.
//! - [`Metrics`]: every number that Varve's servers count, in one place.
//! - [`Shutdown`]: how a process is told to come to an end.
//! - [`logging`]: what is said on standard error, and how much of it.
//!
//! Invariants: no client can hold a thread; every wait for a client ends at a limit of [`Limits`]; what is logged or
//! counted never blocks a response.

mod access_log;
mod activity;
mod body;
mod connection;
mod exchange;
mod file_body;
mod limits;
pub mod logging;
mod metrics;
mod pieces;
mod server;
mod shutdown;
mod stream;

pub use access_log::{AccessLog, AccessLogError, AccessLogFormat};
pub use body::Body;
pub use file_body::FileBody;
pub use limits::Limits;
pub use metrics::{METRICS, Metric, MetricKind, Metrics};
pub use pieces::{NotTaken, PieceSender};
pub use server::{Handler, Server, ServerConfig, ServerError};
pub use shutdown::Shutdown;
