//! Network configuration, version 2: netplan's.

use crate::document::Document;
use crate::place::Notices;
use crate::sections::network::{Interface, InterfaceKind, Route};
use crate::text::{Name, Word};
use crate::value::fields::{Fields, checked};
use crate::value::{Key, Node, Value};

pub(super) fn read(fields: &mut Fields<'_, '_>, document: &mut Document) {
    let kinds = [
        ("ethernets", InterfaceKind::Physical),
        ("bonds", InterfaceKind::Bond),
        ("bridges", InterfaceKind::Bridge),
        ("vlans", InterfaceKind::Vlan),
    ];
    for (key, kind) in kinds {
        let Some(node) = fields.take(key) else { continue };
        let Value::Map(members) = &node.value else {
            fields.notices.error(node.place, format!("{key}: interfaces by name"));
            continue;
        };
        for (name, node) in members {
            document.network.interfaces.extend(interface(name, node, kind, fields.notices));
        }
    }
    fields.without_meaning(&["renderer"], "systemd-networkd keeps the network up");
    fields.without_meaning(&["wifis", "modems", "tunnels", "vrfs"], "only wired interfaces are set up");
}

fn interface(key: &Key, node: &Node, kind: InterfaceKind, notices: &mut Notices) -> Option<Interface> {
    let mut fields = Fields::of(node, "network", notices)?;
    let mut name = key.name.clone();
    let (mut mac, mut driver, mut pattern) = (None, None, None);
    if let Some(node) = fields.take("match")
        && let Some(mut known_by) = Fields::of(node, "match", fields.notices)
    {
        mac = known_by.checked("macaddress");
        driver = known_by.checked("driver");
        pattern = known_by.checked::<Word>("name");
        known_by.finish();
    }
    if let Some(wanted) = fields.text("set-name") {
        name = wanted;
    }
    let mut interface = Interface::named(checked(&name, key.place, "network", fields.notices)?);
    (interface.mac, interface.driver, interface.kind) = (mac, driver, kind);
    interface.pattern = pattern;
    interface.dhcp4 = fields.truth("dhcp4").unwrap_or(false);
    interface.dhcp6 = fields.truth("dhcp6").unwrap_or(false);
    interface.accept_routers = fields.truth("accept-ra");
    interface.mtu = fields.number("mtu");
    interface.new_mac = fields.checked("macaddress");
    interface.optional = fields.truth("optional").unwrap_or(false);
    interface.addresses = fields.checked_list("addresses");
    interface.members = fields.checked_list("interfaces");
    interface.link = fields.checked("link");
    interface.vlan = fields.number("id");
    for key in ["gateway4", "gateway6"] {
        if let (Some(via), Ok(to)) = (fields.checked::<Word>(key), Word::parse("default")) {
            interface.routes.push(Route { to, via: Some(via), metric: None, on_link: false });
        }
    }
    for node in fields.list("routes") {
        let Some(mut item) = Fields::of(node, "routes", fields.notices) else { continue };
        let to = item.text("to").unwrap_or_else(|| "default".to_owned());
        let to = if matches!(to.as_str(), "0.0.0.0/0" | "::/0") { "default".to_owned() } else { to };
        let place = item.place;
        let to = checked::<Word>(&to, place, "routes", item.notices);
        let (via, metric) = (item.checked("via"), item.number("metric"));
        let on_link = item.truth("on-link").unwrap_or(false);
        interface.routes.extend(to.map(|to| Route { to, via, metric, on_link }));
        item.without_meaning(&["type", "scope", "table", "from"], "a plain route is made");
        item.finish();
    }
    if let Some(node) = fields.take("nameservers")
        && let Some(mut servers) = Fields::of(node, "nameservers", fields.notices)
    {
        interface.name_servers = servers.checked_list("addresses");
        interface.search = servers.checked_list("search");
        servers.finish();
    }
    if let Some(node) = fields.take("parameters") {
        parameters(node, &mut interface, fields.notices);
    }
    fields.without_meaning(
        &[
            "wakeonlan",
            "dhcp-identifier",
            "dhcp4-overrides",
            "dhcp6-overrides",
            "link-local",
            "critical",
            "renderer",
        ],
        "the usual settings are used",
    );
    fields.finish();
    Some(interface)
}

/// Parameters of bonds and bridges, by netplan's names and those of version 1, as systemd calls them.
pub(super) fn parameters(node: &Node, interface: &mut Interface, notices: &mut Notices) {
    const NAMES: [(&str, &str); 14] = [
        ("mode", "Mode"),
        ("lacp-rate", "LACPTransmitRate"),
        ("mii-monitor-interval", "MIIMonitorSec"),
        ("miimon", "MIIMonitorSec"),
        ("min-links", "MinLinks"),
        ("transmit-hash-policy", "TransmitHashPolicy"),
        ("xmit-hash-policy", "TransmitHashPolicy"),
        ("up-delay", "UpDelaySec"),
        ("down-delay", "DownDelaySec"),
        ("stp", "STP"),
        ("forward-delay", "ForwardDelaySec"),
        ("fd", "ForwardDelaySec"),
        ("hello-time", "HelloTimeSec"),
        ("ageing-time", "AgeingTimeSec"),
    ];
    let Value::Map(members) = &node.value else {
        return notices.error(node.place, "parameters by name");
    };
    for (key, value) in members {
        let plain = key.name.trim_start_matches("bond-").trim_start_matches("bridge_").replace('_', "-");
        let Some((_, name)) = NAMES.iter().find(|(other, _)| *other == plain) else {
            let known: Vec<&str> = NAMES.iter().map(|(name, _)| *name).collect();
            notices.unknown_key(key.place, &key.name, &known);
            continue;
        };
        let text = match &value.value {
            Value::Bool { value, .. } => Some(if *value { "yes" } else { "no" }.to_owned()),
            // Plain numbers are milliseconds for a bond's monitor.
            Value::Integer { text, .. } if name.starts_with("MIIMonitor") => Some(format!("{text}ms")),
            _ => value.text().map(str::to_owned),
        };
        let word = text.and_then(|text| checked::<Word>(&text, value.place, "parameters", notices));
        if let (Some(word), Ok(name)) = (word, Name::parse(*name)) {
            interface.parameters.insert(name, word);
        }
    }
}
