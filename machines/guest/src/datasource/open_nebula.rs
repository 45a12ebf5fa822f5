//! OpenNebula: a disk labelled `CONTEXT` with `context.sh`, assignments of a shell. They are read, never run.

use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::{Facts, Found, text_file};

/// The disk's label; case doesn't matter.
pub(super) const LABEL: &str = "context";

pub(super) fn read(directory: &Path) -> Option<Found> {
    let text = text_file(&directory.join("context.sh"))?;
    let variables = assignments(&text);
    let variable = |names: &[&str]| {
        let found = names.iter().find_map(|wanted| variables.iter().find(|(name, _)| name == wanted));
        found.map(|(_, value)| value.clone()).filter(|value| !value.is_empty())
    };
    let encoded = variable(&["USERDATA_ENCODING"]).is_some_and(|encoding| encoding == "base64");
    let user_data = match variable(&["EC2_USER_DATA"]) {
        Some(text) => Some(decode(&text).unwrap_or_else(|| text.into_bytes())),
        None => variable(&["USER_DATA", "USERDATA"]).map(|text| match encoded {
            true => decode(&text).unwrap_or_else(|| text.into_bytes()),
            false => text.into_bytes(),
        }),
    };
    let keys = variable(&["SSH_PUBLIC_KEY", "EC2_PUBLIC_KEY", "SSH_KEY"]).unwrap_or_default();
    Some(Found {
        user_data,
        facts: Facts {
            instance_id: variable(&["VMID", "VM_ID"]),
            hostname: variable(&["SET_HOSTNAME", "HOSTNAME"]),
            public_keys: keys.lines().map(str::to_owned).collect(),
        }
        .checked(),
        network_config: None,
        identity: None,
    })
}

fn decode(text: &str) -> Option<Vec<u8>> {
    let compact: String = text.split_whitespace().collect();
    STANDARD.decode(compact).ok()
}

/// `NAME=VALUE` with a shell's quotes; values in quotes may have several lines.
fn assignments(text: &str) -> Vec<(String, String)> {
    let mut all = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        let line = rest.lines().next().unwrap_or_default();
        let assigned = line.trim_start().split_once('=').filter(|(name, _)| is_name(name));
        let Some((name, _)) = assigned else {
            rest = rest.split_once('\n').map_or("", |(_, rest)| rest);
            continue;
        };
        let (_, behind) = rest.split_once('=').unwrap_or_default();
        let (value, after) = value(behind);
        all.push((name.trim_start_matches("export ").to_owned(), value));
        rest = after;
    }
    all
}

fn is_name(text: &str) -> bool {
    let name = text.trim_start_matches("export ");
    !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

/// The word at the beginning of a text, and what comes behind it.
fn value(text: &str) -> (String, &str) {
    let mut out = String::new();
    let mut quote = None;
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        match (quote, c) {
            (None, '\'' | '"') => quote = Some(c),
            (Some(open), c) if c == open => quote = None,
            (None, c) if c.is_whitespace() || c == ';' => return (out, &text[at + c.len_utf8()..]),
            (None | Some('"'), '\\') => out.extend(chars.next().map(|(_, c)| c)),
            (_, c) => out.push(c),
        }
    }
    (out, "")
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn the_shell_s_file_is_read() {
        let scratch = varve_testkit::Scratch::new();
        let text = "# Context variables\nVMID='7'\nHOSTNAME=\"one-7\"\nSSH_PUBLIC_KEY='ssh-rsa A me\nssh-rsa B you'\n\
                    EC2_USER_DATA=\"aGVs\nbG8=\"\nEVIL='$(reboot)'\nODD='it'\\''s'\n";
        fs::write(scratch.join("context.sh"), text).unwrap();
        let found = read(&scratch.join("")).unwrap();
        assert_eq!(found.user_data.as_deref(), Some(&b"hello"[..]));
        assert_eq!(found.facts.instance_id.as_deref(), Some("7"));
        assert_eq!(found.facts.hostname.as_deref(), Some("one-7"));
        assert_eq!(found.facts.public_keys, ["ssh-rsa A me", "ssh-rsa B you"]);
        let variables = assignments(text);
        assert!(variables.contains(&("EVIL".into(), "$(reboot)".into())));
        assert!(variables.contains(&("ODD".into(), "it's".into())));
        assert_eq!(assignments("X='never closed\n"), [("X".to_owned(), "never closed\n".to_owned())]);
    }

    #[test]
    fn user_data_may_be_plain_or_encoded() {
        let scratch = varve_testkit::Scratch::new();
        for text in ["USER_DATA='hello'\n", "USERDATA_ENCODING=base64\nUSERDATA='aGVsbG8='\n"] {
            fs::write(scratch.join("context.sh"), text).unwrap();
            assert_eq!(read(&scratch.join("")).unwrap().user_data.as_deref(), Some(&b"hello"[..]), "{text}");
        }
    }
}
