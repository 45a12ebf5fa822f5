//! Plug-ins for the machine itself: directories of users, the kernel's buffers, HEPIX, and rPath's.

use super::{Plugin, Target, parsed};
use crate::read::reference::Reference;
use crate::text::{Line, Name, Word};
use crate::value::decode::truth;
use crate::value::fields::{Fields, text};

pub(super) const NSS: Plugin =
    Plugin { name: "nss", keys: &[("<database>", "directory.lookups.<database>")], read: nss };

fn nss(fields: &mut Fields<'_, '_>, target: &mut Target<'_>) {
    for (key, node) in fields.rest() {
        let name = parsed::<Name>(&key.name, key.place, "nss", fields.notices);
        let value = text(node, "nss", fields.notices);
        let value = value.and_then(|value| parsed::<Line>(&value, key.place, "nss", fields.notices));
        if let (Some(name), Some(value)) = (name, value) {
            target.document.directory.lookups.insert(name, value);
        }
    }
}

pub(super) const LDAP: Plugin = Plugin {
    name: "amildap",
    keys: &[("url", "directory.ldap"), ("base", "directory.ldap-base")],
    read: ldap,
};

fn ldap(fields: &mut Fields<'_, '_>, target: &mut Target<'_>) {
    target.document.directory.ldap = fields.checked("url");
    target.document.directory.ldap_base = fields.checked("base");
}

pub(super) const NIS: Plugin = Plugin {
    name: "yp",
    keys: &[
        ("domain", "directory.nis-domain"),
        ("ypserver", "directory.nis-server"),
        ("server", "directory.nis-server"),
    ],
    read: nis,
};

fn nis(fields: &mut Fields<'_, '_>, target: &mut Target<'_>) {
    target.document.directory.nis_domain = fields.checked("domain");
    let (server, other) = (fields.checked("ypserver"), fields.checked("server"));
    target.document.directory.nis_server = server.or(other);
}

pub(super) const TCP_BUFFERS: Plugin =
    Plugin { name: "tcpbuffers", keys: &[("<name>", "network.kernel.<name>")], read: tcp_buffers };

fn tcp_buffers(fields: &mut Fields<'_, '_>, target: &mut Target<'_>) {
    for (key, node) in fields.rest() {
        let name = parsed::<Word>(&key.name, key.place, "tcpbuffers", fields.notices);
        let value = text(node, "tcpbuffers", fields.notices);
        let value = value.and_then(|value| parsed::<Line>(&value, key.place, "tcpbuffers", fields.notices));
        if let (Some(name), Some(value)) = (name, value) {
            target.document.network.kernel.insert(name, value);
        }
    }
}

pub(super) const HEPIX: Plugin =
    Plugin { name: "hepix", keys: &[("context", "a reference"), ("requiressl", "https only")], read: hepix };

fn hepix(fields: &mut Fields<'_, '_>, target: &mut Target<'_>) {
    let encrypted = fields.text("requiressl").and_then(|text| truth(&text)).unwrap_or(false);
    let Some(node) = fields.take("context") else { return };
    let address = node.text().unwrap_or_default().trim().to_owned();
    let allowed = address.starts_with("https://") || (address.starts_with("http://") && !encrypted);
    if allowed {
        target.references.push((Reference::Hepix { address }, node.place));
    } else {
        fields
            .notices
            .error(node.place, format!("hepix: {} can't be fetched", crate::place::shown(&address)));
    }
}

pub(super) const HOSTNAME: Plugin =
    Plugin { name: "hostname", keys: &[("hostname", "machine.hostname")], read: hostname };

fn hostname(fields: &mut Fields<'_, '_>, target: &mut Target<'_>) {
    target.document.machine.hostname = fields.checked("hostname");
}

pub(super) const STORAGE: Plugin = Plugin {
    name: "storage",
    keys: &[("daemon", "nothing"), ("pre-allocated-space", "nothing"), ("relocate-paths", "nothing")],
    read: storage,
};

fn storage(fields: &mut Fields<'_, '_>, _: &mut Target<'_>) {
    fields.without_meaning(
        &["daemon", "pre-allocated-space", "relocate-paths"],
        "everything that is written goes to the scratch disk already",
    );
}

pub(super) const ROOT_KEYS: Plugin = Plugin { name: "rootsshkeys", keys: &[], read: root_keys };

/// The keys are those of the metadata, which whoever reads these gives to root anyway.
fn root_keys(_: &mut Fields<'_, '_>, _: &mut Target<'_>) {}

pub(super) const NO_PASSWORDS: Plugin =
    Plugin { name: "disablesshpasswdauth", keys: &[], read: no_passwords };

fn no_passwords(_: &mut Fields<'_, '_>, target: &mut Target<'_>) {
    target.document.ssh.password_login = Some(false);
}

pub(super) const RPATH: Plugin = Plugin { name: "rpath", keys: &[], read: rpath };

fn rpath(fields: &mut Fields<'_, '_>, _: &mut Target<'_>) {
    let place = fields.place;
    fields.notices.warn(place, "nothing is made of this section: packages of rPath are no more");
    fields.rest().clear();
}
