//! The network cards, as `/sys/class/net` lists them.

use std::fs;
use std::path::Path;

use serde::{Deserialize, Serialize};

const DIRECTORY: &str = "/sys/class/net";
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
