//! One thing is pursued over all routes until it has come whole and right, is known not to exist, or time is up.
//!
//! ```text
//! round: route ─▶ exchange ─┬─ right ───────────────────────────────────────────▶ done
//!          ▲                ├─ wrong hash, or absent by a proxy's word:
//!          │                │  once more past the caches, then ──────────────┐
//!          │                ├─ connection lost: once more, then ─────────────┤
//!          │                └─ absent, failed, stalled ──────────────────────┤
//!          └──────────── next most promising route ◀── blame ◀───────────────┘
//! a request that is unusually late: the same over another route as well; whichever answers first goes on as above
//! no route left ─▶ random wait ─▶ another round, if anything but absence and wrong bytes was met
//! ```

use std::fmt::Display;
use std::future::pending;
use std::io;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use bytes::Bytes;
use reqwest::{Client, Response};
use tokio::time::{Instant, sleep, sleep_until};
use varve_content::{ContentHash, Hasher};

use super::HttpSource;
use super::config::Proxy;
use super::exchange::{Exchange, Failure, Part};
use super::routes::{Blame, Route, Trail};
use crate::{Deadline, StoreError};

/// While there are other routes, one gets this part of the time that is left, so that its silence doesn't use it up.
const SHARE_OF_TIME: u32 = 3;

/// What is wanted.
pub(super) struct Wanted<'a> {
    /// For messages.
    pub(super) name: &'a dyn Display,
    /// What follows the repository's address, as a rule with a slash before it.
    pub(super) path: String,
    /// Which bytes of what is there; all if `None`.
    pub(super) part: Option<Part>,
    /// What the bytes must hash to, if they are named by it.
    pub(super) hash: Option<ContentHash>,
    /// The most bytes it may have.
    pub(super) limit: u64,
    /// Whether caches on the way have to check with the origin from the beginning.
    pub(super) revalidate: bool,
    /// Whether a server or proxy may refuse it without being at fault: any status but success then means absence.
    pub(super) optional: bool,
}

/// Takes the bytes as they come.
pub(super) trait Receiver {
    /// Forgets everything received.
    fn restart(&mut self) -> io::Result<()>;
    /// Takes the next bytes.
    fn take(&mut self, bytes: Bytes) -> io::Result<()>;
}

/// The pursuit of one thing.
pub(super) struct Pursuit<'a> {
    source: &'a HttpSource,
    /// One per proxy.
    clients: &'a [Client],
    wanted: &'a Wanted<'a>,
    receiver: &'a mut dyn Receiver,
    end: Instant,
    /// The servers that said that there is no such thing.
    absent: Vec<bool>,
    /// The last failure that was not absence.
    failure: Option<StoreError>,
    exchanges: u64,
    /// Whether a lost connection has been tried again; one that was kept open may have been closed meanwhile.
    reconnected: bool,
}

/// What to make of a failure.
enum Verdict {
    /// Another route may do better.
    Next { blame: Blame, certain: bool, error: StoreError },
    /// The same route once more, past the caches or on a new connection.
    Again { no_cache: bool },
    /// No use.
    End(StoreError),
}

impl<'a> Pursuit<'a> {
    pub(super) fn new(
        source: &'a HttpSource,
        clients: &'a [Client],
        wanted: &'a Wanted<'a>,
        receiver: &'a mut dyn Receiver,
        deadline: Deadline,
    ) -> Self {
        Self {
            absent: vec![false; source.routes.servers().len()],
            end: Instant::from_std(deadline.instant()),
            source,
            clients,
            wanted,
            receiver,
            failure: None,
            exchanges: 0,
            reconnected: false,
        }
    }

    /// Goes on until it is had or given up.
    pub(super) async fn run(mut self) -> Result<(), StoreError> {
        for round in 0..=self.source.config.retries {
            if round > 0 {
                let wake = Instant::now() + self.source.config.wait_before(round - 1);
                if wake >= self.end {
                    break;
                }
                sleep_until(wake).await;
            }
            let met_transport_failure = match self.round().await? {
                None => return Ok(()),
                Some(met) => met,
            };
            if !met_transport_failure || Instant::now() >= self.end {
                break;
            }
        }
        Err(self.failure.unwrap_or_else(|| StoreError::NotFound {
            name: self.wanted.name.to_string(),
            place: self.source.all_servers(),
        }))
    }

