//! How often something may be tried: by one address, and by all of them together.
//!
//! A budget is a bucket that fills up again at a steady pace: a few tries at once are fine, many are not. What is kept of an
//! address is forgotten when its bucket is full again, and there is a bound to how many are kept.

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

/// The most addresses that are remembered; beyond that only the total counts.
const ADDRESSES: usize = 100_000;

/// So many tries within so much time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rate {
    /// Tries.
    pub tries: u32,
    /// Time.
    pub within: Duration,
}

/// A budget of tries. It lives in one process.
#[derive(Debug)]
pub struct RateLimit {
    each: Rate,
    total: Rate,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    addresses: HashMap<IpAddr, Bucket>,
    all: Bucket,
}

#[derive(Clone, Copy, Debug)]
struct Bucket {
    left: f64,
    at: Instant,
}

/// It was tried too often.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("too many tries: the next is allowed in {} s", .retry_after.as_secs())]
pub struct TooMany {
    /// When the next try is allowed.
    pub retry_after: Duration,
}

impl RateLimit {
    /// A full budget.
    pub fn new(each: Rate, total: Rate, now: Instant) -> Self {
        let all = Bucket { left: f64::from(total.tries), at: now };
        Self { each, total, state: Mutex::new(State { addresses: HashMap::new(), all }) }
    }

    /// Counts a try.
    ///
    /// # Errors
    /// [`TooMany`] if the address has none left, or all together have none.
    pub fn spend(&self, address: IpAddr, now: Instant) -> Result<(), TooMany> {
        let mut state = self.state.lock();
        state.all.fill(self.total, now);
        if state.all.left < 1.0 {
            return Err(state.all.wait(self.total));
        }
        if state.addresses.len() >= ADDRESSES {
            let each = self.each;
            state.addresses.retain(|_, bucket| {
                bucket.fill(each, now);
                bucket.left < f64::from(each.tries)
            });
        }
        let address = network_of(address);
        if state.addresses.len() < ADDRESSES || state.addresses.contains_key(&address) {
            let full = Bucket { left: f64::from(self.each.tries), at: now };
            let bucket = state.addresses.entry(address).or_insert(full);
            bucket.fill(self.each, now);
            if bucket.left < 1.0 {
                return Err(bucket.wait(self.each));
            }
            bucket.left -= 1.0;
        }
        state.all.left -= 1.0;
        Ok(())
    }

    /// Gives a try back: it was a good one.
    pub fn give_back(&self, address: IpAddr) {
        let mut state = self.state.lock();
        state.all.left = (state.all.left + 1.0).min(f64::from(self.total.tries));
        if let Some(bucket) = state.addresses.get_mut(&network_of(address)) {
            bucket.left = (bucket.left + 1.0).min(f64::from(self.each.tries));
        }
    }
}

impl Bucket {
    fn fill(&mut self, rate: Rate, now: Instant) {
        let passed = now.saturating_duration_since(self.at).as_secs_f64() / rate.within.as_secs_f64();
        self.left = (self.left + passed * f64::from(rate.tries)).min(f64::from(rate.tries));
        self.at = now;
    }

    fn wait(&self, rate: Rate) -> TooMany {
        let each = rate.within.as_secs_f64() / f64::from(rate.tries);
        let seconds = ((1.0 - self.left) * each).ceil().clamp(1.0, 86400.0);
        TooMany { retry_after: Duration::from_secs_f64(seconds) }
    }
}

/// Who has one address of IPv6 has 2⁶⁴ of them.
fn network_of(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => IpAddr::V6((u128::from(address) & !u128::from(u64::MAX)).into()),
        address => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn an_address_and_all_of_them_have_a_budget() {
        let minute = Duration::from_secs(60);
        let now = Instant::now();
        let limit = RateLimit::new(Rate { tries: 3, within: minute }, Rate { tries: 5, within: minute }, now);
        let one = address("192.0.2.1");
        for _ in 0..3 {
            limit.spend(one, now).unwrap();
        }
        let refused = limit.spend(one, now).unwrap_err();
        assert_eq!(refused.retry_after, Duration::from_secs(20));
        limit.spend(one, now + Duration::from_secs(21)).unwrap();
        // All networks together are out of tries before the third of them is.
        let later = now + Duration::from_secs(21);
        limit.spend(address("2001:db8::1"), later).unwrap();
        limit.spend(address("2001:db8::2"), later).unwrap();
        limit.give_back(address("2001:db8::2"));
        limit.spend(address("2001:db8::3"), later).unwrap();
        assert!(limit.spend(address("192.0.2.9"), later).is_err());
        assert!(limit.spend(address("192.0.2.9"), later + minute).is_ok());
    }
}
