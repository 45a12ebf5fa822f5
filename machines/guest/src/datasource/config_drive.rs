//! OpenStack's configuration drive: a disk labelled `config-2` with the metadata server's files in directories.

use std::path::Path;

use super::{Found, MOST_USER_DATA, file, open_stack_facts, text_file};

/// The disk's label; case doesn't matter.
pub(super) const LABEL: &str = "config-2";

pub(super) fn read(directory: &Path) -> Option<Found> {
    let latest = directory.join("openstack/latest");
    let text = text_file(&latest.join("meta_data.json"));
    let user_data = file(&latest.join("user_data"), MOST_USER_DATA);
    if text.is_none() && user_data.is_none() {
        return None;
    }
    Some(Found {
        user_data,
        facts: text.and_then(|text| open_stack_facts(&text)).unwrap_or_default().checked(),
        network_config: None,
        identity: None,
    })
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn the_latest_version_is_read() {
        let scratch = varve_testkit::Scratch::new();
        let directory = scratch.directory("drive/openstack/latest");
        assert_eq!(read(&scratch.join("drive")), None);
        fs::write(directory.join("user_data"), "data").unwrap();
        fs::write(
            directory.join("meta_data.json"),
            r#"{"uuid": "u-1", "hostname": "h", "public_keys": {"a": "ssh-rsa A"}}"#,
        )
        .unwrap();
        let found = read(&scratch.join("drive")).unwrap();
        assert_eq!(found.user_data.as_deref(), Some(&b"data"[..]));
        assert_eq!(found.facts.instance_id.as_deref(), Some("u-1"));
        assert_eq!(found.facts.public_keys, ["ssh-rsa A"]);
    }
}
