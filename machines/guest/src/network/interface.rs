//! The network cards, as `/sys/class/net` lists them.

use std::fs;
use std::net::Ipv6Addr;
use std::path::Path;

use serde::{Deserialize, Serialize};

const DIRECTORY: &str = "/sys/class/net";
/// Where the kernel lists the IPv6 addresses of all interfaces.
const ADDRESSES: &str = "/proc/net/if_inet6";
const ETHERNET: u32 = 1;
const LOOPBACK: u32 = 772;

/// A network interface.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Interface {
    /// Its name.
    pub name: String,
    /// Its number.
    pub index: u32,
    /// Its hardware address, six bytes between colons.
    pub mac: String,
    /// What kind of link it is, a number of the kernel.
    kind: u32,
    /// Whether a device stands behind it.
    physical: bool,
}

impl Interface {
    /// The bytes of the hardware address.
    pub(super) fn mac_bytes(&self) -> Vec<u8> {
        self.mac.split(':').filter_map(|byte| u8::from_str_radix(byte, 16).ok()).collect()
    }

    /// The address that the kernel made for the internet, by itself, of what a router announced.
    pub(super) fn announced_address(&self) -> Option<(Ipv6Addr, u8)> {
        announced_in(&fs::read_to_string(ADDRESSES).ok()?, &self.name)
    }

    pub(super) fn is_loopback(&self) -> bool {
        self.kind == LOOPBACK
    }

    /// Whether it is an Ethernet card, real or emulated.
    pub(super) fn is_card(&self) -> bool {
        self.kind == ETHERNET && self.physical && self.mac_bytes().len() == 6
    }
}

/// All of them, in the order of their numbers.
pub(super) fn all() -> Vec<Interface> {
    let entries = fs::read_dir(DIRECTORY).into_iter().flatten().flatten();
    let mut all: Vec<Interface> = entries.filter_map(|entry| read(&entry.path())).collect();
    all.sort_by_key(|interface| interface.index);
    all
}

fn read(directory: &Path) -> Option<Interface> {
    let text = |name: &str| fs::read_to_string(directory.join(name)).ok().map(|text| text.trim().to_owned());
    Some(Interface {
        name: directory.file_name()?.to_str()?.to_owned(),
        index: text("ifindex")?.parse().ok()?,
        mac: text("address")?,
        kind: text("type")?.parse().ok()?,
        physical: directory.join("device").exists(),
    })
}

/// A line has address, number, length of the prefix, scope, flags and name, all numbers in hexadecimal digits.
fn announced_in(table: &str, name: &str) -> Option<(Ipv6Addr, u8)> {
    const GLOBAL: &str = "00";
    const TENTATIVE: u8 = 0x40;
    table.lines().find_map(|line| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let [address, _, prefix, scope, flags, of] = fields.as_slice() else { return None };
        let flags = u8::from_str_radix(flags, 16).ok()?;
        if *of != name || *scope != GLOBAL || flags & TENTATIVE != 0 {
            return None;
        }
        let address = Ipv6Addr::from(u128::from_str_radix(address, 16).ok()?);
        Some((address, u8::from_str_radix(prefix, 16).ok()?))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_for_the_internet_is_found() {
        let table = "00000000000000000000000000000001 01 80 10 80       lo\n\
                     fe80000000000000505400fffe123456 02 40 20 80     eth0\n\
                     20010db8000000000000000000000005 02 40 00 40     eth0\n\
                     20010db8000000000000000000000006 02 40 00 00     eth0\n";
        let expected = ("2001:db8::6".parse().unwrap(), 64);
        assert_eq!(announced_in(table, "eth0"), Some(expected));
        assert_eq!(announced_in(table, "eth1"), None);
        assert_eq!(announced_in("nonsense\n", "eth0"), None);
    }
}
