//! Files, lines in files, directories.

use super::ActionError;
use super::accounts::Accounts;
use super::root::{Metadata, Root};
use crate::plan::{Content, Placement, PlannedFile};
use crate::secret::Secret;
use crate::text::{Line, Mode, Owner, TargetPath};

pub(super) fn directory(
    root: &Root,
    path: &TargetPath,
    mode: Mode,
    owner: &Owner,
) -> Result<bool, ActionError> {
    root.make_directory(path, metadata(root, mode, owner)?)
}

pub(super) fn file(root: &Root, file: &PlannedFile) -> Result<bool, ActionError> {
    let path = &file.path;
    let bytes = file.content.bytes().ok_or_else(|| match &file.content {
        Content::Secret(secret) => unavailable(path, secret),
        Content::Text(_) | Content::Bytes(_) => ActionError::Refused(format!("{path} has no content")),
    })?;
    let wanted = metadata(root, file.mode, &file.owner)?;
    match file.placement {
        Placement::Replace => root.replace(path, bytes, wanted),
        Placement::Keep if root.exists(path) => Ok(false),
        Placement::Keep => root.replace(path, bytes, wanted),
        Placement::Append => {
            let old = root.read(path)?.map(|existing| existing.bytes).unwrap_or_default();
            if contains(&old, bytes) {
                return root.replace(path, &old, wanted);
            }
            root.replace(path, &[old.as_slice(), bytes].concat(), wanted)
        }
    }
}

/// Whether what is to be added was added before, and perhaps more after it.
fn contains(old: &[u8], added: &[u8]) -> bool {
    added.is_empty() || old.windows(added.len()).any(|window| window == added)
}

pub(super) fn lines(
    root: &Root,
    path: &TargetPath,
    replace: Option<&str>,
    lines: &[Line],
) -> Result<bool, ActionError> {
    let existing = root.read(path)?;
    let metadata = existing.as_ref().map_or(Metadata::root(0o644), |existing| existing.metadata);
    let old = existing.map(|existing| existing.bytes).unwrap_or_default();
    let mut kept: Vec<&[u8]> = old.split(|byte| *byte == b'\n').collect();
    if kept.last().is_some_and(|last| last.is_empty()) {
        kept.pop();
    }
    let wanted = |line: &[u8]| lines.iter().any(|wanted| wanted.as_bytes() == line);
    if let Some(start) = replace {
        kept.retain(|line| wanted(line) || !begins(line, start.as_bytes()));
    }
    for line in lines {
        if !kept.contains(&line.as_bytes()) {
            kept.push(line.as_bytes());
        }
    }
    let mut text = kept.join(&b'\n');
    text.push(b'\n');
    root.replace(path, &text, metadata)
}

/// Whether a line begins with a word, or with an assignment.
fn begins(line: &[u8], start: &[u8]) -> bool {
    let Some(rest) = line.strip_prefix(start) else { return false };
    start.ends_with(b"=") || rest.first().is_none_or(u8::is_ascii_whitespace)
}

/// Why a secret's text isn't at hand.
pub(super) fn unavailable(what: &str, secret: &Secret) -> ActionError {
    if *secret == Secret::Taken {
        return ActionError::Skipped(format!("the secret for {what} was fetched at an earlier start"));
    }
    ActionError::Refused(match secret {
        Secret::Fetch(address) => format!("the secret for {what} was not fetched from {address}"),
        _ => format!("the secret for {what} is sealed, and there is no key for it"),
    })
}

fn metadata(root: &Root, mode: Mode, owner: &Owner) -> Result<Metadata, ActionError> {
    let (uid, gid) = match (owner.user.as_str(), owner.group.as_deref()) {
        // The most frequent by far, and true before there are any accounts.
        ("root" | "0", None | Some("root" | "0")) => (0, 0),
        _ => Accounts::read(root)?.owner(owner)?,
    };
    Ok(Metadata { mode: mode.bits(), uid, gid })
}
