//! Waiting for something to happen, as long as it takes but not for ever.

use std::thread::sleep;
use std::time::{Duration, Instant};

/// Calls `look` until it returns something, and returns that.
///
/// # Panics
/// If nothing came within `limit`; the message names `what` was waited for.
pub fn wait_for<T>(what: &str, limit: Duration, mut look: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + limit;
    let mut pause = Duration::from_millis(1);
    loop {
        if let Some(value) = look() {
            return value;
        }
        assert!(Instant::now() < end, "waited {limit:?} for {what} in vain");
        sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(100));
    }
}

/// Calls `holds` until it is true.
///
/// # Panics
/// As [`wait_for`].
pub fn wait_until(what: &str, limit: Duration, mut holds: impl FnMut() -> bool) {
    wait_for(what, limit, || holds().then_some(()));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waiting_ends_with_the_condition() {
        let mut calls = 0;
        wait_until("three calls", Duration::from_secs(60), || {
            calls += 1;
            calls == 3
        });
        assert_eq!(calls, 3);
    }

    #[test]
    #[should_panic(expected = "for a miracle in vain")]
    fn waiting_has_a_limit() {
        wait_until("a miracle", Duration::from_millis(5), || false);
    }
}
