//! QEMU's firmware configuration: `-fw_cfg name=opt/varve/user-data,file=…` becomes a file in `/sys/firmware`.

use std::path::Path;

use super::{Facts, Found, MOST_USER_DATA, file, text_file};

/// Where the kernel shows what the hypervisor gave.
pub const DIRECTORY: &str = "/sys/firmware/qemu_fw_cfg/by_name";

pub(super) fn read(directory: &Path) -> Option<Found> {
    let own = directory.join("opt/varve");
    let raw = |name: &str| own.join(name).join("raw");
    let facts = Facts {
        instance_id: text_file(&raw("instance-id")),
        hostname: text_file(&raw("hostname")),
        public_keys: text_file(&raw("public-keys"))
            .map(|text| text.lines().map(str::to_owned).collect())
            .unwrap_or_default(),
    };
    let found = Found {
        user_data: file(&raw("user-data"), MOST_USER_DATA),
        facts: facts.checked(),
        network_config: text_file(&raw("network-config")),
        identity: text_file(&raw("identity")),
    };
    (found != Found::default()).then_some(found)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn what_the_hypervisor_gave_is_read() {
        let scratch = varve_testkit::Scratch::new();
        assert_eq!(read(&scratch.join("none")), None);
        let put = |name: &str, text: &str| {
            fs::write(scratch.directory(&format!("opt/varve/{name}")).join("raw"), text).unwrap();
        };
        put("user-data", "hello");
        put("identity", "AGE-SECRET-KEY-1\n");
        put("public-keys", "ssh-ed25519 A\nssh-ed25519 B\n");
        let found = read(&scratch.join("")).unwrap();
        assert_eq!(found.user_data.as_deref(), Some(&b"hello"[..]));
        assert_eq!(found.identity.as_deref(), Some("AGE-SECRET-KEY-1\n"));
        assert_eq!(found.facts.public_keys, ["ssh-ed25519 A", "ssh-ed25519 B"]);
    }
}
