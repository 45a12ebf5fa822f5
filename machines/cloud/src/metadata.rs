//! What a machine can ask about itself: EC2's instance metadata, versions 1 and 2. Pure: a path and a definition in, bytes out.
//!
//! Version 2 wants a session token first, which a request from outside that a program was talked into making can't have: it
//! needs a PUT and headers. A token is good for the one machine that asked, and is not kept: it proves itself.

mod server;
mod session;

pub use server::{Known, serve};
pub use session::Sessions;

use crate::hosts::protocol::Definition;

/// The versions that are answered, all alike.
const VERSIONS: [&str; 5] = ["1.0", "2007-12-15", "2009-04-04", "2016-09-02", "2021-07-15"];
/// The address that a machine has in its own network.
pub const MACHINE_ADDRESS: &str = "169.254.2.15";

/// What is at a path such as `/latest/meta-data/instance-id`; `None` if there is nothing.
pub fn lookup(definition: &Definition, path: &str) -> Option<Vec<u8>> {
    let path = path.trim_start_matches('/');
    if path.is_empty() {
        let mut versions = VERSIONS.to_vec();
        versions.push("latest");
        return Some(versions.join("\n").into_bytes());
    }
    let (version, rest) = path.split_once('/').unwrap_or((path, ""));
    let dated = version.len() == 10
        && version
            .bytes()
            .enumerate()
            .all(|(at, byte)| if matches!(at, 4 | 7) { byte == b'-' } else { byte.is_ascii_digit() });
    if version != "latest" && version != "1.0" && !dated {
        return None;
    }
    if rest.is_empty() {
        let user_data = definition.user_data.as_ref().map(|_| "user-data");
        let words: Vec<&str> = ["dynamic", "meta-data"].into_iter().chain(user_data).collect();
        return Some(words.join("\n").into_bytes());
    }
    if rest.trim_end_matches('/') == "user-data" {
        return definition.user_data.clone();
    }
    let leaves = leaves(definition);
    let file = leaves.iter().find(|(path, _)| path == rest);
    file.map(|(_, value)| value.clone().into_bytes()).or_else(|| listing(definition, &leaves, rest))
}

/// The names below a path, each once, those that have more below them with a slash.
fn listing(definition: &Definition, leaves: &[(String, String)], path: &str) -> Option<Vec<u8>> {
    let path = path.trim_end_matches('/');
    if path == "meta-data/public-keys" {
        // The one list that isn't one of names.
        return definition.key.as_ref().map(|(name, _)| format!("0={name}").into_bytes());
    }
    let mut names: Vec<String> = Vec::new();
    for (leaf, _) in leaves {
        let Some(below) = leaf.strip_prefix(path).and_then(|below| below.strip_prefix('/')) else { continue };
        let name = match below.split_once('/') {
            Some((name, _)) => format!("{name}/"),
            None => below.to_owned(),
        };
        if !names.contains(&name) {
            names.push(name);
        }
    }
    (!names.is_empty()).then(|| names.join("\n").into_bytes())
}

/// Everything that has a value, by its path.
fn leaves(definition: &Definition) -> Vec<(String, String)> {
    let name = format!("{}.internal", definition.instance);
    let mut leaves: Vec<(&str, String)> = vec![
        ("dynamic/instance-identity/document", identity(definition)),
        ("meta-data/ami-id", definition.image.id.to_string()),
        ("meta-data/ami-launch-index", definition.launch_index.to_string()),
        ("meta-data/ami-manifest-path", "(unknown)".to_owned()),
        ("meta-data/hostname", name.clone()),
        ("meta-data/instance-action", "none".to_owned()),
        ("meta-data/instance-id", definition.instance.to_string()),
        ("meta-data/instance-life-cycle", "on-demand".to_owned()),
        ("meta-data/instance-type", definition.kind.clone()),
        ("meta-data/local-hostname", name),
        ("meta-data/local-ipv4", MACHINE_ADDRESS.to_owned()),
        ("meta-data/placement/availability-zone", definition.zone.clone()),
        ("meta-data/placement/region", definition.region.clone()),
        ("meta-data/profile", "default-hvm".to_owned()),
    ];
    if let Some((_, key)) = &definition.key {
        leaves.push(("meta-data/public-keys/0/openssh-key", format!("{key}\n")));
    }
    leaves.push(("meta-data/reservation-id", definition.reservation.to_string()));
    leaves.push(("meta-data/security-groups", "default".to_owned()));
    leaves.into_iter().map(|(path, value)| (path.to_owned(), value)).collect()
}

