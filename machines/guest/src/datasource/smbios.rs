//! NoCloud by the serial number of the machine: `ds=nocloud;i=ID;h=NAME`, as `-smbios type=1,serial=…` gives it. The user
//! data themselves are elsewhere; this only names the machine.

use std::path::Path;

use super::{Facts, Found, text_file};

/// Where the kernel shows what the firmware says of the machine.
pub(super) const DIRECTORY: &str = "/sys/class/dmi/id";

pub(super) fn read(directory: &Path) -> Option<Found> {
    let serial = text_file(&directory.join("product_serial"))?;
    let mut words = serial.trim().split(';');
    if !matches!(words.next(), Some("ds=nocloud" | "ds=nocloud-net")) {
        return None;
    }
    let mut facts = Facts::default();
    for (name, value) in words.filter_map(|word| word.split_once('=')) {
        match name {
            "i" | "instance-id" => facts.instance_id = Some(value.to_owned()),
            "h" | "local-hostname" => facts.hostname = Some(value.to_owned()),
            _ => {}
        }
    }
    Some(Found { facts: facts.checked(), ..Found::default() })
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_serial_number_can_name_the_machine() {
        let scratch = varve_testkit::Scratch::new();
        assert_eq!(read(&scratch.join("")), None);
        fs::write(scratch.join("product_serial"), "VMware-42\n").unwrap();
        assert_eq!(read(&scratch.join("")), None);
        fs::write(scratch.join("product_serial"), "ds=nocloud;i=i-1;h=node\n").unwrap();
        let facts = read(&scratch.join("")).unwrap().facts;
        assert_eq!((facts.instance_id.as_deref(), facts.hostname.as_deref()), (Some("i-1"), Some("node")));
    }
}
