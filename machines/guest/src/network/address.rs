//! Addresses given by hand: `ip=` of the kernel's command line, in the form of Linux's own autoconfiguration. Pure.

use std::net::IpAddr;

use super::interface::Interface;
use super::lease::{Lease, Route};
use crate::command_line::CommandLine;
use crate::error::GuestError;

/// How one card is to get its address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fixed {
    /// The card's name or hardware address; `None` for whichever comes first.
    pub card: Option<String>,
    /// Its address; `None` for asking by DHCP.
    pub lease: Option<Lease>,
}

impl Fixed {
    /// Whether it is about this card.
    pub fn is_for(&self, card: &Interface) -> bool {
        self.card.as_ref().is_none_or(|name| *name == card.name || name.eq_ignore_ascii_case(&card.mac))
    }

    /// Everything that a command line says with `ip=` and `nameserver=`.
    ///
    /// # Errors
    /// [`GuestError::Setting`].
    pub fn of_command_line(line: &CommandLine) -> Result<Vec<Self>, GuestError> {
        let mut all: Vec<Self> = line.values("ip").map(Self::parse).collect::<Result<_, _>>()?;
        let more: Vec<IpAddr> = line.values("nameserver").filter_map(|text| text.parse().ok()).collect();
        for lease in all.iter_mut().filter_map(|fixed| fixed.lease.as_mut()) {
            lease.name_servers.extend(&more);
        }
        Ok(all)
    }

    /// `ADDRESS:SERVER:GATEWAY:NETMASK:HOSTNAME:CARD:METHOD:DNS:DNS`, `CARD:METHOD`, or a method alone.
    fn parse(text: &str) -> Result<Self, GuestError> {
        let malformed = |what: &str| GuestError::Setting {
            place: format!("ip={text}"),
            reason: format!(
                "{what}; expected ADDRESS::GATEWAY:NETMASK:HOSTNAME:CARD:off:NAMESERVER, or dhcp"
            ),
        };
        let fields = split(text);
        let field = |at: usize| fields.get(at).map(String::as_str).filter(|field| !field.is_empty());
        let by_dhcp = |card: Option<&str>| Self { card: card.map(str::to_owned), lease: None };
        match fields.as_slice() {
            [method] if is_dhcp(method) => return Ok(by_dhcp(None)),
            [card, method] if is_dhcp(method) => return Ok(by_dhcp(Some(card))),
            _ => {}
        }
        let Some(address) = field(0) else {
            return match field(6) {
                Some(method) if !is_dhcp(method) => Err(malformed("there is no address")),
                _ => Ok(by_dhcp(field(5))),
            };
        };
        let ip = |text: &str, what: &str| -> Result<IpAddr, GuestError> {
            text.parse().map_err(|_| malformed(&format!("'{text}' is no {what}")))
        };
        let (address, length) = match address.split_once('/') {
            Some((address, length)) => (address, Some(length)),
            None => (address, field(3)),
        };
        let address = ip(address, "address")?;
        let longest = if address.is_ipv4() { 32 } else { 128 };
        let prefix = match length {
            None => {
                if address.is_ipv4() {
                    24
                } else {
                    64
                }
            }
            Some(mask) => match mask.parse::<u8>() {
                Ok(bits) if bits <= longest => bits,
                _ => mask
                    .parse()
                    .ok()
                    .and_then(super::dhcp::prefix_of)
                    .ok_or_else(|| malformed(&format!("'{mask}' is no netmask")))?,
            },
        };
        let gateway = field(2).map(|text| ip(text, "gateway")).transpose()?;
        let name_servers = [field(7), field(8)]
            .into_iter()
            .flatten()
            .map(|text| ip(text, "name server"))
            .collect::<Result<_, _>>()?;
        let time_servers = field(9).map(|text| ip(text, "time server")).transpose()?;
        Ok(Self {
            card: field(5).map(str::to_owned),
            lease: Some(Lease {
                routes: gateway.map(Route::default_over).into_iter().collect(),
                name_servers,
                hostname: field(4).map(str::to_owned),
                time_servers: time_servers.into_iter().collect(),
                ..Lease::by_hand(address, prefix)
            }),
        })
    }
}

fn is_dhcp(method: &str) -> bool {
    matches!(method, "dhcp" | "on" | "any" | "both" | "dhcp6" | "auto6" | "either6")
}

/// The fields between colons; an IPv6 address stands in brackets.
fn split(text: &str) -> Vec<String> {
    let (mut fields, mut inside) = (vec![String::new()], false);
    for c in text.chars() {
        match c {
            '[' => inside = true,
            ']' => inside = false,
            ':' if !inside => fields.push(String::new()),
            c => fields.last_mut().expect("because there is always a field").push(c),
        }
    }
    fields
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Fixed {
        Fixed::parse(text).unwrap()
    }

    #[test]
    fn addresses_are_read_as_the_kernel_reads_them() {
        let fixed = read("10.0.0.5::10.0.0.1:255.255.255.0:node5:eth1:off:10.0.0.2:10.0.0.3");
        assert_eq!(fixed.card.as_deref(), Some("eth1"));
        let lease = fixed.lease.unwrap();
        assert_eq!(lease.to_string(), "10.0.0.5/24 over 10.0.0.1, as configured");
        assert_eq!((lease.name_servers.len(), lease.hostname.as_deref()), (2, Some("node5")));
        assert_eq!(read("10.0.0.5/20::10.0.0.1").lease.unwrap().prefix, 20);
        let six = read("[2001:db8::5]::[2001:db8::1]:64::eth0:none").lease.unwrap();
        assert_eq!(six.to_string(), "2001:db8::5/64 over 2001:db8::1, as configured");
        for (text, card) in [("dhcp", None), ("eth0:dhcp", Some("eth0")), (":::::eth0:dhcp", Some("eth0"))] {
            assert_eq!(read(text), Fixed { card: card.map(str::to_owned), lease: None });
        }
        for bad in ["10.0.0.300", "10.0.0.1:::255.0.255.0", "10.0.0.1::x", "::::::off", "10.0.0.1/64"] {
            assert!(Fixed::parse(bad).unwrap_err().to_string().contains(bad), "{bad}");
        }
    }

    #[test]
    fn name_servers_can_be_named_apart() {
        let line = CommandLine::parse("ip=10.0.0.5/24::10.0.0.1 nameserver=10.0.0.9");
        let fixed = Fixed::of_command_line(&line).unwrap();
        assert_eq!(fixed[0].lease.as_ref().unwrap().name_servers, ["10.0.0.9".parse::<IpAddr>().unwrap()]);
    }
}
