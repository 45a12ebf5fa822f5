//! Assignments of a shell: OpenNebula's `context.sh`, and what CernVM Online gave to a machine. They are read, never run.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::Reader;
use crate::place::{Place, shown};
use crate::plan::Stage;
use crate::sections::network::{Interface, Route};
use crate::text::{HostName, Line, Name, Word};

/// Variables that only such user data have.
const OWN: [&str; 7] = [
    "EC2_USER_DATA",
    "VM_CONTEXT_UUID",
    "ONE_CONTEXT_PATH",
    "ROOT_PUBKEY",
    "START_SCRIPT",
    "START_SCRIPT_BASE64",
    "SSH_PUBLIC_KEY",
];

pub(super) fn is(text: &str) -> bool {
    let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    let own = |line: &str| {
        line.split_once('=').is_some_and(|(name, _)| OWN.contains(&name.trim_start_matches("export ")))
    };
    lines.clone().next().is_some_and(|line| line.contains('=') && !line.contains(" = ")) && lines.any(own)
}

pub(super) fn read(text: &str, reader: &mut Reader) {
    reader.form("context.sh");
    let assignments = assignments(text, reader);
    let value = |name: &str| assignments.iter().rev().find(|(_, other, _)| other == name);
    for (place, name, value) in &assignments {
        match name.as_str() {
            "ROOT_PUBKEY" | "SSH_PUBLIC_KEY" | "EC2_PUBLIC_KEY" => keys(value, *place, reader),
            "HOSTNAME" | "SET_HOSTNAME" => match HostName::parse(value.as_str()) {
                Ok(name) => reader.document.machine.hostname = Some(name),
                Err(error) => reader.notices.error(*place, error.to_string()),
            },
            "START_SCRIPT" => reader.script("start-script", value.clone(), Stage::Final, false),
            "START_SCRIPT_BASE64" => match decoded(value).and_then(|bytes| String::from_utf8(bytes).ok()) {
                Some(script) => reader.script("start-script", script, Stage::Final, false),
                None => reader.notices.error(*place, format!("{name} is no script in base64")),
            },
            "DNS" => words(value, *place, reader, |network| &mut network.name_servers),
            _ => {}
        }
    }
    interfaces(&assignments, reader);
    if let Some((place, _, value)) = value("EC2_USER_DATA").or_else(|| value("USER_DATA")) {
        match decoded(value) {
            Some(bytes) => reader.bytes(&bytes, None),
            // OpenNebula leaves it as it is unless it is told otherwise.
            None if value.trim_start().starts_with(['#', '[', 'C', 'M']) => {
                reader.bytes(value.as_bytes(), None);
            }
            None => reader.notices.error(*place, "EC2_USER_DATA is no base64"),
        }
    }
}

fn decoded(text: &str) -> Option<Vec<u8>> {
    let packed: String = text.split_ascii_whitespace().collect();
    STANDARD.decode(packed).ok()
}

/// Keys on lines of their own, or all of them in base64.
fn keys(value: &str, place: Place, reader: &mut Reader) {
    let text = match decoded(value).and_then(|bytes| String::from_utf8(bytes).ok()) {
        Some(text) => text,
        None => value.to_owned(),
    };
    for line in text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')) {
        match Line::parse(line) {
            Ok(key) if !reader.document.ssh.root_keys.contains(&key) => {
                reader.document.ssh.root_keys.push(key);
            }
            Ok(_) => {}
            Err(error) => reader.notices.error(place, error.to_string()),
        }
    }
}

fn words(
    value: &str,
    place: Place,
    reader: &mut Reader,
    list: fn(&mut crate::sections::network::Network) -> &mut Vec<Word>,
) {
    for word in value.split_whitespace() {
        match Word::parse(word) {
            Ok(word) => list(&mut reader.document.network).push(word),
            Err(error) => reader.notices.error(place, error.to_string()),
        }
    }
}

/// `ETH0_IP`, `ETH0_MASK`, `ETH0_GATEWAY`, … of OpenNebula.
fn interfaces(assignments: &[(Place, String, String)], reader: &mut Reader) {
    for number in 0..16 {
        let value = |what: &str| {
            let name = format!("ETH{number}_{what}");
            assignments
                .iter()
                .rev()
                .find(|(_, other, value)| *other == name && !value.is_empty())
                .map(|(place, _, value)| (*place, value))
        };
        let Some((place, address)) = value("IP") else { continue };
        let Ok(name) = Name::parse(format!("eth{number}")) else { continue };
        let mut interface = Interface::named(name);
        let length = value("MASK").map_or(Some(24), |(_, mask)| prefix_length(mask));
        let network = length.and_then(|length| Word::parse(format!("{address}/{length}")).ok());
        let valid = address.parse::<std::net::Ipv4Addr>().is_ok();
        match network.filter(|_| valid) {
            Some(network) => interface.addresses.push(network),
            None => {
                reader
                    .notices
                    .error(place, format!("ETH{number}: {} is no address with a mask", shown(address)));
                continue;
            }
        }
        interface.mac = value("MAC").and_then(|(_, mac)| Word::parse(mac.as_str()).ok());
        interface.mtu = value("MTU").and_then(|(_, mtu)| mtu.parse().ok());
        if let (Some(via), Ok(to)) =
            (value("GATEWAY").and_then(|(_, via)| Word::parse(via.as_str()).ok()), Word::parse("default"))
        {
            interface.routes.push(Route { to, via: Some(via), metric: None, on_link: false });
        }
        if let Some((_, servers)) = value("DNS") {
            interface.name_servers =
                servers.split_whitespace().filter_map(|server| Word::parse(server).ok()).collect();
        }
        reader.document.network.interfaces.push(interface);
    }
}

/// `255.255.255.0` as 24.
fn prefix_length(mask: &str) -> Option<u32> {
    let bits = u32::from(mask.parse::<std::net::Ipv4Addr>().ok()?);
    (bits.leading_ones() + bits.trailing_zeros() >= 32).then(|| bits.leading_ones())
}

/// The assignments, with quotes as a shell takes them and nothing expanded; a value between quotes may have several lines.
fn assignments(text: &str, reader: &mut Reader) -> Vec<(Place, String, String)> {
    let mut found = Vec::new();
    let mut lines = (1..).zip(text.lines());
    while let Some((number, line)) = lines.next() {
        let place = Place::line(number);
        let line = line.trim_start();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let Some((name, value)) = line.trim_start_matches("export ").split_once('=') else {
            reader.notices.warn(place, format!("{} is no assignment", shown(line)));
            continue;
        };
        let mut value = value.to_owned();
        let mut words = shlex::split(&value);
        // Each attempt reads all of the value again.
        let mut attempts = 0;
        while words.is_none() && value.starts_with(['"', '\'']) && value.len() < super::unpack::MAX_UNPACKED {
            let Some((_, next)) = lines.next() else { break };
            value = format!("{value}\n{next}");
            // Only a line that could end the value can change the answer.
            if next.contains(['"', '\'']) {
                attempts += 1;
                if attempts > 1000 {
                    break;
                }
                words = shlex::split(&value);
            }
        }
        match words {
            Some(words) => {
                found.push((place, name.trim().to_owned(), words.into_iter().next().unwrap_or_default()));
            }
            None => reader.notices.error(place, format!("{name}: quotes that don't end")),
        }
        if found.len() > 10_000 {
            reader.notices.error(place, "more than 10000 assignments");
            break;
        }
    }
    found
}
