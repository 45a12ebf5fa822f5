//! When a request that takes unusually long is hedged, which is to make the same request over another route as well: after
//! what time, and how often at most. Over which route, and what becomes of the two, is decided elsewhere.
//!
//! Longer than nearly all of the recent ones is unusually long, so about one request in twenty could be hedged while
//! nothing changes. The budget keeps it at that when a source becomes slow all at once: twice the load would make that
//! worse. A route whose answers are overtaken has not failed: where one in twenty is late, another route overtakes as a rule.

use std::collections::VecDeque;
use std::time::Duration;

use parking_lot::Mutex;

/// How many of the latest answers count.
const RECENT: usize = 128;
/// With fewer of them nothing is hedged.
const ENOUGH: usize = 48;
/// How many of a hundred answers are not unusually late.
const PERCENTILE: usize = 95;
/// Nothing that takes less is worth a second request.
const FLOOR: Duration = Duration::from_millis(200);
/// How many answers pay for one hedge.
const PRICE: u32 = 20;
/// How many hedges may be paid for in advance.
const BURST: u32 = 3;

/// What the requests of one source have learned together about its answers.
#[derive(Default)]
pub(super) struct Hedging(Mutex<State>);

#[derive(Default)]
struct State {
    /// How long the latest answers took to begin, oldest first.
    recent: VecDeque<Duration>,
    /// Answers not spent on hedges.
    saved: u32,
}

impl Hedging {
    /// Notes how long an answer took to begin.
    pub(super) fn answered(&self, took: Duration) {
        let mut state = self.0.lock();
        if state.recent.len() == RECENT {
            state.recent.pop_front();
        }
        state.recent.push_back(took);
        state.saved = (state.saved + 1).min(PRICE * BURST);
    }

    /// The time after which a request is late, if enough is known to say so.
    pub(super) fn delay(&self) -> Option<Duration> {
        let mut recent: Vec<Duration> = {
            let state = self.0.lock();
            if state.recent.len() < ENOUGH {
                return None;
            }
            state.recent.iter().copied().collect()
        };
        let rank = recent.len() * PERCENTILE / 100;
        let (_, unusual, _) = recent.select_nth_unstable(rank);
        Some(FLOOR.max(*unusual))
    }

    /// Whether one more hedge is paid for; it is spent then.
    pub(super) fn spend(&self) -> bool {
        let mut state = self.0.lock();
        let left = state.saved.checked_sub(PRICE);
        state.saved = left.unwrap_or(state.saved);
        left.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(answers: impl IntoIterator<Item = u64>) -> Hedging {
        let hedging = Hedging::default();
        answers.into_iter().for_each(|millis| hedging.answered(Duration::from_millis(millis)));
        hedging
    }

    #[test]
    fn late_is_what_few_of_the_recent_were() {
        let millis = |hedging: Hedging| hedging.delay().map(|delay| delay.as_millis());
        assert_eq!(millis(after(vec![1000; ENOUGH - 1])), None);
        assert_eq!(millis(after(vec![1000; ENOUGH])), Some(1000));
        assert_eq!(millis(after(1001..=1100)), Some(1096));
        // Whatever their order.
        assert_eq!(millis(after((1001..=1100).rev())), Some(1096));
        // A few late ones change nothing, and nothing is late below the floor.
        assert_eq!(millis(after((0..100).map(|n| if n % 25 == 0 { 9000 } else { 10 }))), Some(200));
        // What was long ago doesn't count.
        assert_eq!(millis(after([vec![9000; 1000], vec![300; RECENT]].concat())), Some(300));
    }

    #[test]
    fn hedges_are_paid_for_by_answers() {
        let hedging = after(vec![1; PRICE as usize - 1]);
        assert!(!hedging.spend());
        hedging.answered(Duration::ZERO);
        assert!(hedging.spend());
        assert!(!hedging.spend());
        // What is saved is limited.
        let hedging = after(vec![1; 10_000]);
        assert_eq!((0..100).filter(|_| hedging.spend()).count(), BURST as usize);
        // If all are slow, one in twenty is hedged.
        let hedged = (0..10_000).filter(|_| {
            hedging.answered(Duration::from_secs(1));
            hedging.spend()
        });
        assert_eq!(hedged.count(), 10_000 / PRICE as usize);
    }
}