    /// Tries every promising route once. `None` if it was had, else whether there is hope in trying again later.
    async fn round(&mut self) -> Result<Option<bool>, StoreError> {
        let routes = &self.source.routes;
        let mut trail = Trail::new(routes);
        for server in (0..self.absent.len()).filter(|server| self.absent[*server]) {
            trail.rule_out(server);
        }
        let mut met_transport_failure = false;
        while let Some(mut route) = trail.next(routes) {
            let Some((blame, certain, error)) = self.try_route(&mut route, &trail).await? else {
                trail.succeeded(routes, route);
                return Ok(None);
            };
            tracing::debug!(%error, "request failed");
            trail.failed(route, blame);
            match blame {
                Blame::Server if certain => routes.server_failed(route.server),
                Blame::Proxy if certain => routes.proxy_failed(route.proxy),
                _ => {}
            }
            if error.is_absence() {
                self.absent[route.server] = true;
            } else {
                met_transport_failure |= !error.is_integrity();
                self.failure = Some(error);
            }
            if Instant::now() >= self.end {
                break;
            }
        }
        Ok(Some(met_transport_failure))
    }

    /// Tries one route, if need be a few times, and says in `route` which answered. `None` if it was had.
    async fn try_route(
        &mut self,
        route: &mut Route,
        trail: &Trail,
    ) -> Result<Option<(Blame, bool, StoreError)>, StoreError> {
        let mut no_cache = self.wanted.revalidate;
        loop {
            match self.exchange(route, trail, no_cache).await {
                Ok(()) => return Ok(None),
                Err(failure) => match self.judge(failure, *route, no_cache) {
                    Verdict::Next { blame, certain, error } => return Ok(Some((blame, certain, error))),
                    Verdict::Again { no_cache: now } => no_cache = now,
                    Verdict::End(error) => return Err(error),
                },
            }
        }
    }

    /// Makes one request, or two if the first is late, and says in `route` which answered.
    async fn exchange(&mut self, route: &mut Route, trail: &Trail, no_cache: bool) -> Result<(), Mismatch> {
        let source = self.source;
        if self.exchanges > 0 {
            source.counts.retries.fetch_add(1, Relaxed);
            self.receiver.restart().map_err(Failure::Sink)?;
        }
        self.exchanges += 1;
        source.counts.requests.fetch_add(1, Relaxed);
        let first = self.request(*route, trail, no_cache);
        let may_hedge = source.config.hedging && self.wanted.hash.is_some();
        let beside = may_hedge.then(|| trail.beside(&source.routes, *route)).flatten();
        let second = beside.map(|other| (other, self.request(other, trail, no_cache)));
        let (exchange, response) = match &second {
            None => (&first, first.ask().await?),
            Some((other, second)) => match self.race(&first, second).await? {
                (false, response) => (&first, response),
                (true, response) => {
                    *route = *other;
                    (second, response)
                }
            },
        };
        let mut hasher = self.wanted.hash.map(|hash| Hasher::new(hash.algorithm()));
        let receiver = &mut *self.receiver;
        let mut take = |piece: Bytes| {
            source.counts.bytes.fetch_add(piece.len() as u64, Relaxed);
            if let Some(hasher) = &mut hasher {
                hasher.update(&piece);
            }
            receiver.take(piece)
        };
        let is_page = exchange.receive(response, &mut take).await?;
        let actual = hasher.map(Hasher::finish);
        match actual {
            Some(actual) if Some(actual) != self.wanted.hash => Err(Mismatch::Hash { actual, is_page }),
            _ => Ok(()),
        }
    }