fn identity(definition: &Definition) -> String {
    let document = serde_json::json!({
        "accountId": definition.owner,
        "architecture": "x86_64",
        "availabilityZone": definition.zone,
        "imageId": definition.image.id,
        "instanceId": definition.instance,
        "instanceType": definition.kind,
        "pendingTime": crate::ec2::time::iso(definition.launched),
        "privateIp": MACHINE_ADDRESS,
        "region": definition.region,
        "version": "2017-09-30",
    });
    format!("{document:#}")
}

#[cfg(test)]
pub(crate) mod tests {
    use varve_hypervisor::Firmware;

    use super::*;
    use crate::hosts::protocol::ImageSource;
    use crate::id::{ImageId, InstanceId, ReservationId};

    pub(crate) fn definition() -> Definition {
        Definition {
            instance: InstanceId::new(),
            image: ImageSource {
                id: ImageId::new(),
                digest: "0".repeat(64),
                size: 1,
                firmware: Firmware::Bios,
            },
            cores: 1,
            memory: 512,
            disk: 1,
            kind: "t2.nano".into(),
            owner: "anna".into(),
            reservation: ReservationId::new(),
            launch_index: 3,
            zone: "local-a".into(),
            region: "local".into(),
            launched: 0,
            key: Some(("mine".into(), "ssh-ed25519 AAAA".into())),
            user_data: Some(b"#!/bin/sh\n".to_vec()),
        }
    }

    fn text(definition: &Definition, path: &str) -> Option<String> {
        lookup(definition, path).map(|bytes| String::from_utf8(bytes).unwrap())
    }

    #[test]
    fn paths_have_what_amazon_has_there() {
        let machine = definition();
        let at = |path: &str| text(&machine, path);
        assert_eq!(at("/latest/meta-data/instance-id").unwrap(), machine.instance.as_str());
        assert_eq!(at("/2009-04-04/meta-data/ami-launch-index").unwrap(), "3");
        assert_eq!(at("/latest/user-data").unwrap(), "#!/bin/sh\n");
        assert_eq!(at("/latest/meta-data/public-keys/").unwrap(), "0=mine");
        assert_eq!(at("/latest/meta-data/public-keys/0/").unwrap(), "openssh-key");
        assert_eq!(at("/latest/meta-data/public-keys/0/openssh-key").unwrap(), "ssh-ed25519 AAAA\n");
        assert_eq!(at("/latest/meta-data/placement/").unwrap(), "availability-zone\nregion");
        assert_eq!(at("/latest").unwrap(), "dynamic\nmeta-data\nuser-data");
        assert!(at("/latest/meta-data/").unwrap().contains("\nplacement/\nprofile\npublic-keys/\n"));
        assert!(at("/").unwrap().ends_with("\nlatest"));
        let document: serde_json::Value =
            serde_json::from_str(&at("/latest/dynamic/instance-identity/document").unwrap()).unwrap();
        assert_eq!(document["instanceId"], machine.instance.as_str());
        for nothing in [
            "/x",
            "/latest/x",
            "/latest/meta-data/x",
            "/latest/meta-data/instance-id/x",
            "/openstack/latest",
            "/latest/meta-data/../user-data",
        ] {
            assert_eq!(at(nothing), None, "{nothing}");
        }
        let bare = Definition { key: None, user_data: None, ..machine.clone() };
        assert_eq!(text(&bare, "/latest/user-data"), None);
        assert_eq!(text(&bare, "/latest/meta-data/public-keys/"), None);
    }
}
