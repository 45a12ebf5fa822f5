//! NoCloud: a disk labelled `cidata` with the files `user-data`, `meta-data` and `network-config`, as cloud-init has it,
//! and `varve-identity` with the keys that open sealed secrets.

use std::path::Path;

use super::{Facts, Found, MOST_USER_DATA, file, text_file};

/// The disk's label; case doesn't matter.
pub(super) const LABEL: &str = "cidata";

pub(super) fn read(directory: &Path) -> Option<Found> {
    let user_data = file(&directory.join("user-data"), MOST_USER_DATA);
    let meta_data = text_file(&directory.join("meta-data"));
    if user_data.is_none() && meta_data.is_none() {
        return None;
    }
    Some(Found {
        user_data,
        facts: meta_data.map(|text| facts(&text)).unwrap_or_default(),
        network_config: text_file(&directory.join("network-config")),
        identity: text_file(&directory.join("varve-identity")),
    })
}

/// The few lines that matter of a YAML or JSON document; what is nested deeper is only taken from `public-keys`.
pub(super) fn facts(text: &str) -> Facts {
    if let Ok(value) = serde_json::from_str::<serde_json::Value>(text) {
        let word =
            |names: &[&str]| names.iter().find_map(|name| value.get(name)?.as_str()).map(str::to_owned);
        let keys = value.get("public-keys").or_else(|| value.get("public_keys"));
        let listed: Vec<&serde_json::Value> = match keys {
            Some(serde_json::Value::Array(list)) => list.iter().collect(),
            Some(serde_json::Value::Object(map)) => map.values().collect(),
            Some(one) => vec![one],
            None => vec![],
        };
        return Facts {
            instance_id: word(&["instance-id", "instance_id"]),
            hostname: word(&["local-hostname", "hostname"]),
            public_keys: listed.iter().filter_map(|key| key.as_str()).map(str::to_owned).collect(),
        }
        .checked();
    }
    let mut facts = Facts::default();
    let mut in_keys = false;
    for line in text.lines() {
        let nested = line.starts_with([' ', '\t', '-']);
        let item = line.trim();
        if nested {
            let key = item.trim_start_matches('-').trim();
            if in_keys && key.contains(' ') {
                facts.public_keys.push(unquoted(key).to_owned());
            }
            continue;
        }
        let Some((name, value)) = item.split_once(':') else { continue };
        let value = unquoted(value.trim());
        in_keys = matches!(name, "public-keys" | "public_keys" | "ssh-authorized-keys");
        match name {
            "instance-id" | "instance_id" => facts.instance_id = Some(value.to_owned()),
            "local-hostname" => facts.hostname = Some(value.to_owned()),
            "hostname" => facts.hostname = facts.hostname.or_else(|| Some(value.to_owned())),
            _ if in_keys && !value.is_empty() => facts.public_keys.push(value.to_owned()),
            _ => {}
        }
    }
    facts.checked()
}

fn unquoted(text: &str) -> &str {
    let quoted = |quote: char| text.strip_prefix(quote).and_then(|text| text.strip_suffix(quote));
    quoted('"').or_else(|| quoted('\'')).unwrap_or(text)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn the_three_files_are_read() {
        let scratch = varve_testkit::Scratch::new();
        let directory = scratch.directory("cidata");
        assert_eq!(read(&directory), None);
        fs::write(directory.join("user-data"), "#cloud-config\n").unwrap();
        fs::write(
            directory.join("meta-data"),
            "instance-id: iid-1\nlocal-hostname: \"vm\"\npublic-keys:\n  - ssh-rsa AAAA me\n",
        )
        .unwrap();
        let found = read(&directory).unwrap();
        assert_eq!(found.user_data.as_deref(), Some(&b"#cloud-config\n"[..]));
        assert_eq!(found.facts.instance_id.as_deref(), Some("iid-1"));
        assert_eq!(found.facts.hostname.as_deref(), Some("vm"));
        assert_eq!(found.facts.public_keys, ["ssh-rsa AAAA me"]);
    }

    #[test]
    fn meta_data_may_be_json() {
        let facts = facts(r#"{"instance-id": "i", "local-hostname": "h", "public-keys": ["k 1", "k 2"]}"#);
        assert_eq!((facts.instance_id.as_deref(), facts.public_keys.len()), (Some("i"), 2));
    }
}
