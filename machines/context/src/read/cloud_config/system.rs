//! The machine's name, place and language in cloud-config.

use crate::document::Document;
use crate::text::HostName;
use crate::value::fields::Fields;

pub(super) fn read(fields: &mut Fields<'_, '_>, document: &mut Document) {
    let machine = &mut document.machine;
    let hostname = fields.checked::<HostName>("hostname");
    let full = fields.checked::<HostName>("fqdn");
    let prefer_short = fields.truth("prefer_fqdn_over_hostname") == Some(false);
    machine.hostname = if prefer_short { hostname.or(full) } else { full.or(hostname) };
    if fields.truth("preserve_hostname") == Some(true) {
        machine.hostname = None;
    }
    let _ = fields.truth("create_hostname_file");
    if let Some(node) = fields.take("manage_etc_hosts") {
        machine.manage_hosts = match node.text() {
            Some("localhost" | "template") => Some(true),
            Some(text) => crate::value::decode::truth(text),
            None => None,
        };
    }
    machine.timezone = fields.checked("timezone");
    machine.locale = fields.checked("locale");
    let _ = fields.text("locale_configfile");
}
