//! What a connection waits for, and since when: the clock that decides when a client is too slow.
//!
//! ```text
//!  accepted ──first byte──▶ header ──request──▶ answering ──response sent──▶ idle ──first byte──▶ header …
//!      │ header limit         │ header limit      │ stalled limit              │ idle limit
//!      ▼                      ▼                   ▼                            ▼
//!    dropped                dropped             dropped                  closed politely
//! ```

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::limits::Limits;

/// Shared by a connection's socket, its requests and the task that watches over it. Times are milliseconds since
/// `begin`, plus one; zero means "not".
#[derive(Debug)]
pub(crate) struct Activity {
    begin: Instant,
    in_flight: AtomicU32,
    idle_since: AtomicU64,
    header_since: AtomicU64,
    blocked_since: AtomicU64,
    multiplexed: AtomicBool,
}

/// What is to be done about a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Nothing; look again after this time.
    Wait(Duration),
    /// It idled for long enough.
    Close,
    /// The client is too slow.
    Drop(TooSlow),
}

/// What a client was too slow with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TooSlow {
    Header,
    Reading,
}

impl Activity {
    /// A connection that was just accepted: its first header is awaited.
    pub(crate) fn new() -> Self {
        Self {
            begin: Instant::now(),
            in_flight: AtomicU32::new(0),
            idle_since: AtomicU64::new(1),
            header_since: AtomicU64::new(1),
            blocked_since: AtomicU64::new(0),
            multiplexed: AtomicBool::new(false),
        }
    }

    /// Bytes came from the client.
    pub(crate) fn received(&self) {
        if self.in_flight.load(Ordering::Relaxed) == 0 && self.header_since.load(Ordering::Relaxed) == 0 {
            self.header_since.store(self.now(), Ordering::Relaxed);
        }
    }

    /// A request's header is complete.
    pub(crate) fn request_began(&self, multiplexed: bool) {
        self.header_since.store(0, Ordering::Relaxed);
        if multiplexed {
            self.multiplexed.store(true, Ordering::Relaxed);
        }
        self.in_flight.fetch_add(1, Ordering::Relaxed);
    }

    /// A response has been handed over, or given up.
    pub(crate) fn request_ended(&self) {
        if self.in_flight.fetch_sub(1, Ordering::Relaxed) == 1 {
            self.idle_since.store(self.now(), Ordering::Relaxed);
        }
    }

    /// The client's side took no more bytes.
    pub(crate) fn write_blocked(&self) {
        if self.blocked_since.load(Ordering::Relaxed) == 0 {
            self.blocked_since.store(self.now(), Ordering::Relaxed);
        }
    }

    /// It took some.
    pub(crate) fn write_went_on(&self) {
        if self.blocked_since.load(Ordering::Relaxed) != 0 {
            self.blocked_since.store(0, Ordering::Relaxed);
        }
    }

    /// Judges by `limits`; `crowded` when nearly all connections are taken.
    pub(crate) fn judge(&self, limits: &Limits, crowded: bool) -> Verdict {
        self.judge_at(self.now(), limits, crowded)
    }

    fn judge_at(&self, now: u64, limits: &Limits, crowded: bool) -> Verdict {
        let left = |since: u64, limit: Duration| {
            (Duration::from_millis(since) + limit).checked_sub(Duration::from_millis(now))
        };
        let blocked = self.blocked_since.load(Ordering::Relaxed);
        if blocked != 0 && left(blocked, limits.stalled).is_none() {
            return Verdict::Drop(TooSlow::Reading);
        }
        if self.in_flight.load(Ordering::Relaxed) > 0 {
            return Verdict::Wait(limits.stalled / 2);
        }
        let header = self.header_since.load(Ordering::Relaxed);
        // Between requests, HTTP/2 clients send bytes that belong to no header.
        if header != 0 && !self.multiplexed.load(Ordering::Relaxed) {
            return match left(header, limits.header) {
                Some(left) => Verdict::Wait(left),
                None => Verdict::Drop(TooSlow::Header),
            };
        }
        let idle = if crowded { limits.idle / 4 } else { limits.idle };
        match left(self.idle_since.load(Ordering::Relaxed), idle) {
            // A header that begins meanwhile must be noticed in time.
            Some(left) => Verdict::Wait(left.min(limits.header)),
            None => Verdict::Close,
        }
    }

    fn now(&self) -> u64 {
        self.begin.elapsed().as_millis() as u64 + 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits() -> Limits {
        Limits {
            header: Duration::from_secs(1),
            idle: Duration::from_secs(8),
            stalled: Duration::from_secs(4),
            ..Limits::default()
        }
    }

    #[test]
    fn a_client_that_sends_nothing_or_an_endless_header_is_dropped() {
        let activity = Activity::new();
        assert_eq!(activity.judge_at(501, &limits(), false), Verdict::Wait(Duration::from_millis(500)));
        activity.received();
        assert_eq!(activity.judge_at(1100, &limits(), false), Verdict::Drop(TooSlow::Header));
    }

    #[test]
    fn idling_is_borne_longer_unless_it_is_crowded() {
        let activity = Activity::new();
        activity.request_began(false);
        activity.request_ended();
        assert!(matches!(activity.judge_at(3000, &limits(), false), Verdict::Wait(_)));
        assert_eq!(activity.judge_at(3000, &limits(), true), Verdict::Close);
        assert_eq!(activity.judge_at(9000, &limits(), false), Verdict::Close);
    }

    #[test]
    fn who_takes_nothing_of_a_response_is_dropped_and_who_takes_some_is_not() {
        let activity = Activity::new();
        activity.request_began(false);
        activity.write_blocked();
        assert!(matches!(activity.judge_at(3000, &limits(), false), Verdict::Wait(_)));
        assert_eq!(activity.judge_at(5000, &limits(), false), Verdict::Drop(TooSlow::Reading));
        activity.write_went_on();
        assert!(matches!(activity.judge_at(5000, &limits(), false), Verdict::Wait(_)));
    }

    #[test]
    fn frames_between_requests_are_no_header() {
        let activity = Activity::new();
        activity.request_began(true);
        activity.request_ended();
        activity.received();
        assert!(matches!(activity.judge_at(3000, &limits(), false), Verdict::Wait(_)));
    }
}
