//! The network: every card gets its addresses, routes and name servers, by DHCP or as it is said; the operating system takes
//! them over without a gap, for its own files come over them.

pub mod address;
mod dhcp;
mod interface;
pub(crate) mod lease;
mod netlink;
pub mod resolver;
mod takeover;

use std::net::IpAddr;
use std::sync::mpsc;
use std::time::{Duration, Instant};

pub use self::interface::Interface;
pub use self::lease::{Lease, Route};
pub use self::takeover::write_networkd;

use self::netlink::Netlink;
use crate::console::{Console, chain};
use crate::error::GuestError;

/// How long the other cards may take once the first one has an address.
const GRACE: Duration = Duration::from_millis(1500);
/// How long DHCP is waited for where a router has announced a network of IPv6.
const ANNOUNCED_PATIENCE: Duration = Duration::from_secs(5);
/// The metric of the first card's routes; those of the next ones are higher.
const METRIC: u32 = 100;

/// What the network came to.
#[derive(Clone, Debug, Default)]
pub struct Network {
    /// The cards that have addresses.
    pub configured: Vec<Configured>,
}

/// A card and what it was given.
#[derive(Clone, Debug)]
pub struct Configured {
    /// The card.
    pub interface: Interface,
    /// Its addresses.
    pub lease: Lease,
}

impl Network {
    /// Name servers, those of the first card first.
    pub fn name_servers(&self) -> Vec<IpAddr> {
        let mut servers = Vec::new();
        for server in self.configured.iter().flat_map(|configured| &configured.lease.name_servers) {
            if !servers.contains(server) {
                servers.push(*server);
            }
        }
        servers
    }

    /// The servers that gave the addresses.
    pub fn dhcp_servers(&self) -> Vec<IpAddr> {
        self.configured.iter().filter_map(|configured| Some(configured.lease.dhcp?.server.into())).collect()
    }

    /// The machine's addresses.
    pub fn addresses(&self) -> Vec<String> {
        self.configured.iter().map(|configured| configured.lease.address.to_string()).collect()
    }

    /// The name that the network offers.
    pub fn hostname(&self) -> Option<String> {
        self.configured.iter().find_map(|configured| configured.lease.hostname.clone())
    }
}

/// Brings every card up that is there. Returns when each has what it asked for, or one has and the others took too long.
///
/// # Errors
/// [`GuestError::NoNetwork`] if none has an address when `patience` is over.
pub fn bring_up(
    console: &Console,
    fixed: &[address::Fixed],
    patience: Duration,
) -> Result<Network, GuestError> {
    let started = Instant::now();
    if let Some(loopback) = interface::all().into_iter().find(Interface::is_loopback) {
        let _ = Netlink::open().and_then(|mut netlink| netlink.set_up(loopback.index, None));
    }
    let cards: Vec<Interface> = interface::all().into_iter().filter(Interface::is_card).collect();
    if cards.is_empty() {
        return Err(GuestError::NoNetwork {
            reason: "this machine has no network card with a driver".to_owned(),
        });
    }
    let (sender, results) = mpsc::channel();
    for (at, card) in cards.iter().enumerate() {
        let (card, sender, until) = (card.clone(), sender.clone(), started + patience);
        let fixed = fixed.iter().find(|fixed| fixed.is_for(&card)).cloned();
        std::thread::spawn(move || {
            let result = configure(&card, at, fixed, until);
            let _ = sender.send((at, card, result));
        });
    }
    drop(sender);
    let mut configured = Vec::new();
    let mut failures = Vec::new();
    let mut until = started + patience + Duration::from_secs(1);
    while let Ok((at, card, result)) = results.recv_timeout(until.saturating_duration_since(Instant::now())) {
        match result {
            Ok(lease) => {
                console.say(format_args!("{}: {}", card.name, lease));
                configured.push((at, Configured { interface: card, lease }));
                until = until.min(Instant::now() + GRACE);
            }
            Err(error) => {
                console.detail(format_args!("{}: {}", card.name, chain(&error)));
                failures.push(format!("{}: {}", card.name, chain(&error)));
            }
        }
    }
    if configured.is_empty() {
        let silent = || cards.iter().map(|card| card.name.as_str()).collect::<Vec<_>>().join(", ");
        let reason =
            if failures.is_empty() { format!("no answer on {}", silent()) } else { failures.join("; ") };
        return Err(GuestError::NoNetwork { reason });
    }
    configured.sort_by_key(|(at, _)| *at);
    Ok(Network { configured: configured.into_iter().map(|(_, configured)| configured).collect() })
}

fn configure(
    card: &Interface,
    at: usize,
    fixed: Option<address::Fixed>,
    until: Instant,
) -> Result<Lease, GuestError> {
    let mut netlink = Netlink::open()?;
    netlink.set_up(card.index, None)?;
    let lease = match fixed.and_then(|fixed| fixed.lease) {
        Some(lease) => lease,
        None => by_itself(card, until)?,
    };
    if lease.announced {
        return Ok(lease);
    }
    apply(&mut netlink, card, &lease, METRIC + at as u32)?;
    Ok(lease)
}

/// Asks by DHCP. Where a router announced a network of IPv6 and nobody answers to DHCP, that will do.
fn by_itself(card: &Interface, until: Instant) -> Result<Lease, GuestError> {
    let patient_until = Instant::now() + ANNOUNCED_PATIENCE;
    let asked =
        dhcp::ask(card, until, || Instant::now() > patient_until && card.announced_address().is_some());
    match (asked, card.announced_address()) {
        (Err(_), Some((address, prefix))) => Ok(Lease::announced(address, prefix)),
        (asked, _) => asked,
    }
}

/// Gives a card what a lease says.
fn apply(netlink: &mut Netlink, card: &Interface, lease: &Lease, metric: u32) -> Result<(), GuestError> {
    if let Some(mtu) = lease.mtu {
        netlink.set_up(card.index, Some(mtu))?;
    }
    netlink.add_address(card.index, lease.address, lease.prefix)?;
    for route in &lease.routes {
        netlink.add_route(card.index, route, metric)?;
    }
    Ok(())
}
