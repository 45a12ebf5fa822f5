//! How long a client may take and how many there may be.

use std::time::Duration;

/// What a server bears with before it closes a connection.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Connections at once. Further ones wait to be accepted; lowered to what the limit of open files allows.
    pub connections: usize,
    /// From the first byte of a request, or from the connection's begin, to the end of its header.
    pub header: Duration,
    /// Between the end of a response and the next request. A quarter of it when nearly all connections are taken.
    pub idle: Duration,
    /// Without a single byte taken by a client that has a response to read.
    pub stalled: Duration,
    /// For transfers under way after shutdown began.
    pub grace: Duration,
    /// Requests at once on one HTTP/2 connection.
    pub streams: u32,
    /// Bytes of a request's header.
    pub header_bytes: usize,
    /// Bytes of what comes behind a request's header, where anything is taken.
    pub body_bytes: u64,
    /// From a request's header to the end of what comes behind it.
    pub body: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 10_000,
            header: Duration::from_secs(10),
            idle: Duration::from_secs(75),
            stalled: Duration::from_secs(60),
            grace: Duration::from_secs(30),
            streams: 128,
            header_bytes: 16 * 1024,
            body_bytes: 2 << 20,
            body: Duration::from_secs(30),
        }
    }
}
