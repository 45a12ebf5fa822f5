//! The instant by which an operation has to end, handed down from the request that caused it.

use std::time::{Duration, Instant};

/// An instant after which nobody waits for the result any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Deadline(Instant);

impl Deadline {
    /// A deadline `duration` from now.
    pub fn after(duration: Duration) -> Self {
        Self(Instant::now() + duration)
    }

    /// The instant itself.
    pub fn instant(&self) -> Instant {
        self.0
    }

    /// How long is left, zero if it has passed.
    pub fn remaining(&self) -> Duration {
        self.0.saturating_duration_since(Instant::now())
    }

    /// Whether it has passed.
    pub fn has_passed(&self) -> bool {
        self.remaining().is_zero()
    }

    /// The earlier of this deadline and `duration` from now.
    pub fn at_most(&self, duration: Duration) -> Self {
        Self(self.0.min(Instant::now() + duration))
    }
}
