//! Plug-ins for services: `squid`, `ganglia`, `puppet`, `appliance-agent`, `openvpn`, `noip`, and those without a successor.

use std::io::Read as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use flate2::read::ZlibDecoder;

use super::{Plugin, Target, parsed};
use crate::place::Notices;
use crate::secret::Secret;
use crate::sections::monitoring::Ganglia;
use crate::text::{HostName, Line, VariableName, Word};
use crate::value::decode::truth;
use crate::value::fields::Fields;

pub(super) const SQUID: Plugin = Plugin {
    name: "squid",
    keys: &[
        ("backends", "squid.servers"),
        ("cache_dir", "squid.cache"),
        ("cache_dir_size", "squid.cache-size"),
    ],
    read: squid,
};

fn squid(fields: &mut Fields<'_, '_>, target: &mut Target<'_>) {
    let squid = &mut target.document.squid;
    squid.enable = Some(true);
    squid.servers = fields.checked_words("backends");
    squid.cache = fields.checked("cache_dir");
    squid.cache_size = fields.number("cache_dir_size");
}

pub(super) const GANGLIA: Plugin = Plugin {
    name: "ganglia",
    keys: &[
        ("name", "monitoring.ganglia.name"),
        ("owner", "monitoring.ganglia.owner"),
        ("latlong", "monitoring.ganglia.latlong"),
        ("url", "monitoring.ganglia.url"),
        ("location", "monitoring.ganglia.location"),
        ("host", "monitoring.ganglia.host"),
        ("bind_hostname", "monitoring.ganglia.bind-hostname"),
        ("port", "monitoring.ganglia.port"),
        ("ttl", "monitoring.ganglia.ttl"),
    ],
    read: ganglia,
};

fn ganglia(fields: &mut Fields<'_, '_>, target: &mut Target<'_>) {
    target.document.monitoring.ganglia = Some(Ganglia {
        name: fields.checked("name"),
        owner: fields.checked("owner"),
        latlong: fields.checked("latlong"),
        url: fields.checked("url"),
        location: fields.checked("location"),
        host: fields.checked("host"),
        bind_hostname: fields.text("bind_hostname").and_then(|text| truth(&text)).unwrap_or(false),
        port: fields.number("port"),
        ttl: fields.number("ttl"),
    });
}

pub(super) const PUPPET: Plugin = Plugin {
    name: "puppet",
    keys: &[
        ("puppet_server", "puppet.server"),
        ("puppet_port", "puppet.port"),
        ("puppet_log", "puppet.agent.logdest"),
        ("puppetmaster_manifest", "puppet.master.manifest"),
        ("puppetmaster_ports", "puppet.master.masterport"),
        ("puppetmaster_log", "puppet.master.logdest"),
        ("puppet_extra_opts", "nothing"),
        ("puppetmaster_extra_opts", "nothing"),
    ],
    read: puppet,
};

fn puppet(fields: &mut Fields<'_, '_>, target: &mut Target<'_>) {
    let puppet = &mut target.document.puppet;
    puppet.server = fields.checked("puppet_server");
    puppet.port = fields.number("puppet_port");
    let pairs = [
        ("puppet_log", "logdest", false),
        ("puppetmaster_manifest", "manifest", true),
        ("puppetmaster_ports", "masterport", true),
        ("puppetmaster_log", "logdest", true),
    ];
    for (key, name, master) in pairs {
        if let (Some(value), Ok(name)) = (fields.checked::<Line>(key), VariableName::parse(name)) {
            let settings = if master { &mut puppet.master } else { &mut puppet.agent };
            settings.insert(name, value);
        }
    }
    fields.without_meaning(
        &["puppet_extra_opts", "puppetmaster_extra_opts"],
        "say it as a setting of puppet.agent or puppet.master",
    );
}

pub(super) const AGENT: Plugin =
    Plugin { name: "appliance-agent", keys: &[("password", "agent.password")], read: agent };

fn agent(fields: &mut Fields<'_, '_>, target: &mut Target<'_>) {
    target.document.agent.password = fields.text("password").map(Secret::Plain);
}

