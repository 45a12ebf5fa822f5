//! Listens to the announcements of servers: they say at once that a repository shows another revision.
//!
//! What is heard is not trusted, it only says that asking is worth while. A server that announces nothing is asked again
//! much later, a connection that was lost is made again after a pause; whoever relies on announcements asks now and then
//! nevertheless.

use std::time::Duration;

use rand::Rng as _;
use reqwest::Client;
use reqwest::header::{ACCEPT, CONTENT_TYPE, HeaderValue};
use tokio::runtime::{Builder, Runtime};
use tokio::time::{sleep, timeout};

use super::clients;
use super::config::{HttpConfig, HttpConfigError};

/// A server that keeps silent for longer has gone: it is to say something every 15 seconds.
const SILENCE: Duration = Duration::from_secs(45);

/// How long no server is asked again after none of them offered announcements.
const NOT_OFFERED: Duration = Duration::from_secs(1800);

/// The first pause after a loss; doubled for each further one,
const FIRST_PAUSE: Duration = Duration::from_millis(500);

/// up to this.
const LONGEST_PAUSE: Duration = Duration::from_secs(300);

/// The most bytes of one event.
const EVENT_LIMIT: usize = 4096;

/// What a server says that it shows. Nothing of it is verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Announcement {
    /// The revision.
    pub revision: u64,
    /// The hash of its root catalog, as text.
    pub root_catalog: String,
}

/// Listens to any number of repositories until it is dropped, one connection for each.
pub struct Announcements(Option<Runtime>);

impl Announcements {
    /// What a listener asks for, below the repository's address.
    pub const ADDRESS: &str = "api/v1/events";

    /// Listens to nothing yet.
    ///
    /// # Errors
    /// [`HttpConfigError::Threads`] if no thread can be started.
    pub fn new() -> Result<Self, HttpConfigError> {
        let builder = &mut Builder::new_multi_thread();
        let runtime = builder.worker_threads(1).thread_name("listen").enable_all().build();
        Ok(Self(Some(runtime.map_err(HttpConfigError::Threads)?)))
    }

    /// Listens to the repository that these servers have, through the first proxy if there are some. `notify` is called for
    /// every announcement, also for the one that a server begins with; it must not block.
    ///
    /// # Errors
    /// [`HttpConfigError`] if connections can't be set up.
    pub fn listen(
        &self,
        config: &HttpConfig,
        notify: impl Fn(Announcement) + Send + Sync + 'static,
    ) -> Result<(), HttpConfigError> {
        let proxy: Vec<_> = config.proxies.groups().iter().flatten().take(1).cloned().collect();
        let client = clients::build(config, &proxy)?.into_iter().next().ok_or(HttpConfigError::NoServer)?;
        let addresses: Vec<String> =
            config.servers.iter().map(|server| format!("{server}/{}", Self::ADDRESS)).collect();
        if let Some(runtime) = &self.0 {
            runtime.spawn(async move { keep_listening(&client, &addresses, &notify).await });
        }
        Ok(())
    }
}

impl Drop for Announcements {
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}

/// Why a server is not listened to any more.
enum Ended {
    /// It does not announce.
    NotOffered,
    /// It did, for a while.
    Lost,
    /// It was not reached.
    Unreachable,
}

async fn keep_listening(
    client: &Client,
    addresses: &[String],
    notify: &(dyn Fn(Announcement) + Send + Sync),
) {
    let (mut failures, mut without) = (0_u32, 0);
    let mut at = 0;
    loop {
        match listen_once(client, &addresses[at], notify).await {
            Ended::NotOffered => {
                without += 1;
                at = (at + 1) % addresses.len();
                if without >= addresses.len() {
                    without = 0;
                    sleep(NOT_OFFERED).await;
                }
                continue;
            }
            Ended::Lost => failures = 0,
            Ended::Unreachable => at = (at + 1) % addresses.len(),
        }
        without = 0;
        let longest = FIRST_PAUSE.saturating_mul(2_u32.saturating_pow(failures)).min(LONGEST_PAUSE);
        failures = failures.saturating_add(1);
        // Many listeners that lost their server at once don't come back at once.
        let pause = longest.mul_f64(rand::thread_rng().gen_range(0.5..=1.0));
        sleep(pause).await;
    }
}

async fn listen_once(client: &Client, address: &str, notify: &(dyn Fn(Announcement) + Send + Sync)) -> Ended {
    let asked = client.get(address).header(ACCEPT, HeaderValue::from_static("text/event-stream")).send();
    let Ok(Ok(mut response)) = timeout(SILENCE, asked).await else { return Ended::Unreachable };
    let kind = response.headers().get(CONTENT_TYPE);
    let is_stream = kind.is_some_and(|kind| kind.as_bytes().starts_with(b"text/event-stream"));
    if response.status().is_server_error() {
        return Ended::Unreachable;
    }
    if !response.status().is_success() || !is_stream {
        return Ended::NotOffered;
    }
    let mut lines = Lines::default();
    while let Ok(Ok(Some(piece))) = timeout(SILENCE, response.chunk()).await {
        for announcement in lines.take(&piece) {
            notify(announcement);
        }
    }
    Ended::Lost
}

/// The lines of a stream of events, of which only `data: REVISION HASH` means something.
#[derive(Default)]
struct Lines(Vec<u8>);

impl Lines {
    fn take(&mut self, piece: &[u8]) -> Vec<Announcement> {
        let mut heard = Vec::new();
        for &byte in piece {
            if byte == b'\n' {
                heard.extend(announcement(&self.0));
                self.0.clear();
            } else if self.0.len() < EVENT_LIMIT {
                self.0.push(byte);
            }
        }
        heard
    }
}

fn announcement(line: &[u8]) -> Option<Announcement> {
    let text = std::str::from_utf8(line).ok()?.strip_prefix("data:")?;
    let (revision, root_catalog) = text.trim().split_once(' ')?;
    Some(Announcement { revision: revision.parse().ok()?, root_catalog: root_catalog.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_read_however_they_are_cut() {
        let stream = b"retry: 5000\nevent: revision\ndata: 7 abc\n\n:\n\ndata: x y\ndata: 8 def-rmd160\r\n\n";
        let expected = [(7, "abc"), (8, "def-rmd160")]
            .map(|(revision, root_catalog)| Announcement { revision, root_catalog: root_catalog.to_owned() });
        for length in 1..stream.len() {
            let mut lines = Lines::default();
            let heard: Vec<_> = stream.chunks(length).flat_map(|piece| lines.take(piece)).collect();
            assert_eq!(heard, expected);
        }
        let mut lines = Lines::default();
        assert!(lines.take(&[b'x'; 100_000]).is_empty() && lines.0.len() <= EVENT_LIMIT);
        assert!(lines.take(b"\xff\xfe\ndata:\ndata: 1\n").is_empty());
    }
}
