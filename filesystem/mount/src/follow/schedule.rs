//! When each repository is asked for next, and who waits for that. Asks nobody, and knows no clock.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use crossbeam_channel::Sender;
use varve_repository::RepositoryName;

/// The first pause after a failure; it doubles.
const FIRST_RETRY: Duration = Duration::from_secs(2);

/// The next questions.
#[derive(Default)]
pub(super) struct Schedule {
    due: HashMap<RepositoryName, Due>,
    waiting: Vec<Waiting>,
}

struct Due {
    at: Instant,
    /// How often it failed in a row.
    failures: u32,
    /// How often it was asked for, the present time included.
    asked: u64,
    under_way: bool,
    /// While it was under way, something was announced that it may have missed.
    again: bool,
}

/// Somebody who waits until every repository was asked for, and how often that has to have been.
struct Waiting {
    missing: HashMap<RepositoryName, u64>,
    done: Sender<()>,
}

impl Schedule {
    /// Takes a repository up, if it is new: it is asked for after the pause.
    pub(super) fn add(&mut self, name: &RepositoryName, now: Instant, pause: impl FnOnce() -> Duration) {
        if !self.due.contains_key(name) {
            let due = Due { at: now + pause(), failures: 0, asked: 0, under_way: false, again: false };
            self.due.insert(name.clone(), due);
        }
    }

    /// Everything is due now; `done` is told once all of it was asked for after this moment.
    pub(super) fn hurry(&mut self, now: Instant, done: Sender<()>) {
        let mut missing = HashMap::new();
        for (name, due) in &mut self.due {
            due.at = now;
            missing.insert(name.clone(), due.asked + 1);
        }
        self.waiting.push(Waiting { missing, done });
        self.release();
    }

    /// This one is due now.
    pub(super) fn hurry_one(&mut self, name: &RepositoryName, now: Instant) {
        if let Some(due) = self.due.get_mut(name) {
            due.again = due.under_way;
            due.at = now;
        }
    }

    /// Whether this one is to be asked for now; then it counts as under way until [`Self::ended`].
    pub(super) fn begin(&mut self, name: &RepositoryName, now: Instant) -> bool {
        let Some(due) = self.due.get_mut(name).filter(|due| !due.under_way && due.at <= now) else {
            return false;
        };
        due.under_way = true;
        due.asked += 1;
        true
    }

    /// It was asked for, and is asked for again after the pause; after a failure earlier than that, and later each time.
    pub(super) fn ended(&mut self, name: &RepositoryName, now: Instant, pause: Duration, succeeded: bool) {
        let Some(due) = self.due.get_mut(name) else { return };
        due.under_way = false;
        due.failures = if succeeded { 0 } else { due.failures.saturating_add(1) };
        let pause = match due.failures {
            0 => pause,
            failures => FIRST_RETRY.saturating_mul(2u32.saturating_pow(failures - 1)).min(pause),
        };
        let asked = due.asked;
        // Only what was asked for successfully is asked for again at once: a server may announce more than it has.
        let again = std::mem::take(&mut due.again) && succeeded;
        due.at = if again { now } else { now + pause };
        for waiting in &mut self.waiting {
            match waiting.missing.get(name) {
                Some(&wanted) if wanted <= asked => drop(waiting.missing.remove(name)),
                // This question was under way already when somebody asked for a new one.
                Some(_) => due.at = now,
                None => {}
            }
        }
        self.release();
    }

    /// How long there is nothing to do.
    pub(super) fn pause(&self, now: Instant) -> Option<Duration> {
        let idle = self.due.values().filter(|due| !due.under_way);
        idle.map(|due| due.at.saturating_duration_since(now)).min()
    }

    fn release(&mut self) {
        self.waiting.retain(|waiting| {
            let over = waiting.missing.is_empty();
            if over {
                let _ = waiting.done.send(());
            }
            !over
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TTL: Duration = Duration::from_secs(240);

    fn names() -> [RepositoryName; 2] {
        ["slow.example", "quick.example"].map(|name| name.parse().unwrap())
    }

    #[test]
    fn one_that_does_not_answer_delays_nobody_else() {
        let (now, [slow, quick]) = (Instant::now(), names());
        let mut schedule = Schedule::default();
        for name in [&slow, &quick] {
            schedule.add(name, now, || Duration::ZERO);
            assert!(schedule.begin(name, now));
        }
        schedule.ended(&quick, now, TTL, true);
        assert_eq!(schedule.pause(now), Some(TTL));
        assert!(!schedule.begin(&quick, now) && !schedule.begin(&slow, now + TTL));
        assert!(schedule.begin(&quick, now + TTL));
    }

    #[test]
    fn what_is_announced_is_asked_for_at_once_and_again_if_that_was_under_way() {
        let (now, [name, other]) = (Instant::now(), names());
        let mut schedule = Schedule::default();
        schedule.add(&name, now, || TTL);
        schedule.hurry_one(&other, now);
        schedule.hurry_one(&name, now);
        assert!(schedule.begin(&name, now));
        schedule.hurry_one(&name, now);
        schedule.ended(&name, now, TTL, true);
        assert!(schedule.begin(&name, now));
        schedule.ended(&name, now, TTL, true);
        assert_eq!(schedule.pause(now), Some(TTL));
        assert!(!schedule.begin(&name, now));
    }

    #[test]
    fn failures_are_tried_again_later_and_later_up_to_the_pause() {
        let (now, [name, _]) = (Instant::now(), names());
        let mut schedule = Schedule::default();
        schedule.add(&name, now, || Duration::ZERO);
        let pauses: Vec<_> = (0..9)
            .map(|_| {
                schedule.ended(&name, now, TTL, false);
                schedule.pause(now).unwrap().as_secs()
            })
            .collect();
        assert_eq!(pauses, [2, 4, 8, 16, 32, 64, 128, 240, 240]);
        schedule.ended(&name, now, TTL, true);
        schedule.ended(&name, now, TTL, false);
        assert_eq!(schedule.pause(now).unwrap().as_secs(), 2);
    }

    #[test]
    fn who_waits_gets_an_answer_that_was_asked_for_afterwards() {
        let (now, [slow, quick]) = (Instant::now(), names());
        let mut schedule = Schedule::default();
        let (done, wait) = crossbeam_channel::unbounded();
        schedule.hurry(now, done.clone());
        assert!(wait.try_recv().is_ok(), "there is nothing to wait for");
        schedule.add(&slow, now, || Duration::ZERO);
        schedule.add(&quick, now, || TTL);
        assert!(schedule.begin(&slow, now) && !schedule.begin(&quick, now));
        schedule.hurry(now, done);
        assert!(schedule.begin(&quick, now));
        schedule.ended(&quick, now, TTL, true);
        schedule.ended(&slow, now, TTL, true);
        assert!(wait.try_recv().is_err());
        assert!(schedule.begin(&slow, now), "the answer may have been on its way before");
        schedule.ended(&slow, now, TTL, true);
        assert!(wait.try_recv().is_ok());
    }
}
