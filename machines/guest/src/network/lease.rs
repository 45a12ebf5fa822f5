//! What a card was given: an address, routes, name servers; by DHCP or by hand. Pure.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr};

use serde::{Deserialize, Serialize};

/// What a card was given.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lease {
    /// The card's address.
    pub address: IpAddr,
    /// How many bits of it name the network.
    pub prefix: u8,
    /// Routes, in the order in which they have to be added.
    pub routes: Vec<Route>,
    /// Name servers, best first.
    pub name_servers: Vec<IpAddr>,
    /// Domains in which names without a dot are looked up.
    pub domains: Vec<String>,
    /// The machine's name.
    pub hostname: Option<String>,
    /// The largest packet.
    pub mtu: Option<u32>,
    /// Servers that tell the time.
    pub time_servers: Vec<IpAddr>,
    /// Who gave it, and for how many seconds; `None` if it was given by hand or announced.
    pub dhcp: Option<Granted>,
    /// Whether a router announced the network, and the kernel made the address and routes of that by itself.
    #[serde(default)]
    pub announced: bool,
}

impl Lease {
    /// An address alone.
    pub(crate) fn by_hand(address: IpAddr, prefix: u8) -> Self {
        Self {
            address,
            prefix,
            routes: Vec::new(),
            name_servers: Vec::new(),
            domains: Vec::new(),
            hostname: None,
            mtu: None,
            time_servers: Vec::new(),
            dhcp: None,
            announced: false,
        }
    }

    /// What the kernel made of a router's announcement.
    pub(super) fn announced(address: std::net::Ipv6Addr, prefix: u8) -> Self {
        Self { announced: true, ..Self::by_hand(address.into(), prefix) }
    }
}

/// That a server gave a lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Granted {
    /// The server.
    pub server: Ipv4Addr,
    /// For how many seconds.
    pub seconds: u32,
}

/// A route.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Route {
    /// Where to; the unspecified address with a prefix of 0 for everywhere.
    pub destination: IpAddr,
    /// How many bits of that count.
    pub prefix: u8,
    /// Over whom; `None` if the destination is on the card's own network.
    pub gateway: Option<IpAddr>,
}

impl Route {
    /// To everywhere.
    pub fn default_over(gateway: IpAddr) -> Self {
        let destination = match gateway {
            IpAddr::V4(_) => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
            IpAddr::V6(_) => IpAddr::V6(std::net::Ipv6Addr::UNSPECIFIED),
        };
        Self { destination, prefix: 0, gateway: Some(gateway) }
    }
}

impl fmt::Display for Lease {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.prefix)?;
        let default = self.routes.iter().find(|route| route.prefix == 0);
        if let Some(gateway) = default.and_then(|route| route.gateway) {
            write!(f, " over {gateway}")?;
        }
        match self.dhcp {
            Some(granted) => write!(f, ", by DHCP from {}", granted.server),
            None if self.announced => f.write_str(", as a router announced it"),
            None => f.write_str(", as configured"),
        }
    }
}
