//! amiconfig's INI: `[amiconfig]` names the plug-ins, and each plug-in has a section. Here every section that is there is
//! read, and becomes part of the document; nothing is run.

mod cernvm;
mod cluster;
mod machine;
mod service;

use super::{Reader, ini, reference};
use crate::place::{Notices, Place, shown};
use crate::text::TextError;
use crate::value::fields::Fields;
use crate::value::{Node, Value, toml};

/// A plug-in: the name of its section, the keys that it knows and what becomes of each.
struct Plugin {
    name: &'static str,
    keys: &'static [(&'static str, &'static str)],
    read: fn(&mut Fields<'_, '_>, &mut Target<'_>),
}

/// What plug-ins write to.
struct Target<'a> {
    document: &'a mut crate::document::Document,
    references: &'a mut Vec<(reference::Reference, Place)>,
}

/// All plug-ins.
const PLUGINS: [Plugin; 23] = [
    cernvm::CERNVM,
    cluster::CONDOR,
    cluster::ELASTIQ,
    cluster::VAF,
    cluster::WORK_QUEUE,
    service::SQUID,
    service::GANGLIA,
    service::PUPPET,
    service::AGENT,
    service::OPENVPN,
    service::NOIP,
    service::DNS_UPDATE,
    service::SFCB_CLIENT,
    machine::NSS,
    machine::LDAP,
    machine::NIS,
    machine::TCP_BUFFERS,
    machine::HEPIX,
    machine::HOSTNAME,
    machine::STORAGE,
    machine::ROOT_KEYS,
    machine::NO_PASSWORDS,
    machine::RPATH,
];

/// Sections that Varve's own form doesn't have: by one of them the INI is known.
const TELLING: [&str; 14] = [
    "amiconfig",
    "cernvm",
    "condor",
    "elastiq-setup",
    "vaf-setup",
    "ganglia",
    "nss",
    "amildap",
    "yp",
    "tcpbuffers",
    "appliance-agent",
    "hepix",
    "rootsshkeys",
    "disablesshpasswdauth",
];

/// Whether a line begins a section of a plug-in.
pub(super) fn is_heading(line: &str) -> bool {
    ini::heading(line).is_some_and(|name| {
        let name = name.to_ascii_lowercase();
        name == "amiconfig" || PLUGINS.iter().any(|plugin| plugin.name == name)
    })
}

pub(super) fn is(text: &str) -> bool {
    let mut headings =
        text.lines().filter_map(|line| ini::heading(line.trim())).map(str::to_ascii_lowercase).take(1000);
    if headings.any(|name| TELLING.contains(&name.as_str())) {
        return true;
    }
    text.lines().any(|line| is_heading(line.trim())) && toml::parse(text).is_err()
}

pub(super) fn read(text: &str, reader: &mut Reader) {
    reader.form("amiconfig");
    let sections = ini::parse(text, &mut reader.notices);
    if sections.is_empty() {
        return reader.notices.error(Place::default(), "no section of amiconfig");
    }
    let wanted = Wanted::of(&sections, &mut reader.notices);
    let mut found = Vec::new();
    for section in &sections {
        if section.name == "amiconfig" {
            continue;
        }
        let Some(plugin) = PLUGINS.iter().find(|plugin| plugin.name == section.name) else {
            let known: Vec<&str> = PLUGINS.iter().map(|plugin| plugin.name).collect();
            reader
                .notices
                .warn(section.place, format!("no plug-in reads the section {}", shown(&section.name)));
            if let Some(near) = crate::place::nearest(&section.name, &known) {
                reader.notices.hint(format!("did you mean {near:?}?"));
            }
            continue;
        };
        if wanted.disabled.contains(&section.name) {
            reader
                .notices
                .warn(section.place, format!("the plug-in {} is disabled: nothing is read", section.name));
            continue;
        }
        if !wanted.plugins.is_empty() && !wanted.plugins.contains(&section.name) {
            let message = format!("the section {} is read, though plugins doesn't name it", section.name);
            reader.notices.warn(section.place, message);
        }
        found.push(plugin.name);
        run(plugin, &section.node, reader);
    }
    // Those that need no section.
    for name in &wanted.plugins {
        if let Some(plugin) =
            PLUGINS.iter().find(|plugin| plugin.name == name && !found.contains(&plugin.name))
            && plugin.keys.is_empty()
        {
            let place = Place::default();
            run(plugin, &Node { place, value: Value::Null }, reader);
        }
    }
}

fn run(plugin: &Plugin, node: &Node, reader: &mut Reader) {
    if let Value::Map(members) = &node.value {
        for (key, _) in members {
            // What is named in angle brackets stands for keys of the user's own.
            let known = plugin.keys.iter().find(|(known, _)| *known == key.name);
            let known = known.or_else(|| plugin.keys.iter().find(|(known, _)| known.starts_with('<')));
            if let Some((_, becomes)) = known {
                reader.mapping(key.place, format!("[{}] {}", plugin.name, key.name), becomes);
            }
        }
    }
    let mut references = Vec::new();
    if let Some(mut fields) = Fields::of(node, plugin.name, &mut reader.notices) {
        let mut target = Target { document: &mut reader.document, references: &mut references };
        (plugin.read)(&mut fields, &mut target);
        fields.finish();
    }
    for (what, place) in references {
        reference::add(what, place, reader);
    }
}

/// What `[amiconfig]` says.
#[derive(Default)]
struct Wanted {
    plugins: Vec<String>,
    disabled: Vec<String>,
}

impl Wanted {
    fn of(sections: &[ini::Section], notices: &mut Notices) -> Self {
        let mut wanted = Self::default();
        let Some(section) = sections.iter().find(|section| section.name == "amiconfig") else {
            return wanted;
        };
        let Some(mut fields) = Fields::of(&section.node, "amiconfig", notices) else { return wanted };
        let words = |text: Option<String>| {
            text.unwrap_or_default().split_whitespace().map(str::to_ascii_lowercase).collect::<Vec<_>>()
        };
        wanted.plugins = words(fields.text("plugins"));
        wanted.disabled = words(fields.text("disabled_plugins"));
        let place = section.place;
        fields.finish();
        for name in &wanted.plugins {
            if !PLUGINS.iter().any(|plugin| plugin.name == name) {
                notices.warn(place, format!("no plug-in is called {}", shown(name)));
            }
        }
        wanted
    }
}

/// Makes checked text of a key's value, or says why not.
fn parsed<T: std::str::FromStr<Err = TextError>>(
    text: &str,
    place: Place,
    what: &str,
    notices: &mut Notices,
) -> Option<T> {
    crate::value::fields::checked(text.trim(), place, what, notices)
}
