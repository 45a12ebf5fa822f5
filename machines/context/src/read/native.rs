//! Varve's own form, in TOML or YAML.

use super::Reader;
use crate::document::Document;
use crate::place::Place;
use crate::value::{Node, SyntaxError, Value, decode, toml, yaml};

pub(super) fn read(text: &str, reader: &mut Reader) {
    reader.form("varve");
    let Some(node) = reader.parsed(parse(text)) else { return };
    if let Value::String(_) = node.value {
        let message = "neither a document nor anything else that is known";
        reader.notices.error(Place { part: 0, ..node.place }, message);
        return reader
            .notices
            .hint("a document has sections such as [machine]; cloud-config begins with #cloud-config");
    }
    if let Some(document) = decode::decode::<Document>(&node, &mut reader.notices) {
        if document == Document::default() && is_cloud_config(&node) {
            reader.notices.error(node.place, "this looks like cloud-config, and doesn't begin with it");
            return reader.notices.hint("write #cloud-config into the first line");
        }
        reader.document.merge(document);
    }
}

/// TOML if it is, else YAML; when it is neither, the complaint of the one that it looks like.
fn parse(text: &str) -> Result<Node, SyntaxError> {
    match toml::parse(text) {
        Ok(node) => Ok(node),
        Err(error) if looks_like_toml(text) => Err(error),
        Err(_) => yaml::parse(text),
    }
}

/// The first line that is no comment is a heading in brackets, or an assignment.
fn looks_like_toml(text: &str) -> bool {
    let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines.next().is_some_and(|line| {
        let assignment = line.find('=').is_some_and(|at| line.find(':').is_none_or(|colon| at < colon));
        line.starts_with('[') || assignment
    })
}

fn is_cloud_config(node: &Node) -> bool {
    let Value::Map(members) = &node.value else { return false };
    let usual = ["runcmd", "write_files", "ssh_authorized_keys", "hostname", "package_update", "bootcmd"];
    members.iter().any(|(key, _)| usual.contains(&key.name.as_str()))
}
