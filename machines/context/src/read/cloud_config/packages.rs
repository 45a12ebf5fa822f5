//! Packages of cloud-config.

use crate::document::Document;
use crate::place::Notices;
use crate::sections::packages::Package;
use crate::text::Name;
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
}

fn add(node: &Node, notices: &mut Notices, install: &mut Vec<Package>) {
    match &node.value {
        Value::List(list) => {
            let mut texts = list
                .iter()
                .filter_map(|node| text(node, "packages", notices))
                .collect::<Vec<_>>()
                .into_iter();
            let name = texts.next().unwrap_or_default();
            install.extend(package(&name, texts.next().as_deref(), node, notices));
        }
        Value::Map(managers) => {
            for (manager, list) in managers {
                match (manager.name.as_str(), &list.value) {
                    ("apt" | "dnf" | "yum", Value::List(list)) => {
                        list.iter().for_each(|node| add(node, notices, install));
                    }
                    (other, _) => {
                        notices.warn(manager.place, format!("packages of {other} are not installed"));
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
