//! One request over one route and its answer: what came, or why not and whose fault that is. Who is asked next is
//! decided elsewhere.

use std::io;
use std::time::Duration;

use bytes::Bytes;
use reqwest::header::{CACHE_CONTROL, CONTENT_RANGE, CONTENT_TYPE, HeaderMap, HeaderValue, PRAGMA, RANGE};
use reqwest::{Client, Response, StatusCode};
use tokio::time::{Instant, timeout_at};

use super::routes::Blame;

/// Some bytes of what is at an address.
#[derive(Clone, Copy, Debug)]
pub(super) struct Part {
    pub(super) offset: u64,
    /// At least 1.
    pub(super) size: u64,
}

/// A request to be made.
pub(super) struct Exchange<'a> {
    pub(super) client: &'a Client,
    pub(super) url: String,
    pub(super) proxied: bool,
    /// Ask caches on the way to check with the origin.
    pub(super) no_cache: bool,
    /// Ask for this part only. Of a server that sends the whole, the rest is left out here.
    pub(super) part: Option<Part>,
    /// The most bytes of an answer.
    pub(super) limit: u64,
    /// Whether any refusal means that there is no such thing.
    pub(super) optional: bool,
    /// How long the other side may be silent, or slower than `low_speed`.
    pub(super) patience: Duration,
    pub(super) low_speed: u64,
    /// When nobody waits any more.
    pub(super) deadline: Instant,
}

/// Why there is no whole answer.
#[derive(Debug)]
pub(super) enum Failure {
    /// The server says that there is no such thing.
    Absent,
    /// More came, or was announced, than is allowed.
    TooLarge,
    /// Someone on the way failed.
    Broken {
        blame: Blame,
        reason: String,
        /// Whether an existing connection ended; the next may be better.
        lost_connection: bool,
    },
    /// Too little came within the time of patience.
    Stalled,
    /// The deadline passed.
    OutOfTime {
        /// Whether nothing came for long before.
        silent: bool,
    },
    /// Whoever takes the bytes failed.
    Sink(io::Error),
}

