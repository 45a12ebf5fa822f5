//! Merges identical work: of several threads that want the same thing at once, one does it and all get the result.
//!
//! The map is only touched by work that is really to be done, and is split so that unrelated keys rarely meet.
//!
//! ```text
//! absent ── first thread ──▶ flying ── lands (also by panic) ──▶ absent, result handed to those who waited
//! ```

use std::collections::HashMap;
use std::collections::hash_map::{Entry, RandomState};
use std::hash::{BuildHasher, Hash};
use std::sync::Arc;

use parking_lot::{Condvar, Mutex};

use crate::{Deadline, StoreError};

const SHARDS: usize = 64;

/// Work in progress, by key.
pub(crate) struct Flights<K, V> {
    hasher: RandomState,
    shards: Vec<Mutex<HashMap<K, Arc<Flight<V>>>>>,
}

struct Flight<V> {
    outcome: Mutex<Option<Outcome<V>>>,
    landed: Condvar,
}

enum Outcome<V> {
    Done(V),
    Failed(StoreError),
    /// Whoever did the work was lost on the way; the next one has to do it.
    Lost,
}

impl<K: Hash + Eq + Clone, V: Clone> Flights<K, V> {
    pub(crate) fn new() -> Self {
        Self { hasher: RandomState::new(), shards: (0..SHARDS).map(|_| Mutex::new(HashMap::new())).collect() }
    }

    /// The result of `work`, or of the same work that another thread is already doing.
    ///
    /// A failure is handed to all who waited, except that a worker which ran out of *its* time doesn't end those who
    /// have more: they go on themselves. `timed_out` makes the error of a thread whose own time ends while it waits.
    pub(crate) fn run(
        &self,
        key: &K,
        deadline: Deadline,
        timed_out: &dyn Fn() -> StoreError,
        mut work: impl FnMut() -> Result<V, StoreError>,
    ) -> Result<V, StoreError> {
        let shard = &self.shards[self.hasher.hash_one(key) as usize % SHARDS];
        loop {
            let (flight, leads) = match shard.lock().entry(key.clone()) {
                Entry::Occupied(entry) => (Arc::clone(entry.get()), false),
                Entry::Vacant(entry) => (Arc::clone(entry.insert(Arc::default())), true),
            };
            if leads {
                let landing = Landing { shard, key, flight: &flight };
                return landing.land(work());
            }
            let mut outcome = flight.outcome.lock();
            while outcome.is_none() {
                let waited = flight.landed.wait_until(&mut outcome, deadline.instant());
                if waited.timed_out() && outcome.is_none() {
                    return Err(timed_out());
                }
            }
            match &*outcome {
                Some(Outcome::Done(value)) => return Ok(value.clone()),
                Some(Outcome::Failed(StoreError::TimedOut { .. })) if !deadline.has_passed() => {}
                Some(Outcome::Failed(error)) => return Err(error.repeat()),
                Some(Outcome::Lost) | None => {}
            }
        }
    }
}

impl<V> Default for Flight<V> {
    fn default() -> Self {
        Self { outcome: Mutex::new(None), landed: Condvar::new() }
    }
}

/// Takes the flight off the map and wakes those who wait, also when the work panics.
struct Landing<'a, K: Hash + Eq, V> {
    shard: &'a Mutex<HashMap<K, Arc<Flight<V>>>>,
    key: &'a K,
    flight: &'a Flight<V>,
}

impl<K: Hash + Eq, V: Clone> Landing<'_, K, V> {
    fn land(self, result: Result<V, StoreError>) -> Result<V, StoreError> {
        *self.flight.outcome.lock() = Some(match &result {
            Ok(value) => Outcome::Done(value.clone()),
            Err(error) => Outcome::Failed(error.repeat()),
        });
        result
    }
}

impl<K: Hash + Eq, V> Drop for Landing<'_, K, V> {
    fn drop(&mut self) {
        self.shard.lock().remove(self.key);
        self.flight.outcome.lock().get_or_insert(Outcome::Lost);
        self.flight.landed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Barrier;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::Duration;

    use super::*;

    fn missing() -> StoreError {
        StoreError::NotFound { name: "x".into(), place: "nowhere".into() }
    }

    #[test]
    fn one_works_and_all_get_the_result() {
        let (flights, runs, together) = (Flights::<u32, u32>::new(), AtomicUsize::new(0), Barrier::new(8));
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    together.wait();
                    let value = flights.run(&1, Deadline::after(Duration::from_secs(60)), &missing, || {
                        runs.fetch_add(1, Ordering::Relaxed);
                        // Long enough for the others to have arrived; nothing but the count below depends on it.
                        std::thread::sleep(Duration::from_millis(300));
                        Ok(7)
                    });
                    assert_eq!(value.expect("because the work succeeds"), 7);
                });
            }
        });
        assert!(runs.into_inner() < 8);
        assert!(flights.shards.iter().all(|shard| shard.lock().is_empty()));
    }

    #[test]
    fn a_failure_is_not_remembered() {
        let flights = Flights::<u32, u32>::new();
        let deadline = Deadline::after(Duration::from_secs(60));
        assert!(flights.run(&1, deadline, &missing, || Err(missing())).is_err());
        assert_eq!(flights.run(&1, deadline, &missing, || Ok(3)).expect("because it works now"), 3);
    }

    #[test]
    fn who_waits_ends_at_its_own_deadline_and_survives_the_workers_panic() {
        let flights = Flights::<u32, u32>::new();
        let (begun, may_end) = (Barrier::new(2), Barrier::new(2));
        std::thread::scope(|scope| {
            let worker = scope.spawn(|| {
                flights.run(&1, Deadline::after(Duration::from_secs(60)), &missing, || {
                    begun.wait();
                    may_end.wait();
                    panic!("because this test wants it")
                })
            });
            begun.wait();
            let hurried = flights.run(&1, Deadline::after(Duration::ZERO), &missing, || Ok(1));
            assert!(matches!(hurried, Err(StoreError::NotFound { .. })));
            may_end.wait();
            assert!(worker.join().is_err());
        });
        let next = flights.run(&1, Deadline::after(Duration::from_secs(60)), &missing, || Ok(2));
        assert_eq!(next.expect("because the lost flight is gone"), 2);
    }
}
