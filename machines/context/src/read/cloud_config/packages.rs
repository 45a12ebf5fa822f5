//! Packages of cloud-config, and where they come from: `apt`, `yum_repos`.

use crate::document::Document;
use crate::place::Notices;
use crate::sections::files::File;
use crate::sections::packages::{AptSource, DnfSource, Package};
use crate::text::{Line, Name, TargetPath, VariableName};
use crate::value::fields::{Fields, checked, text};
use crate::value::{Node, Value};

pub(super) fn read(fields: &mut Fields<'_, '_>, document: &mut Document) {
    let packages = &mut document.packages;
    for key in ["package_update", "apt_update"] {
        packages.refresh |= fields.truth(key).unwrap_or(false);
    }
    for key in ["package_upgrade", "apt_upgrade"] {
        packages.upgrade |= fields.truth(key).unwrap_or(false);
    }
    for key in ["package_reboot_if_required", "apt_reboot_if_required"] {
        packages.reboot_if_required |= fields.truth(key).unwrap_or(false);
    }
    for node in fields.list("packages") {
        add(node, fields.notices, &mut packages.install);
    }
    apt(fields, document);
    if let Some(node) = fields.take("yum_repos")
        && let Value::Map(sources) = &node.value
    {
        for (name, node) in sources {
            let name = checked::<Name>(&name.name, name.place, "yum_repos", fields.notices);
            document
                .packages
                .dnf_sources
                .extend(name.and_then(|name| dnf_source(name, node, fields.notices)));
        }
    }
    let _ = fields.text("yum_repo_dir");
}

fn add(node: &Node, notices: &mut Notices, install: &mut Vec<Package>) {
    match &node.value {
        Value::List(list) => {
            let texts: Vec<String> = list.iter().filter_map(|node| text(node, "packages", notices)).collect();
            let name = texts.first().map_or("", String::as_str);
            install.extend(package(name, texts.get(1).map(String::as_str), node, notices));
        }
        Value::Map(managers) => {
            for (manager, list) in managers {
                match (manager.name.as_str(), &list.value) {
                    ("apt" | "dnf" | "yum", Value::List(list)) => {
                        list.iter()
                            .filter(|node| !matches!(node.value, Value::Map(_)))
                            .for_each(|node| add(node, notices, install));
                    }
                    (other, _) => {
                        notices.warn(
                            manager.place,
                            format!("packages of {} are not installed", crate::place::shown(other)),
                        );
                    }
                }
            }
        }
        _ => {
            if let Some(name) = text(node, "packages", notices) {
                let (name, version) = match name.split_once('=') {
                    Some((name, version)) => (name.to_owned(), Some(version.to_owned())),
                    None => (name, None),
                };
                install.extend(package(&name, version.as_deref(), node, notices));
            }
        }
    }
}

fn package(name: &str, version: Option<&str>, node: &Node, notices: &mut Notices) -> Option<Package> {
    let name: Name = checked(name.trim(), node.place, "packages", notices)?;
    let version = match version {
        Some(version) => Some(checked(version, node.place, "packages", notices)?),
        None => None,
    };
    Some(Package { name, version })
}

fn apt(fields: &mut Fields<'_, '_>, document: &mut Document) {
    let Some(node) = fields.take("apt") else { return };
    let Some(mut inner) = Fields::of(node, "apt", fields.notices) else { return };
    let mut proxies = String::new();
    for (key, scheme) in
        [("proxy", "http"), ("http_proxy", "http"), ("https_proxy", "https"), ("ftp_proxy", "ftp")]
    {
        if let Some(proxy) = inner.checked::<crate::text::Word>(key) {
            proxies += &format!("Acquire::{scheme}::Proxy \"{proxy}\";\n");
        }
    }
    if !proxies.is_empty() {
        let mut file = File::at(TargetPath::of("/etc/apt/apt.conf.d/90-varve-proxy"));
        file.content = Some(proxies);
        document.files.push(file);
    }
    for (key, path) in [("conf", "/etc/apt/apt.conf.d/94-varve"), ("sources_list", "/etc/apt/sources.list")] {
        if let Some(content) = inner.text(key) {
            if content.contains("$MIRROR") || content.contains("$RELEASE") {
                let place = inner.place;
                inner
                    .notices
                    .error(place, format!("{key}: $MIRROR and $RELEASE are not known: write them out"));
                continue;
            }
            let mut file = File::at(TargetPath::of(path));
            file.content = Some(content);
            document.files.push(file);
        }
    }
    if let Some(node) = inner.take("sources")
        && let Value::Map(sources) = &node.value
    {
        for (name, node) in sources {
            document.packages.apt_sources.extend(apt_source(&name.name, node, inner.notices));
        }
    }
    inner.without_meaning(
        &[
            "preserve_sources_list",
            "disable_suites",
            "primary",
            "security",
            "add_apt_repo_match",
            "debconf_selections",
        ],
        "the sources of the operating system stay as they are",
    );
    inner.finish();
}

fn apt_source(name: &str, node: &Node, notices: &mut Notices) -> Option<AptSource> {
    let mut fields = Fields::of(node, "sources", notices)?;
    let name = fields.text("filename").unwrap_or_else(|| name.to_owned());
    let name = name.trim_start_matches("/etc/apt/sources.list.d/").trim_end_matches(".list").to_owned();
    let line = fields.checked::<Line>("source");
    let key = fields.text("key");
    if key.is_none() {
        fields.without_meaning(&["keyid"], "nothing is fetched for it: give the key itself");
    }
    fields.without_meaning(&["keyserver", "append"], "nothing is fetched for it");
    let place = fields.place;
    let line = line.filter(|line| {
        let known = line.starts_with("deb ") || line.starts_with("deb-src ");
        if !known {
            fields.notices.error(place, "sources: a source is a line that begins with deb");
        }
        known
    })?;
    let _ = fields.take("keyid");
    fields.finish();
    let name = checked::<Name>(&name, place, "sources", notices)?;
    // The key's file is named by Varve.
    let line = Line::parse(line.replace("$KEY_FILE", "$KEY")).ok()?;
    Some(AptSource { name, line, key })
}

fn dnf_source(name: Name, node: &Node, notices: &mut Notices) -> Option<DnfSource> {
    let Value::Map(members) = &node.value else {
        notices.error(node.place, "yum_repos: settings of a source");
        return None;
    };
    let mut source = DnfSource { name, settings: std::collections::BTreeMap::new() };
    for (key, value) in members {
        let value = match &value.value {
            Value::Bool { value, .. } => Some(if *value { "1" } else { "0" }.to_owned()),
            Value::List(list) => Some(list.iter().filter_map(Node::text).collect::<Vec<_>>().join(" ")),
            _ => text(value, "yum_repos", notices),
        };
        let value = value.and_then(|value| checked::<Line>(&value, key.place, "yum_repos", notices));
        let key = checked::<VariableName>(&key.name, key.place, "yum_repos", notices);
        if let (Some(key), Some(value)) = (key, value) {
            source.settings.insert(key, value);
        }
    }
    Some(source)
}
