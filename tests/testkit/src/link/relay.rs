//! One direction of a link: takes packets from one device, holds each back as long as the link would, and gives it to
//! the other device. Packets keep their order.

use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle, sleep};
use std::time::{Duration, Instant};

use rustix::event::{EventfdFlags, PollFd, PollFlags, eventfd, poll};
use rustix::fd::OwnedFd;

use super::LinkSettings;
use crate::Random;

/// What one direction has carried.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Packets handed over.
    pub packets: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Packets lost, by chance or for want of room in the queue.
    pub dropped: u64,
}

/// A running direction. It ends when this is dropped.
pub(super) struct Relay {
    /// Readable once it has to end.
    end: Arc<OwnedFd>,
    counters: Arc<Counters>,
    threads: Vec<JoinHandle<()>>,
}

#[derive(Default)]
pub(super) struct Counters {
    packets: AtomicU64,
    bytes: AtomicU64,
    dropped: AtomicU64,
}

/// A packet, and when it arrives at the other side.
pub(super) struct Packet {
    pub(super) due: Instant,
    pub(super) bytes: Vec<u8>,
}

impl Relay {
    pub(super) fn start(from: File, to: File, settings: LinkSettings, seed: u64) -> io::Result<Self> {
        let end = Arc::new(eventfd(0, EventfdFlags::CLOEXEC)?);
        let counters = Arc::new(Counters::default());
        let (sender, receiver) = channel();
        let (ending, counting) = (Arc::clone(&end), Arc::clone(&counters));
        let taking = thread::spawn(move || {
            // A device that fails has gone away, with its namespace.
            let _ended = take(from, &ending, &Mutex::new(Schedule::new(settings, seed)), &sender, &counting);
        });
        let counting = Arc::clone(&counters);
        let giving = thread::spawn(move || give(to, &receiver, &counting));
        Ok(Self { end, counters, threads: vec![taking, giving] })
    }

    pub(super) fn traffic(&self) -> Traffic {
        Traffic {
            packets: self.counters.packets.load(Ordering::Relaxed),
            bytes: self.counters.bytes.load(Ordering::Relaxed),
            dropped: self.counters.dropped.load(Ordering::Relaxed),
        }
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        let _signalled = rustix::io::write(&self.end, &1u64.to_ne_bytes());
        for thread in self.threads.drain(..) {
            let _ended = thread.join();
        }
    }
}

/// When packets arrive, for one direction of a link.
pub(super) struct Schedule {
    pub(super) settings: LinkSettings,
    random: Random,
    /// When the last packet has wholly left.
    free: Option<Instant>,
}

impl Schedule {
    pub(super) fn new(settings: LinkSettings, seed: u64) -> Self {
        Self { settings, random: Random::new(seed), free: None }
    }

    /// When a packet that was sent at `now` arrives; `None` if it gets lost.
    pub(super) fn arrival(&mut self, now: Instant, length: usize) -> Option<Instant> {
        // 53 bits make an even number from 0 to 1.
        let chance = (self.random.number() >> 11) as f64 / (1u64 << 53) as f64;
        if chance < self.settings.loss {
            return None;
        }
        let LinkSettings { rate, queue, delay, .. } = self.settings;
        if rate == 0 {
            return Some(now + delay);
        }
        let start = self.free.map_or(now, |free| free.max(now));
        let waiting = start.duration_since(now).as_secs_f64() * rate as f64;
        if waiting + length as f64 > queue as f64 {
            return None;
        }
        let left = start + Duration::from_secs_f64(length as f64 / rate as f64);
        self.free = Some(left);
        Some(left + delay)
    }
}

fn take(
    mut from: File,
    end: &OwnedFd,
    schedule: &Mutex<Schedule>,
    to: &Sender<Packet>,
    counters: &Counters,
) -> io::Result<()> {
    let mut buffer = vec![0; 1 << 16];
    loop {
        let mut ready = [PollFd::new(&from, PollFlags::IN), PollFd::new(end, PollFlags::IN)];
        match poll(&mut ready, None) {
            Err(rustix::io::Errno::INTR) => continue,
            result => result?,
        };
        if !ready[1].revents().is_empty() {
            return Ok(());
        }
        let length = from.read(&mut buffer)?;
        let arrival = schedule.lock().unwrap_or_else(PoisonError::into_inner).arrival(Instant::now(), length);
        let Some(due) = arrival else {
            counters.dropped.fetch_add(1, Ordering::Relaxed);
            continue;
        };
        if to.send(Packet { due, bytes: buffer[..length].to_vec() }).is_err() {
            return Ok(());
        }
    }
}

pub(super) fn give(mut to: File, packets: &Receiver<Packet>, counters: &Counters) {
    while let Ok(packet) = packets.recv() {
        sleep(packet.due.saturating_duration_since(Instant::now()));
        // Until the other side's device is up, packets to it get lost as on any link.
        if to.write_all(&packet.bytes).is_ok() {
            counters.packets.fetch_add(1, Ordering::Relaxed);
            counters.bytes.fetch_add(packet.bytes.len() as u64, Ordering::Relaxed);
        } else {
            counters.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SETTINGS: LinkSettings =
        LinkSettings { delay: Duration::from_millis(10), rate: 1_000_000, loss: 0.0, queue: 3_000 };

    #[test]
    fn packets_wait_for_the_rate_and_then_the_delay() {
        let mut schedule = Schedule::new(SETTINGS, 0);
        let now = Instant::now();
        let after = |micros| Some(now + Duration::from_micros(micros));
        assert_eq!(schedule.arrival(now, 1000), after(11_000));
        assert_eq!(schedule.arrival(now, 1000), after(12_000));
        assert_eq!(schedule.arrival(now, 1000), after(13_000));
        assert_eq!(schedule.arrival(now, 1000), None, "because the queue is full");
        let later = now + Duration::from_millis(2);
        assert_eq!(schedule.arrival(later, 1000), after(14_000));
        let idle = now + Duration::from_millis(50);
        assert_eq!(schedule.arrival(idle, 500), after(60_500));
    }

    #[test]
    fn packets_get_lost_by_chance() {
        let settings = LinkSettings { loss: 0.25, rate: 0, ..SETTINGS };
        let mut schedule = Schedule::new(settings, 7);
        let now = Instant::now();
        let lost = (0..10_000).filter(|_| schedule.arrival(now, 100).is_none()).count();
        assert!((2_200..2_800).contains(&lost), "{lost}");
    }
}
