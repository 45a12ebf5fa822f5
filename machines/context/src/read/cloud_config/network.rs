//! The network in cloud-config: `manage_resolv_conf`, and the two versions of network configuration.

mod first;
mod second;

use crate::document::Document;
use crate::place::Notices;
use crate::text::{HostName, Word};
use crate::value::fields::Fields;
use crate::value::{Node, Value};

pub(super) fn read(fields: &mut Fields<'_, '_>, document: &mut Document) {
    let manage = fields.truth("manage_resolv_conf").unwrap_or(false);
    if let Some(node) = fields.take("resolv_conf")
        && let Some(mut inner) = Fields::of(node, "resolv_conf", fields.notices)
    {
        let network = &mut document.network;
        network.write_resolver = manage;
        network.name_servers = inner.checked_list("nameservers");
        network.search = inner.checked_list("searchdomains");
        network.search.extend(inner.checked::<HostName>("domain"));
        if let Some(Value::Map(options)) = inner.take("options").map(|node| &node.value) {
            for (key, value) in options {
                let option = match &value.value {
                    Value::Bool { value: true, .. } => Some(key.name.clone()),
                    Value::Bool { .. } => None,
                    _ => value.text().map(|value| format!("{}:{value}", key.name)),
                };
                let option = option.and_then(|option| {
                    crate::value::fields::checked::<Word>(&option, key.place, "options", inner.notices)
                });
                network.resolver_options.extend(option);
            }
        }
        inner.without_meaning(&["sortlist"], "it is of no use any more");
        inner.finish();
    }
    if let Some(node) = fields.take("network") {
        configuration(node, fields.notices, document);
    }
}

/// Network configuration of either version; some stand within another `network`.
pub(in crate::read) fn configuration(node: &Node, notices: &mut Notices, document: &mut Document) {
    let Value::Map(members) = &node.value else {
        if node.text() != Some("disabled") {
            notices.error(node.place, "network: a mapping with a version");
        }
        return;
    };
    if let [(key, inner)] = members.as_slice()
        && key.name == "network"
    {
        return configuration(inner, notices, document);
    }
    let Some(mut fields) = Fields::of(node, "network", notices) else { return };
    match fields.number::<u8>("version") {
        Some(1) => first::read(&mut fields, document),
        Some(2) => second::read(&mut fields, document),
        _ if fields.text("config").as_deref() == Some("disabled") => {}
        _ => {
            let place = fields.place;
            fields.notices.error(place, "network: version is 1 or 2");
            return;
        }
    }
    fields.finish();
}
