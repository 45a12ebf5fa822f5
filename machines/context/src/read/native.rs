//! Varve's own form: TOML, or YAML behind `#varve`.

use crate::document::Document;
use crate::place::Notices;
use crate::value::{Node, SyntaxError, decode, toml, yaml};

pub(super) fn read(text: &str, notices: &mut Notices) -> Document {
    match parse(text) {
        Ok(node) => decode::decode(&node, notices).unwrap_or_default(),
        Err(error) => {
            notices.error(error.place, error.message);
            Document::default()
        }
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