pub(super) const OPENVPN: Plugin = Plugin {
    name: "openvpn",
    keys: &[
        ("server", "vpn.server"),
        ("port", "vpn.port"),
        ("proto", "vpn.protocol"),
        ("ca", "vpn.authority"),
        ("cert", "vpn.certificate"),
        ("key", "vpn.key"),
        ("nameserver", "network.name-servers"),
        ("search", "network.search"),
    ],
    read: openvpn,
};

fn openvpn(fields: &mut Fields<'_, '_>, target: &mut Target<'_>) {
    let vpn = &mut target.document.vpn;
    vpn.server = fields.checked("server");
    vpn.port = fields.number("port");
    vpn.protocol = fields.checked("proto");
    let place = fields.place;
    if let Some(authority) = fields.text("ca") {
        if authority.starts_with("http") {
            fields.notices.warn(place, "ca: nothing is fetched: give the certificate itself");
        } else {
            vpn.authority = packed(&authority, fields.notices);
        }
    }
    vpn.certificate = fields.text("cert").and_then(|text| packed(&text, fields.notices));
    vpn.key = fields.text("key").and_then(|text| packed(&text, fields.notices)).map(Secret::Plain);
    let network = &mut target.document.network;
    network.name_servers.extend(fields.checked::<Word>("nameserver"));
    network.search.extend(fields.checked::<HostName>("search"));
}

/// PEM, or the same compressed by zlib and in base64.
fn packed(text: &str, notices: &mut Notices) -> Option<String> {
    if text.contains("-----BEGIN") {
        return Some(text.to_owned());
    }
    let bytes = STANDARD.decode(text.split_ascii_whitespace().collect::<String>()).ok();
    let unpacked = bytes.and_then(|bytes| {
        let mut text = String::new();
        let inflated = ZlibDecoder::new(bytes.as_slice()).take(1 << 20).read_to_string(&mut text);
        inflated.ok().map(|_| text).or_else(|| String::from_utf8(bytes.clone()).ok())
    });
    if unpacked.is_none() {
        notices.error(
            crate::place::Place::default(),
            "openvpn: a certificate that is neither PEM nor packed PEM",
        );
    }
    unpacked
}

pub(super) const NOIP: Plugin = Plugin {
    name: "noip",
    keys: &[
        ("username", "dynamic-dns.user"),
        ("password", "dynamic-dns.password"),
        ("hostname", "dynamic-dns.hostname"),
        ("prefix", "dynamic-dns.hostname, with domain and start"),
        ("domain", "dynamic-dns.hostname"),
        ("start", "dynamic-dns.hostname"),
    ],
    read: noip,
};

fn noip(fields: &mut Fields<'_, '_>, target: &mut Target<'_>) {
    let dns = &mut target.document.dynamic_dns;
    dns.user = fields.checked("username");
    dns.password = fields.text("password").map(Secret::Plain);
    dns.hostname = fields.checked("hostname");
    let (prefix, domain, start) =
        (fields.text("prefix"), fields.text("domain"), fields.number::<u32>("start"));
    if dns.hostname.is_none()
        && let (Some(prefix), Some(domain)) = (prefix, domain)
    {
        let name = format!("{prefix}{}.{domain}", start.unwrap_or(0));
        let place = fields.place;
        dns.hostname = parsed(&name, place, "noip", fields.notices);
        fields.notices.warn(
            place,
            format!("noip: the name is {name}: which machine of several this is, isn't known here"),
        );
    }
}

pub(super) const DNS_UPDATE: Plugin = Plugin {
    name: "dnsupdate",
    keys: &[("server", "nothing"), ("tsigkey", "nothing"), ("domain", "nothing")],
    read: without_successor,
};

pub(super) const SFCB_CLIENT: Plugin =
    Plugin { name: "sfcb-client-setup", keys: &[("x509-cert", "nothing")], read: without_successor };

fn without_successor(fields: &mut Fields<'_, '_>, _: &mut Target<'_>) {
    let place = fields.place;
    fields.notices.warn(place, "nothing is made of this section: what it served is no more");
    fields.rest().clear();
}
