//! Where hosts are: names looked up, a few at a time, for a short while, and remembered.

use std::net::IpAddr;
use std::num::NonZeroUsize;
use std::time::{Duration, Instant};

use lru::LruCache;
use parking_lot::Mutex;
use tokio::net::lookup_host;
use tokio::sync::Semaphore;
use tokio::time::timeout;

/// The longest that a question waits for a name.
const PATIENCE: Duration = Duration::from_secs(3);

/// How long an answer is remembered, whatever it was.
const KEPT: Duration = Duration::from_secs(300);

/// How many answers are remembered.
const MOST_KEPT: NonZeroUsize = NonZeroUsize::new(4096).expect("because it is not zero");

/// How many names are looked up at a time: anybody may ask for any name.
const AT_A_TIME: usize = 16;

/// The addresses of hosts.
#[derive(Debug)]
pub(crate) struct Hosts {
    known: Mutex<LruCache<String, (Instant, Option<IpAddr>)>>,
    looking: Semaphore,
}

impl Default for Hosts {
    fn default() -> Self {
        Self { known: Mutex::new(LruCache::new(MOST_KEPT)), looking: Semaphore::new(AT_A_TIME) }
    }
}

impl Hosts {
    /// The first address of a host, by its name or its address, with or without a port.
    pub(crate) async fn address(&self, host: &str) -> Option<IpAddr> {
        let name = without_port(host);
        if let Ok(address) = name.trim_matches(['[', ']']).parse() {
            return Some(address);
        }
        let kept = self.known.lock().get(name).filter(|(since, _)| since.elapsed() < KEPT).copied();
        if let Some((_, address)) = kept {
            return address;
        }
        let found = timeout(PATIENCE, async {
            let _turn = self.looking.acquire().await.ok()?;
            lookup_host((name, 80)).await.ok()?.next().map(|address| address.ip())
        });
        let address = found.await.ok().flatten();
        self.known.lock().put(name.to_owned(), (Instant::now(), address));
        address
    }
}

fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port)) if !name.contains(':') || name.ends_with(']') => {
            if port.bytes().all(|byte| byte.is_ascii_digit()) { name } else { host }
        }
        _ => host,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_are_left_out() {
        for (host, name) in [
            ("a", "a"),
            ("a:80", "a"),
            ("[::1]:80", "[::1]"),
            ("[::1]", "[::1]"),
            ("fe80::1", "fe80::1"),
            ("1.2.3.4:8", "1.2.3.4"),
        ] {
            assert_eq!(without_port(host), name, "{host}");
        }
    }
}