    fn request(&self, route: Route, trail: &Trail, no_cache: bool) -> Exchange<'a> {
        let source = self.source;
        let proxied = *source.routes.proxy(route) != Proxy::Direct;
        let timeout = if proxied { source.config.timeout_proxied } else { source.config.timeout_direct };
        Exchange {
            client: &self.clients[route.proxy],
            url: format!("{}{}", source.routes.servers()[route.server], self.wanted.path),
            proxied,
            no_cache,
            part: self.wanted.part,
            limit: self.wanted.limit,
            optional: self.wanted.optional,
            patience: self.patience(timeout, trail.has_alternative(&source.routes, route)),
            low_speed: source.config.low_speed,
            deadline: self.end,
        }
    }

    /// Makes the first request and, once that is late, the second. Gives the good answer that begins first, and whether it
    /// is the second's; the other request is dropped, and its connection with it. A second request that fails is as if it
    /// had not been made. A first one that fails has failed, even if the second is still under way.
    async fn race(&self, first: &Exchange<'_>, second: &Exchange<'_>) -> Result<(bool, Response), Failure> {
        let (hedging, counts) = (&self.source.hedging, &self.source.counts);
        let began = Instant::now();
        let hedge = async {
            match hedging.delay() {
                Some(delay) => sleep(delay).await,
                None => pending().await,
            }
            if !hedging.spend() {
                pending::<()>().await;
            }
            counts.requests.fetch_add(1, Relaxed);
            counts.hedges.fetch_add(1, Relaxed);
            second.ask().await
        };
        let (overtaken, response) = tokio::select! {
            biased;
            response = first.ask() => (false, response?),
            Ok(response) = hedge => {
                counts.hedges_won.fetch_add(1, Relaxed);
                (true, response)
            }
        };
        hedging.answered(began.elapsed());
        Ok((overtaken, response))
    }

    fn patience(&self, timeout: Duration, has_alternative: bool) -> Duration {
        let left = self.end.saturating_duration_since(Instant::now());
        timeout.min(if has_alternative { left / SHARE_OF_TIME } else { left })
    }

    fn judge(&mut self, mismatch: Mismatch, route: Route, no_cache: bool) -> Verdict {
        let proxied = *self.source.routes.proxy(route) != Proxy::Direct;
        let name = self.wanted.name.to_string();
        let place = self.source.place_of(route);
        let doubt = if proxied { Blame::Either } else { Blame::Server };
        let failure = match mismatch {
            Mismatch::Hash { .. } if !no_cache => return Verdict::Again { no_cache: true },
            // A proxy may remember that there was no such thing.
            Mismatch::Failure(Failure::Absent)
                if proxied && !no_cache && !self.wanted.optional && self.wanted.hash.is_some() =>
            {
                return Verdict::Again { no_cache: true };
            }
            Mismatch::Hash { actual, is_page } => {
                let place = if is_page { format!("{place} (which sent a web page)") } else { place };
                let error = StoreError::WrongHash { name, place, actual: actual.to_string() };
                return Verdict::Next { blame: doubt, certain: is_page, error };
            }
            Mismatch::Failure(failure) => failure,
        };
        match failure {
            Failure::Broken { blame: Blame::Server | Blame::Either, lost_connection: true, .. }
                if !self.reconnected =>
            {
                self.reconnected = true;
                Verdict::Again { no_cache }
            }
            Failure::Broken { blame, reason, .. } => {
                let error = StoreError::Transport { name, place, reason };
                Verdict::Next { blame, certain: true, error }
            }
            Failure::Absent => {
                let error = StoreError::NotFound { name, place };
                Verdict::Next { blame: Blame::Server, certain: false, error }
            }
            Failure::TooLarge => {
                let error = StoreError::TooLarge { name, place, limit: self.wanted.limit };
                Verdict::Next { blame: doubt, certain: false, error }
            }
            Failure::Stalled => {
                Verdict::Next { blame: doubt, certain: true, error: StoreError::TimedOut { name, place } }
            }
            Failure::OutOfTime { silent } => {
                Verdict::Next { blame: doubt, certain: silent, error: StoreError::TimedOut { name, place } }
            }
            Failure::Sink(source) => Verdict::End(StoreError::Io { action: "pass on", path: name, source }),
        }
    }
}

/// Why an exchange gave nothing of use.
enum Mismatch {
    Failure(Failure),
    /// Everything came, but it is something else.
    Hash {
        actual: ContentHash,
        is_page: bool,
    },
}

impl From<Failure> for Mismatch {
    fn from(failure: Failure) -> Self {
        Self::Failure(failure)
    }
}
