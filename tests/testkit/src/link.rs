//! A slow link between two network namespaces, for latency and loss without the kernel's own emulator.
//!
//! ```text
//!  namespace near            this process                namespace far
//!  10.203.0.1 ── varve0 ══▶ rate ─▶ queue ─▶ delay ══▶ varve0 ── 10.203.0.2
//!                varve0 ◀══ delay ◀─ queue ◀─ rate ◀══ varve0
//! ```
//!
//! The namespaces have no names and end with their last holder, so that nothing is left behind, not even by a killed
//! test. The two devices are TUN; [`relay`] holds the packets back. Needs root, `/dev/net/tun` and `ip`.

mod namespace;
mod network;
mod relay;
mod system;

use std::io;
use std::time::Duration;

pub use namespace::Namespace;
pub use network::Network;
use relay::Relay;
pub use relay::Traffic;

/// How slow the link is, the same in both directions.
#[derive(Clone, Copy, Debug)]
pub struct LinkSettings {
    /// How long a packet takes in one direction; a round trip takes twice as long.
    pub delay: Duration,
    /// The most bytes per second in one direction, headers of IP included; 0 for no limit.
    pub rate: u64,
    /// The share of packets that are lost, from 0 to 1.
    pub loss: f64,
    /// How many bytes may wait for the rate before more are dropped.
    pub queue: u64,
}

impl LinkSettings {
    /// Neither delay nor loss.
    pub const AT_ONCE: Self = Self { delay: Duration::ZERO, rate: 0, loss: 0.0, queue: 1 << 20 };

    /// Nothing arrives.
    pub const CUT: Self = Self { loss: 1.0, ..Self::AT_ONCE };

    /// A link across a continent: 50 ms there and back, 100 Mbit/s.
    pub const FAR_AWAY: Self =
        Self { delay: Duration::from_millis(25), rate: 12_500_000, loss: 0.0, queue: 1 << 20 };
}

/// Two namespaces and what carries packets between them.
pub struct Link {
    near: Namespace,
    far: Namespace,
    there: Relay,
    back: Relay,
}

impl Link {
    /// Makes the namespaces and connects them.
    ///
    /// # Errors
    /// [`io::ErrorKind::PermissionDenied`] or [`io::ErrorKind::NotFound`] where the machine does not allow or have it,
    /// anything else if something is wrong.
    pub fn new(settings: LinkSettings) -> io::Result<Self> {
        let (near, near_device) = Namespace::with_device([10, 203, 0, 1].into())?;
        let (far, far_device) = Namespace::with_device([10, 203, 0, 2].into())?;
        let there = Relay::start(near_device.try_clone()?, far_device.try_clone()?, settings, 1)?;
        let back = Relay::start(far_device, near_device, settings, 2)?;
        Ok(Self { near, far, there, back })
    }

    /// As [`Self::new`], but prints why and gives `None` where the machine does not allow or have it.
    ///
    /// # Panics
    /// If something else is wrong.
    pub fn or_skip(settings: LinkSettings) -> Option<Self> {
        use io::ErrorKind::{NotFound, PermissionDenied};
        match Self::new(settings) {
            Ok(link) => Some(link),
            Err(error) if matches!(error.kind(), NotFound | PermissionDenied) => {
                println!("skipped: no link between network namespaces can be made here ({error})");
                None
            }
            Err(error) => panic!("the link cannot be made: {error}"),
        }
    }

    /// The side that tests put their client on.
    pub fn near(&self) -> &Namespace {
        &self.near
    }

    /// The side that tests put their server on.
    pub fn far(&self) -> &Namespace {
        &self.far
    }

    /// What was carried from near to far.
    pub fn there(&self) -> Traffic {
        self.there.traffic()
    }

    /// What was carried from far to near.
    pub fn back(&self) -> Traffic {
        self.back.traffic()
    }
}
