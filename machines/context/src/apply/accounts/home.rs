//! Home directories, and the ssh keys in them.
//!
//! What lies in a home directory belongs to its user, who may have put links there: below it none is followed.

use rustix::fs::FileType;

use super::super::ActionError;
use super::super::root::{Metadata, Root};
use super::Accounts;
use crate::text::{AccountName, Line};

const SKELETON: &str = "/etc/skel";
/// Deeper directories in the skeleton are left out.
const MAX_DEPTH: usize = 16;

/// Makes a home directory from the skeleton. It is given to its user when all is there: one that is still root's was cut off.
pub(super) fn make(root: &Root, home: &str, uid: u32, gid: u32, mode: u32) -> Result<bool, ActionError> {
    if !home.starts_with('/') || home.split('/').any(|part| part == "..") {
        return Err(ActionError::Refused(format!("{home:?} can't be a home directory")));
    }
    match root.directory_metadata(home)? {
        Some(metadata) if metadata.uid == uid || metadata.uid != 0 => return Ok(false),
        // Root's own directories are nobody's home.
        Some(_) if !root.names(home)?.is_empty() && !is_unfinished(root, home)? => return Ok(false),
        _ => {}
    }
    root.make_directory(home, Metadata::root(0o700))?;
    copy(root, SKELETON, home, uid, gid, 0)?;
    root.make_directory(home, Metadata { mode, uid, gid })?;
    Ok(true)
}

/// Whether there is nothing in a directory but what the skeleton has.
fn is_unfinished(root: &Root, home: &str) -> Result<bool, ActionError> {
    let skeleton = root.names(SKELETON)?;
    Ok(root.names(home)?.iter().all(|(name, _)| skeleton.iter().any(|(other, _)| other == name)))
}

fn copy(root: &Root, from: &str, to: &str, uid: u32, gid: u32, depth: usize) -> Result<(), ActionError> {
    if depth > MAX_DEPTH {
        return Ok(());
    }
    for (name, kind) in root.names(from)? {
        let (from, to) = (format!("{from}/{name}"), format!("{to}/{name}"));
        match kind {
            FileType::RegularFile => {
                if let Some(existing) = root.read_unlinked(&from)? {
                    let wanted = Metadata { mode: existing.metadata.mode & 0o777, uid, gid };
                    root.replace_unlinked(&to, &existing.bytes, wanted)?;
                }
            }
            FileType::Directory => {
                let mode = root.directory_metadata(&from)?.map_or(0o755, |metadata| metadata.mode & 0o777);
                root.make_unlinked(&to, Metadata { mode, uid, gid })?;
                copy(root, &from, &to, uid, gid, depth + 1)?;
            }
            _ => {}
        }
    }
    Ok(())
}

/// Adds ssh keys to those with which a user may log in.
pub(in super::super) fn authorized_keys(
    root: &Root,
    user: &AccountName,
    keys: &[Line],
) -> Result<bool, ActionError> {
    let accounts = Accounts::read(root)?;
    let account = match accounts.account(user) {
        Some(account) => account,
        None => return Err(ActionError::Refused(format!("there is no user {user} in the machine"))),
    };
    if !account.home.starts_with('/') {
        return Err(ActionError::Refused(format!("the user {user} has no home directory")));
    }
    let (uid, gid) = (account.uid, account.gid);
    // The way to the home directory may lead over links of root's; below it there may only be the user's.
    let home = account.home.trim_end_matches('/');
    if root.directory_metadata(home)?.is_none() {
        root.make_directory(home, Metadata { mode: 0o700, uid, gid })?;
    }
    root.make_unlinked(&format!("{home}/.ssh"), Metadata { mode: 0o700, uid, gid })?;
    let path = format!("{home}/.ssh/authorized_keys");
    let old = root.read_unlinked(&path)?.map(|existing| existing.bytes).unwrap_or_default();
    let mut text = old.clone();
    for key in keys.iter().map(|key| key.trim()).filter(|key| !key.is_empty()) {
        if !old.split(|byte| *byte == b'\n').any(|line| line.trim_ascii() == key.as_bytes()) {
            if !text.is_empty() && !text.ends_with(b"\n") {
                text.push(b'\n');
            }
            text.extend_from_slice(key.as_bytes());
            text.push(b'\n');
        }
    }
    root.replace_unlinked(&path, &text, Metadata { mode: 0o600, uid, gid })
}
