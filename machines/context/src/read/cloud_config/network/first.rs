//! Network configuration, version 1: a list of pieces of hardware and what is made of them.

use crate::document::Document;
use crate::sections::network::{Interface, InterfaceKind, Route};
use crate::text::{Name, Word};
use crate::value::fields::{Fields, checked};

pub(super) fn read(fields: &mut Fields<'_, '_>, document: &mut Document) {
    for node in fields.list("config") {
        let Some(mut item) = Fields::of(node, "config", fields.notices) else { continue };
        match item.text("type").unwrap_or_default().as_str() {
            "nameserver" => {
                let place = item.place;
                let addresses = item.words("address");
                for address in addresses {
                    document.network.name_servers.extend(checked::<Word>(
                        &address,
                        place,
                        "address",
                        item.notices,
                    ));
                }
                document.network.search.extend(item.checked_words("search"));
                let _ = item.text("interface");
            }
            "route" => {
                let to = item.text("destination").map(|to| network(&to, item.text("netmask").as_deref()));
                let route = route(to.as_deref(), &mut item);
                match (document.network.interfaces.last_mut(), route) {
                    (Some(interface), Some(route)) => interface.routes.push(route),
                    _ => {
                        let place = item.place;
                        item.notices.error(place, "a route without an interface before it");
                    }
                }
            }
            kind => {
                let kind = match kind {
                    "physical" => InterfaceKind::Physical,
                    "bond" => InterfaceKind::Bond,
                    "bridge" => InterfaceKind::Bridge,
                    "vlan" => InterfaceKind::Vlan,
                    "loopback" => InterfaceKind::Loopback,
                    other => {
                        let message =
                            format!("{} is no type of network configuration", crate::place::shown(other));
                        let place = item.place;
                        item.notices.error(place, message);
                        continue;
                    }
                };
                let Some(name) = item.checked::<Name>("name") else {
                    let place = item.place;
                    item.notices.error(place, "an interface without a name");
                    continue;
                };
                document.network.interfaces.push(interface(name, kind, &mut item));
            }
        }
        item.finish();
    }
}

fn interface(name: Name, kind: InterfaceKind, fields: &mut Fields<'_, '_>) -> Interface {
    let mut interface = Interface::named(name);
    interface.kind = kind;
    interface.mac = fields.checked("mac_address");
    interface.mtu = fields.number("mtu");
    interface.accept_routers = fields.truth("accept-ra");
    interface.members = fields.checked_list("bond_interfaces");
    interface.members.extend(fields.checked_list::<Name>("bridge_interfaces"));
    interface.link = fields.checked("vlan_link");
    interface.vlan = fields.number("vlan_id");
    if let Some(node) = fields.take("params") {
        super::second::parameters(node, &mut interface, fields.notices);
    }
    for node in fields.list("subnets") {
        if let Some(mut subnet) = Fields::of(node, "subnets", fields.notices) {
            self::subnet(&mut subnet, &mut interface);
            subnet.finish();
        }
    }
    let _ = fields.take("keep_configuration");
    interface
}

fn subnet(fields: &mut Fields<'_, '_>, interface: &mut Interface) {
    let place = fields.place;
    match fields.text("type").unwrap_or_default().as_str() {
        "dhcp" | "dhcp4" => interface.dhcp4 = true,
        "dhcp6" | "ipv6_dhcpv6-stateful" | "ipv6_dhcpv6-stateless" => interface.dhcp6 = true,
        "ipv6_slaac" => interface.accept_routers = Some(true),
        "static" | "static6" => {}
        "manual" => interface.optional = true,
        other => {
            let message = format!("{} is no type of subnet", crate::place::shown(other));
            fields.notices.error(place, message);
        }
    }
    let mask = fields.text("netmask");
    if let Some(address) = fields.text("address") {
        let address = network(&address, mask.as_deref());
        interface.addresses.extend(checked::<Word>(&address, place, "address", fields.notices));
    }
    if let (Some(via), Ok(to)) = (fields.checked::<Word>("gateway"), Word::parse("default")) {
        interface.routes.push(Route { to, via: Some(via), metric: None, on_link: false });
    }
    interface.name_servers.extend(fields.checked_list::<Word>("dns_nameservers"));
    interface.search.extend(fields.checked_list("dns_search"));
    let _ = (fields.take("control"), fields.take("ipv4"), fields.take("ipv6"));
    for node in fields.list("routes") {
        let Some(mut item) = Fields::of(node, "routes", fields.notices) else { continue };
        let destination = item.text("network").or_else(|| item.text("destination"));
        let to = destination.map(|to| network(&to, item.text("netmask").as_deref()));
        interface.routes.extend(route(to.as_deref(), &mut item));
        item.finish();
    }
}

fn route(to: Option<&str>, fields: &mut Fields<'_, '_>) -> Option<Route> {
    let place = fields.place;
    let (via, metric) = (fields.checked("gateway"), fields.number("metric"));
    let to = match to {
        None | Some("0.0.0.0/0" | "::/0") => "default",
        Some(to) => to,
    };
    Some(Route { to: checked(to, place, "routes", fields.notices)?, via, metric, on_link: false })
}

/// An address with its mask as one word.
fn network(address: &str, mask: Option<&str>) -> String {
    let Some(mask) = mask.filter(|_| !address.contains('/')) else { return address.to_owned() };
    match (mask.parse::<std::net::Ipv4Addr>(), mask.parse::<u8>()) {
        (Ok(mask), _) => format!("{address}/{}", u32::from(mask).leading_ones()),
        (_, Ok(length)) => format!("{address}/{length}"),
        _ => address.to_owned(),
    }
}
