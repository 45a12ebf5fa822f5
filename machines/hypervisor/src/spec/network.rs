//! How a machine reaches others, and how they reach it.

use std::collections::BTreeSet;
use std::fmt;
use std::net::Ipv4Addr;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::SpecError;

/// The most forwarded ports of one machine.
const MOST_FORWARDS: usize = 64;

/// A machine's network.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Network {
    /// None at all.
    Off,
    /// Behind an address translation in a process of the user: outwards everything, inwards only what is forwarded. Needs no
    /// permission.
    User {
        /// Ports of this host that lead into the machine.
        forwards: Vec<PortForward>,
    },
}

/// A port of this host that leads into the machine. As text `2222:22`, `127.0.0.1:2222:22`, `5353:53/udp`, or `:22` for any
/// free port.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PortForward {
    /// The address of this host that is listened on.
    pub address: Ipv4Addr,
    /// The port of this host; without one, a free one is found at each start.
    pub host: Option<u16>,
    /// The port of the machine.
    pub guest: u16,
    /// What is forwarded.
    pub protocol: Protocol,
}

/// What is forwarded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Protocol {
    /// Connections.
    #[default]
    Tcp,
    /// Datagrams.
    Udp,
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
        })
    }
}

impl Network {
    /// The forwarded ports.
    pub fn forwards(&self) -> &[PortForward] {
        match self {
            Self::Off => &[],
            Self::User { forwards } => forwards,
        }
    }

    pub(super) fn check(&self) -> Result<(), SpecError> {
        let forwards = self.forwards();
        if forwards.len() > MOST_FORWARDS {
            let text = format!("the {}th", forwards.len());
            return Err(SpecError::Port { text, why: "a machine has at most 64" });
        }
        let mut seen = BTreeSet::new();
        for forward in forwards {
            if let Some(port) = forward.host
                && !seen.insert((forward.address, port, forward.protocol))
            {
                return Err(SpecError::PortTwice { port });
            }
        }
        Ok(())
    }
}

impl PortForward {
    /// A free port of the loopback interface that leads to `guest`.
    pub fn to(guest: u16) -> Self {
        Self { address: Ipv4Addr::LOCALHOST, host: None, guest, protocol: Protocol::Tcp }
    }
}

impl FromStr for PortForward {
    type Err = SpecError;

    fn from_str(text: &str) -> Result<Self, SpecError> {
        let wrong = |why| SpecError::Port {
            text: text.chars().take(80).flat_map(char::escape_default).collect(),
            why,
        };
        let (ports, protocol) = match text.split_once('/') {
            None => (text, Protocol::Tcp),
            Some((ports, "tcp")) => (ports, Protocol::Tcp),
            Some((ports, "udp")) => (ports, Protocol::Udp),
            Some(_) => return Err(wrong("behind the slash stands tcp or udp")),
        };
        let (host, guest) = ports
            .rsplit_once(':')
            .ok_or_else(|| wrong("write HOST:MACHINE, such as 2222:22, or :22 for any free port"))?;
        let port = |text: &str| {
            let number = text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse::<u16>().ok());
            number
                .flatten()
                .filter(|&port| port > 0)
                .ok_or_else(|| wrong("a port is a number from 1 to 65535"))
        };
        let guest = port(guest)?;
        let (address, host) = match host.rsplit_once(':') {
            None => (Ipv4Addr::LOCALHOST, host),
            Some((address, host)) => {
                let address: Ipv4Addr = address.parse().map_err(|_| {
                    wrong("in front of the first colon stands an IPv4 address of this host, such as 0.0.0.0")
                })?;
                (address, host)
            }
        };
        let host = if host.is_empty() { None } else { Some(port(host)?) };
        Ok(Self { address, host, guest, protocol })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forwards_are_read() {
        let read = |text: &str| text.parse::<PortForward>().expect("because it is a forward");
        assert_eq!(read(":22"), PortForward::to(22));
        assert_eq!(read("2222:22").host, Some(2222));
        assert_eq!(read("5353:53/udp").protocol, Protocol::Udp);
        let open = read("0.0.0.0:8080:80");
        assert_eq!((open.address, open.host), (Ipv4Addr::UNSPECIFIED, Some(8080)));
        for text in [
            "",
            "22",
            "a:22",
            "1:0",
            "0:22",
            "70000:1",
            "1:2,hostfwd=tcp::1-:2",
            "+1:2",
            "1:2/sctp",
            "::1:1:2",
        ] {
            assert!(text.parse::<PortForward>().is_err(), "{text}");
        }
    }

    #[test]
    fn one_port_leads_to_one_place() {
        let forwards = |texts: &[&str]| Network::User {
            forwards: texts.iter().map(|text| text.parse().expect("because it is a forward")).collect(),
        };
        assert!(forwards(&["1:1", "1:2/udp", ":3", ":3"]).check().is_ok());
        assert!(matches!(forwards(&["1:1", "1:2"]).check(), Err(SpecError::PortTwice { port: 1 })));
    }
}
