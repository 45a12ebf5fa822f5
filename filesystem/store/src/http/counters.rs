//! What an HTTP source counts, and where it stands. How it is shown is decided elsewhere.

use std::sync::atomic::AtomicU64;

/// Counts since the source was made, and what it uses at the moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpCounters {
    /// Requests sent, retries and hedges among them.
    pub requests: u64,
    /// Bytes of bodies received.
    pub bytes: u64,
    /// Requests sent because one before failed.
    pub retries: u64,
    /// Requests sent because one before took unusually long.
    pub hedges: u64,
    /// Those of them that were answered first.
    pub hedges_won: u64,
    /// Changes of the server or proxy that is used first.
    pub failovers: u64,
    /// The server that is asked first.
    pub server: String,
    /// The proxy that is used first, `DIRECT` for none.
    pub proxy: String,
    /// All servers.
    pub servers: Vec<String>,
    /// All proxies, by group.
    pub proxies: Vec<Vec<String>>,
}

#[derive(Default)]
pub(super) struct Counts {
    pub(super) requests: AtomicU64,
    pub(super) bytes: AtomicU64,
    pub(super) retries: AtomicU64,
    pub(super) hedges: AtomicU64,
    pub(super) hedges_won: AtomicU64,
}
