//! Interfaces as files of systemd-networkd.

use super::{Interface, InterfaceKind, Network};
use crate::plan::Planner;
use crate::text::{HostName, Word};

pub(super) fn plan(network: &Network, planner: &mut Planner<'_>) {
    for interface in &network.interfaces {
        let path = format!("/etc/systemd/network/10-varve-{}", interface.name);
        if let Some(text) = device(interface) {
            planner.file(&format!("{path}.netdev"), text);
        }
        if interface.kind == InterfaceKind::Physical
            && (interface.mac.is_some() || interface.new_mac.is_some())
        {
            planner.file(&format!("{path}.link"), link(interface));
        }
        planner.file(&format!("{path}.network"), settings(network, interface));
    }
    if !network.interfaces.is_empty() {
        planner.enable_if_there("systemd-networkd.service");
    }
}

/// What makes a bond, a bridge or a VLAN.
fn device(interface: &Interface) -> Option<String> {
    let (kind, section) = match interface.kind {
        InterfaceKind::Physical | InterfaceKind::Loopback => return None,
        InterfaceKind::Bond => ("bond", "Bond"),
        InterfaceKind::Bridge => ("bridge", "Bridge"),
        InterfaceKind::Vlan => ("vlan", "VLAN"),
    };
    let mut text = format!("# Written by Varve.\n[NetDev]\nName={}\nKind={kind}\n", interface.name);
    push(&mut text, "MTUBytes", interface.mtu);
    push(&mut text, "MACAddress", interface.new_mac.as_ref());
    text += &format!("\n[{section}]\n");
    push(&mut text, "Id", interface.vlan.filter(|_| kind == "vlan"));
    for (name, value) in &interface.parameters {
        text += &format!("{name}={value}\n");
    }
    Some(text)
}

/// What names a piece of hardware, by what it is known by.
fn link(interface: &Interface) -> String {
    let mut text = String::from("# Written by Varve.\n[Match]\n");
    match &interface.mac {
        Some(mac) => text += &format!("PermanentMACAddress={mac}\n"),
        None => text += &format!("OriginalName={}\n", interface.name),
    }
    push(&mut text, "Driver", interface.driver.as_ref());
    text += &format!("\n[Link]\nName={}\n", interface.name);
    push(&mut text, "MACAddress", interface.new_mac.as_ref());
    text
}

fn settings(network: &Network, interface: &Interface) -> String {
    let mut text = String::from("# Written by Varve.\n[Match]\n");
    match (&interface.mac, interface.kind) {
        (Some(mac), InterfaceKind::Physical) => text += &format!("PermanentMACAddress={mac}\n"),
        _ => {
            let name = interface.pattern.as_deref().unwrap_or(&interface.name);
            text += &format!("Name={name}\n");
        }
    }
    text += "\n[Link]\n";
    push(&mut text, "MTUBytes", interface.mtu.filter(|_| interface.kind == InterfaceKind::Physical));
    text += &format!("RequiredForOnline={}\n\n[Network]\n", if interface.optional { "no" } else { "yes" });
    let dhcp = match (interface.dhcp4, interface.dhcp6) {
        (true, true) => "yes",
        (true, false) => "ipv4",
        (false, true) => "ipv6",
        (false, false) => "no",
    };
    text += &format!("DHCP={dhcp}\n");
    push(&mut text, "IPv6AcceptRA", interface.accept_routers.map(|yes| if yes { "yes" } else { "no" }));
    for address in &interface.addresses {
        text += &format!("Address={address}\n");
    }
    for server in &interface.name_servers {
        text += &format!("DNS={server}\n");
    }
    if !interface.search.is_empty() {
        let domains: Vec<&str> = interface.search.iter().map(HostName::as_str).collect();
        text += &format!("Domains={}\n", domains.join(" "));
    }
    for other in &network.interfaces {
        let member = |kind| other.kind == kind && other.members.contains(&interface.name);
        let on_this = other.kind == InterfaceKind::Vlan && other.link.as_ref() == Some(&interface.name);
        for (applies, key) in [
            (member(InterfaceKind::Bond), "Bond"),
            (member(InterfaceKind::Bridge), "Bridge"),
            (on_this, "VLAN"),
        ] {
            push(&mut text, key, applies.then_some(&other.name));
        }
    }
    for route in &interface.routes {
        text += "\n[Route]\n";
        push(&mut text, "Destination", Some(&route.to).filter(|to| to.as_str() != "default"));
        push::<&Word>(&mut text, "Gateway", route.via.as_ref());
        push(&mut text, "Metric", route.metric);
        push(&mut text, "GatewayOnLink", route.on_link.then_some("yes"));
    }
    text
}

fn push<T: std::fmt::Display>(text: &mut String, key: &str, value: Option<T>) {
    if let Some(value) = value {
        *text += &format!("{key}={value}\n");
    }
}

/// Interfaces' names are checked by the kernel too: nothing here can be longer than it takes.
#[cfg(test)]
mod tests {
    use super::*;
    use crate::sections::network::Route;
    use crate::text::Name;

    #[test]
    fn a_bond_with_a_vlan() {
        let name = |text| Name::parse(text).unwrap();
        let mut bond = Interface::named(name("bond0"));
        bond.kind = InterfaceKind::Bond;
        bond.members = vec![name("eth0")];
        bond.parameters.insert(name("Mode"), Word::parse("802.3ad").unwrap());
        let mut vlan = Interface::named(name("vlan7"));
        (vlan.kind, vlan.vlan, vlan.link) = (InterfaceKind::Vlan, Some(7), Some(name("bond0")));
        vlan.addresses = vec![Word::parse("192.0.2.7/24").unwrap()];
        let via = Some(Word::parse("192.0.2.1").unwrap());
        vlan.routes = vec![Route { to: Word::parse("default").unwrap(), via, metric: None, on_link: false }];
        let network =
            Network { interfaces: vec![Interface::named(name("eth0")), bond, vlan], ..Network::default() };
        assert!(settings(&network, &network.interfaces[0]).contains("Bond=bond0\n"));
        assert!(settings(&network, &network.interfaces[1]).contains("VLAN=vlan7\n"));
        assert!(settings(&network, &network.interfaces[2]).ends_with("\n[Route]\nGateway=192.0.2.1\n"));
        assert!(device(&network.interfaces[1]).unwrap().ends_with("[Bond]\nMode=802.3ad\n"));
        assert!(device(&network.interfaces[2]).unwrap().ends_with("[VLAN]\nId=7\n"));
    }
}
