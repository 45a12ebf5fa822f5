//! The machine's name, place, language, time and certificates in cloud-config, and Puppet.

use crate::document::Document;
use crate::text::{HostName, Line, Name, VariableName, Word};
use crate::value::Value;
use crate::value::fields::{Fields, checked, text};

pub(super) fn read(fields: &mut Fields<'_, '_>, document: &mut Document) {
    name(fields, document);
    let machine = &mut document.machine;
    machine.timezone = fields.checked("timezone");
    machine.locale = fields.checked("locale");
    let _ = fields.text("locale_configfile");
    if let Some(node) = fields.take("keyboard")
        && let Some(mut keyboard) = Fields::of(node, "keyboard", fields.notices)
    {
        machine.keyboard = keyboard.checked("layout");
        machine.keyboard_variant = keyboard.checked("variant");
        keyboard.without_meaning(&["model", "options"], "only layout and variant are set");
        keyboard.finish();
    }
    if let Some(node) = fields.take("ntp")
        && let Some(mut ntp) = Fields::of(node, "ntp", fields.notices)
    {
        let enabled = ntp.truth("enabled").unwrap_or(true);
        let mut servers: Vec<Word> = ntp.checked_list("servers");
        servers.extend(ntp.checked_list::<Word>("pools"));
        if enabled {
            machine.time_servers = servers;
        }
        ntp.without_meaning(
            &["ntp_client", "config", "peers", "allow"],
            "timesyncd or chrony is told the servers",
        );
        ntp.finish();
    }
    certificates(fields, document);
    puppet(fields, document);
}

fn name(fields: &mut Fields<'_, '_>, document: &mut Document) {
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
}

fn certificates(fields: &mut Fields<'_, '_>, document: &mut Document) {
    let Some(node) = fields.take_any(&["ca_certs", "ca-certs"]) else { return };
    let Some(mut inner) = Fields::of(node, "ca_certs", fields.notices) else { return };
    document.x509.authorities = inner.texts("trusted");
    let only = inner.truth("remove_defaults").or_else(|| inner.truth("remove-defaults"));
    document.x509.only_these = only.unwrap_or(false);
    inner.finish();
}

fn puppet(fields: &mut Fields<'_, '_>, document: &mut Document) {
    let Some(node) = fields.take("puppet") else { return };
    let Some(mut inner) = Fields::of(node, "puppet", fields.notices) else { return };
    let puppet = &mut document.puppet;
    if inner.truth("install").unwrap_or(true) {
        let name = inner.checked("package_name").or_else(|| Name::parse("puppet").ok());
        let version = inner.checked("version");
        let package = name.map(|name| crate::sections::packages::Package { name, version });
        document.packages.install.extend(package);
    }
    if let Some(node) = inner.take("conf")
        && let Value::Map(sections) = &node.value
    {
        for (section, settings) in sections {
            let list = match section.name.as_str() {
                "main" => &mut puppet.main,
                "agent" | "user" => &mut puppet.agent,
                "master" | "server" => &mut puppet.master,
                "ca_cert" => {
                    puppet.authority = text(settings, "ca_cert", inner.notices);
                    continue;
                }
                _ => {
                    inner.notices.unknown_key(
                        section.place,
                        &section.name,
                        &["main", "agent", "server", "ca_cert"],
                    );
                    continue;
                }
            };
            let Value::Map(settings) = &settings.value else { continue };
            for (key, value) in settings {
                let value = text(value, "puppet", inner.notices).map(|text| text.trim().to_owned());
                let value =
                    value.and_then(|value| checked::<Line>(&value, key.place, "puppet", inner.notices));
                let name = checked::<VariableName>(&key.name, key.place, "puppet", inner.notices);
                if let (Some(name), Some(value)) = (name, value) {
                    list.insert(name, value);
                }
            }
        }
    }
    if let Some(node) = inner.take("csr_attributes")
        && let Some(mut attributes) = Fields::of(node, "csr_attributes", inner.notices)
    {
        if let Some(Value::Map(custom)) = attributes.take("custom_attributes").map(|node| &node.value) {
            for (key, value) in custom {
                let name = checked::<Name>(&key.name, key.place, "csr_attributes", attributes.notices);
                let value = text(value, "csr_attributes", attributes.notices);
                let value = value.and_then(|value| {
                    checked::<Line>(&value, key.place, "csr_attributes", attributes.notices)
                });
                if let (Some(name), Some(value)) = (name, value) {
                    puppet.request_attributes.insert(name, value);
                }
            }
        }
        attributes.without_meaning(&["extension_requests"], "only custom attributes are written");
        attributes.finish();
    }
    inner.without_meaning(
        &[
            "collection",
            "aio_install_url",
            "cleanup",
            "install_type",
            "conf_file",
            "ssl_dir",
            "csr_attributes_path",
            "exec",
            "exec_args",
            "start_service",
        ],
        "the package of the system is installed and started",
    );
    inner.finish();
}