impl Exchange<'_> {
    /// Makes the request and waits until a good answer begins.
    pub(super) async fn ask(&self) -> Result<Response, Failure> {
        let response = self.send().await?;
        self.check_status(&response)?;
        Ok(response)
    }

    /// Passes the body on, piece by piece. Says whether it claims to be a web page.
    pub(super) async fn receive(
        &self,
        mut response: Response,
        take: &mut dyn FnMut(Bytes) -> io::Result<()>,
    ) -> Result<bool, Failure> {
        // A whole answer, of which only a part was asked for.
        let cut = self.part.filter(|_| response.status() == StatusCode::OK);
        if cut.is_none() && response.content_length().is_some_and(|length| length > self.limit) {
            return Err(Failure::TooLarge);
        }
        let mut skipped = 0;
        let mut total = 0;
        let mut window = Window { end: self.next_end(), bytes: 0 };
        loop {
            let mut piece = match timeout_at(window.end, response.chunk()).await {
                Ok(Ok(Some(piece))) => piece,
                Ok(Ok(None)) => break,
                Ok(Err(error)) => return Err(self.broken(&error)),
                Err(_elapsed) => {
                    self.end_window(&mut window)?;
                    continue;
                }
            };
            window.bytes += piece.len() as u64;
            if let Some(part) = cut {
                let before = (part.offset - skipped).min(piece.len() as u64);
                skipped += before;
                drop(piece.split_to(before as usize));
                piece.truncate((part.size - total).min(piece.len() as u64) as usize);
            }
            total += piece.len() as u64;
            if total > self.limit {
                return Err(Failure::TooLarge);
            }
            take(piece).map_err(Failure::Sink)?;
            if cut.is_some_and(|part| total >= part.size) {
                break;
            }
            // A trickle may never let the timer above win.
            if Instant::now() >= window.end {
                self.end_window(&mut window)?;
            }
        }
        let claimed = response.headers().get(CONTENT_TYPE);
        Ok(claimed.is_some_and(|kind| kind.as_bytes().starts_with(b"text/html")))
    }

    async fn send(&self) -> Result<Response, Failure> {
        let mut request = self.client.get(&self.url);
        if self.no_cache {
            let mut headers = HeaderMap::new();
            headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
            headers.insert(PRAGMA, HeaderValue::from_static("no-cache"));
            request = request.headers(headers);
        }
        if let Some(Part { offset, size }) = self.part {
            let last = offset.saturating_add(size.saturating_sub(1));
            request = request.header(RANGE, format!("bytes={offset}-{last}"));
        }
        match timeout_at(self.next_end(), request.send()).await {
            Ok(Ok(response)) => Ok(response),
            Ok(Err(error)) => Err(self.broken(&error)),
            Err(_elapsed) if Instant::now() >= self.deadline => Err(Failure::OutOfTime { silent: true }),
            Err(_elapsed) => Err(Failure::Stalled),
        }
    }

    fn next_end(&self) -> Instant {
        (Instant::now() + self.patience).min(self.deadline)
    }

    /// Begins a new window, if enough came in the one that has ended.
    fn end_window(&self, window: &mut Window) -> Result<(), Failure> {
        if Instant::now() >= self.deadline {
            return Err(Failure::OutOfTime { silent: window.bytes == 0 });
        }
        if (window.bytes as f64) < self.low_speed as f64 * self.patience.as_secs_f64() {
            return Err(Failure::Stalled);
        }
        *window = Window { end: self.next_end(), bytes: 0 };
        Ok(())
    }

    fn check_status(&self, response: &Response) -> Result<(), Failure> {
        let status = response.status();
        match status {
            StatusCode::OK => return Ok(()),
            StatusCode::PARTIAL_CONTENT if self.is_wanted_part(response.headers()) => return Ok(()),
            StatusCode::NOT_FOUND | StatusCode::GONE => return Err(Failure::Absent),
            _ if self.optional => return Err(Failure::Absent),
            _ => {}
        }
        let blame = self.blame_for(status, response.headers());
        let told = proxys_word(response.headers()).map(|word| format!(" ({word})")).unwrap_or_default();
        let reason = format!("it answered {status}{told}");
        Err(Failure::Broken { blame, reason, lost_connection: false })
    }

    fn is_wanted_part(&self, headers: &HeaderMap) -> bool {
        let told = headers.get(CONTENT_RANGE).and_then(|range| range.to_str().ok());
        let first =
            told.and_then(|range| range.strip_prefix("bytes ")?.split('-').next()?.trim().parse().ok());
        self.part.is_some_and(|part| first == Some(part.offset))
    }

    fn blame_for(&self, status: StatusCode, headers: &HeaderMap) -> Blame {
        /// What squid says when the server is unreachable for it.
        const SERVERS_FAULT: [&str; 9] = [
            "ERR_CONNECT_FAIL",
            "ERR_SECURE_CONNECT_FAIL",
            "ERR_DNS_FAIL",
            "ERR_READ_TIMEOUT",
            "ERR_READ_ERROR",
            "ERR_WRITE_ERROR",
            "ERR_ZERO_SIZE_OBJECT",
            "ERR_INVALID_RESP",
            "ERR_LIFETIME_EXP",
        ];
        if !self.proxied {
            return Blame::Server;
        }
        if status == StatusCode::PROXY_AUTHENTICATION_REQUIRED {
            return Blame::Proxy;
        }
        match proxys_word(headers) {
            Some(error) if SERVERS_FAULT.iter().any(|fault| error.contains(fault)) => Blame::Server,
            Some(_) => Blame::Proxy,
            None => Blame::Either,
        }
    }

    fn broken(&self, error: &reqwest::Error) -> Failure {
        let blame = match (self.proxied, error.is_connect()) {
            (false, _) => Blame::Server,
            // What the proxy answers to the wish for a tunnel is lost in the library.
            (true, true) if self.url.starts_with("https:") && !never_connected(error) => Blame::Either,
            (true, true) => Blame::Proxy,
            (true, false) => Blame::Either,
        };
        let lost_connection = error.is_request() && !error.is_connect() && !error.is_redirect();
        Failure::Broken { blame, reason: reason(error), lost_connection }
    }
}

/// Whether the system couldn't even connect to the next host.
fn never_connected(error: &(dyn std::error::Error + 'static)) -> bool {
    let mut cause = Some(error);
    while let Some(error) = cause {
        if let Some(error) = error.downcast_ref::<io::Error>() {
            return !matches!(error.kind(), io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof);
        }
        cause = error.source();
    }
    false
}

/// What a proxy says of a failure.
fn proxys_word(headers: &HeaderMap) -> Option<&str> {
    ["x-squid-error", "proxy-status"].iter().find_map(|name| headers.get(*name)?.to_str().ok())
}

/// A stretch of time within which enough has to come.
struct Window {
    end: Instant,
    bytes: u64,
}

/// The innermost cause of an error, which is what helps; the outer ones name the address again.
pub(super) fn reason(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause.to_string()
}
