//! What a faulty server does instead of answering, to which requests, and how often.

use std::time::Duration;

/// To which requests a fault is applied.
#[derive(Clone, Debug)]
pub struct Rule {
    part: String,
    method: Option<&'static str>,
    pub(super) fault: Fault,
    remaining: Option<u32>,
}

/// A way to answer wrongly.
#[derive(Clone, Debug)]
pub enum Fault {
    /// The first bytes only, with a `Content-Length` that says that this is all.
    Truncate(usize),
    /// One bit is different; the number counts bits of the body, modulo its length.
    FlipBit(usize),
    /// The content of another path.
    Swap(String),
    /// These bytes, with status 200.
    Content(Vec<u8>),
    /// No answer until [`super::Listener::release`].
    StallBeforeHeaders,
    /// The headers and this many bytes, then nothing until [`super::Listener::release`].
    StallAfter(usize),
    /// This many bytes at a time, with pauses.
    Trickle(usize, Duration),
    /// The whole body, whatever part of it was asked for.
    WholeForPart,
    /// The proper answer, but later.
    Delay(Duration),
    /// Status 200 and a page of a captive portal.
    Html,
    /// An error status with a short text.
    Status(u16),
    /// A body that never ends, without a `Content-Length`.
    Endless,
    /// A proper body, and a `Content-Length` that is larger (or smaller) by this much.
    WrongLength(i64),
    /// The connection is closed after this many bytes of the body.
    CloseAfter(usize),
    /// The connection is closed instead of an answer.
    Close,
    /// A redirect to the same address.
    RedirectLoop,
    /// A redirect to this address.
    Redirect(String),
    /// Bytes that are not HTTP.
    Garbage,
}

impl Rule {
    /// Applies `fault` to every request whose path has `part` in it; an empty `part` matches all.
    pub fn new(part: impl Into<String>, fault: Fault) -> Self {
        Self { part: part.into(), method: None, fault, remaining: None }
    }

    /// Only to requests of this method.
    #[must_use]
    pub fn method(mut self, method: &'static str) -> Self {
        self.method = Some(method);
        self
    }

    /// Only to the first `times` such requests.
    #[must_use]
    pub fn times(mut self, times: u32) -> Self {
        self.remaining = Some(times);
        self
    }

    /// Whether it applies to a request; then it is used once.
    pub(super) fn take(&mut self, method: &str, path: &str) -> bool {
        if self.method.is_some_and(|only| only != method)
            || !path.contains(&self.part)
            || self.remaining == Some(0)
        {
            return false;
        }
        if let Some(remaining) = &mut self.remaining {
            *remaining -= 1;
        }
        true
    }
}
