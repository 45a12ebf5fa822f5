//! VMware: `guestinfo.userdata` and `guestinfo.metadata` of a machine's settings, as cloud-init has them, asked for through the
//! hypervisor's own channel.

mod channel;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use self::channel::{Channel, Port, Register};
use super::{Found, MOST_METADATA, MOST_USER_DATA, no_cloud};

/// What the hypervisor calls itself.
#[cfg(target_arch = "x86_64")]
const VENDOR: [u8; 12] = *b"VMwareVMware";

/// Asks, if the hypervisor is VMware's: nobody else must be asked this way.
pub(super) fn read() -> Option<Found> {
    if !is_vmware() {
        return None;
    }
    read_through(&mut Register)
}

fn read_through(port: &mut impl Port) -> Option<Found> {
    let mut variable = |name: &str, most: u64| -> Option<Vec<u8>> {
        let mut ask = |name: &str| {
            let answer = Channel::open(port)?.ask(format!("info-get {name}").as_bytes(), most as usize)?;
            // `1 VALUE`, or `0 No value found`.
            answer.strip_prefix(b"1 ").map(<[u8]>::to_vec)
        };
        let value = ask(name).filter(|value| !value.is_empty())?;
        match ask(&format!("{name}.encoding")).as_deref() {
            // What is compressed is unpacked by who reads it.
            Some(b"base64" | b"b64" | b"gzip+base64" | b"gz+b64") => {
                let compact: Vec<u8> = value.into_iter().filter(|byte| !byte.is_ascii_whitespace()).collect();
                STANDARD.decode(compact).ok()
            }
            _ => Some(value),
        }
    };
    let user_data = variable("guestinfo.userdata", MOST_USER_DATA);
    let metadata =
        variable("guestinfo.metadata", MOST_METADATA).and_then(|bytes| String::from_utf8(bytes).ok());
    if user_data.is_none() && metadata.is_none() {
        return None;
    }
    let facts = metadata.map(|text| no_cloud::facts(&text)).unwrap_or_default();
    Some(Found { user_data, facts, ..Found::default() })
}

/// Whether the processor says that VMware's hypervisor is beneath it.
#[cfg(target_arch = "x86_64")]
fn is_vmware() -> bool {
    use std::arch::x86_64::__cpuid;
    // The bit that no processor sets, and every hypervisor does.
    if __cpuid(1).ecx & (1 << 31) == 0 {
        return false;
    }
    let leaf = __cpuid(0x4000_0000);
    let said = [leaf.ebx, leaf.ecx, leaf.edx].map(u32::to_le_bytes).concat();
    said == VENDOR
}

#[cfg(not(target_arch = "x86_64"))]
fn is_vmware() -> bool {
    false
}

#[cfg(test)]
mod tests {
    use super::channel::tests::Host;
    use super::*;

    #[test]
    fn user_data_and_metadata_come_through_the_channel() {
        let mut host = Host::new(&[
            ("guestinfo.userdata", "I2Nsb3VkLWNvbmZpZwo="),
            ("guestinfo.userdata.encoding", "base64"),
            ("guestinfo.metadata", "instance-id: i-7\nlocal-hostname: vm7\n"),
        ]);
        let found = read_through(&mut host).unwrap();
        assert_eq!(found.user_data.as_deref(), Some(&b"#cloud-config\n"[..]));
        assert_eq!(found.facts.instance_id.as_deref(), Some("i-7"));
        assert_eq!(found.facts.hostname.as_deref(), Some("vm7"));
        assert_eq!(host.open(), 0, "every channel is closed");
    }

    #[test]
    fn a_machine_without_them_has_none() {
        let mut host = Host::new(&[]);
        assert_eq!(read_through(&mut host), None);
        assert_eq!(host.open(), 0);
    }

    #[test]
    fn a_host_that_answers_nonsense_is_left() {
        let mut host = Host::new(&[("guestinfo.userdata", "x")]);
        host.announced = Some(u32::MAX);
        assert_eq!(read_through(&mut host), None);
        let mut host = Host::new(&[("guestinfo.userdata", "x")]);
        host.broken = true;
        assert_eq!(read_through(&mut host), None);
    }
}
