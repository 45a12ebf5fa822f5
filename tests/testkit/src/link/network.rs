//! Several network namespaces, each on a line of its own to a common switch. Lines change while packets flow: they get
//! slow, lose packets, are cut and restored.

use std::fs::File;
use std::io::{self, Read as _};
use std::net::Ipv4Addr;
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Instant;

use rustix::event::{EventfdFlags, PollFd, PollFlags, eventfd, poll};
use rustix::fd::OwnedFd;

use super::relay::{Counters, Packet, Schedule, give};
use super::{LinkSettings, Namespace};

/// Where the address of the receiver stands in a packet of IPv4.
const RECEIVER: std::ops::Range<usize> = 16..20;

/// The namespaces and what carries packets between them. They reach each other by their addresses.
pub struct Network {
    nodes: Vec<Namespace>,
    lines: Lines,
    /// Readable once everything has to end.
    end: Arc<OwnedFd>,
    threads: Vec<JoinHandle<()>>,
}

/// The settings of each line.
type Lines = Arc<Mutex<Vec<LinkSettings>>>;

impl Network {
    /// So many namespaces whose lines neither delay nor lose anything.
    ///
    /// # Errors
    /// As [`super::Link::new`].
    pub fn new(count: u8) -> io::Result<Self> {
        let made: Vec<(Namespace, File)> =
            (1..=count).map(|host| Namespace::with_device(address(host))).collect::<io::Result<_>>()?;
        let lines: Lines = Arc::new(Mutex::new(vec![LinkSettings::AT_ONCE; made.len()]));
        let end = Arc::new(eventfd(0, EventfdFlags::CLOEXEC)?);
        let (nodes, devices): (Vec<Namespace>, Vec<File>) = made.into_iter().unzip();
        let mut network = Self { nodes, lines, end, threads: Vec::new() };
        for (sender, device) in devices.iter().enumerate() {
            let mut ways = Vec::new();
            for receiver in &devices {
                let (way, packets) = channel();
                let to = receiver.try_clone()?;
                network.threads.push(thread::spawn(move || give(to, &packets, &Counters::default())));
                ways.push(way);
            }
            let (from, lines, end) =
                (device.try_clone()?, Arc::clone(&network.lines), Arc::clone(&network.end));
            network.threads.push(thread::spawn(move || {
                // A device that fails has gone away, with its namespace.
                let _ended = take(from, sender, &lines, &end, &ways);
            }));
        }
        Ok(network)
    }

    /// As [`Self::new`], but prints why and gives `None` where the machine does not allow or have it.
    ///
    /// # Panics
    /// If something else is wrong.
    pub fn or_skip(count: u8) -> Option<Self> {
        use io::ErrorKind::{NotFound, PermissionDenied};
        match Self::new(count) {
            Ok(network) => Some(network),
            Err(error) if matches!(error.kind(), NotFound | PermissionDenied) => {
                println!("skipped: no network namespaces can be connected here ({error})");
                None
            }
            Err(error) => panic!("the network cannot be made: {error}"),
        }
    }

    /// The namespace with this number, from 0.
    pub fn node(&self, number: usize) -> &Namespace {
        &self.nodes[number]
    }

    /// Changes the line of a namespace for all packets that are sent from now on. The rate is that of what it sends.
    pub fn change(&self, number: usize, settings: LinkSettings) {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)[number] = settings;
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        let _signalled = rustix::io::write(&self.end, &1u64.to_ne_bytes());
        for thread in self.threads.drain(..) {
            let _ended = thread.join();
        }
    }
}

fn address(host: u8) -> Ipv4Addr {
    Ipv4Addr::new(10, 203, 0, host)
}

fn take(
    mut from: File,
    sender: usize,
    lines: &Lines,
    end: &OwnedFd,
    ways: &[Sender<Packet>],
) -> io::Result<()> {
    let mut schedule = Schedule::new(LinkSettings::AT_ONCE, sender as u64 + 1);
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
        let Some(receiver) = receiver(&buffer[..length]).filter(|receiver| *receiver < ways.len()) else {
            continue;
        };
        let settings = {
            let lines = lines.lock().unwrap_or_else(PoisonError::into_inner);
            together(lines[sender], lines[receiver])
        };
        schedule.settings = settings;
        let Some(due) = schedule.arrival(Instant::now(), length) else { continue };
        if ways[receiver].send(Packet { due, bytes: buffer[..length].to_vec() }).is_err() {
            return Ok(());
        }
    }
}

/// The number of the namespace that a packet is for.
fn receiver(packet: &[u8]) -> Option<usize> {
    let octets: [u8; 4] = packet.get(RECEIVER)?.try_into().ok()?;
    let host = octets[3];
    let is_here = packet[0] >> 4 == 4 && host > 0 && Ipv4Addr::from(octets) == address(host);
    is_here.then(|| usize::from(host) - 1)
}

/// Two lines, one behind the other.
fn together(first: LinkSettings, second: LinkSettings) -> LinkSettings {
    LinkSettings {
        delay: first.delay + second.delay,
        rate: match (first.rate, second.rate) {
            (0, rate) | (rate, 0) => rate,
            (first, second) => first.min(second),
        },
        loss: 1.0 - (1.0 - first.loss) * (1.0 - second.loss),
        queue: first.queue.min(second.queue),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn packets_go_to_whom_they_are_addressed() {
        let mut packet = [0; 20];
        packet[0] = 0x45;
        packet[RECEIVER].copy_from_slice(&[10, 203, 0, 3]);
        assert_eq!(receiver(&packet), Some(2));
        packet[RECEIVER].copy_from_slice(&[10, 203, 1, 3]);
        assert_eq!(receiver(&packet), None);
        assert_eq!(receiver(&[0x60; 40]), None, "because that is IPv6");
        assert_eq!(receiver(&[0x45]), None);
    }

    #[test]
    fn two_lines_add_up() {
        let slow = LinkSettings { loss: 0.5, rate: 10, ..LinkSettings::FAR_AWAY };
        let both = together(slow, LinkSettings { loss: 0.5, ..LinkSettings::FAR_AWAY });
        assert_eq!((both.rate, both.loss, both.delay), (10, 0.75, Duration::from_millis(50)));
        assert_eq!(together(LinkSettings::AT_ONCE, slow).rate, 10);
    }
}
