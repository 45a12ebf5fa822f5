//! Listings of directories that still have placeholders: they are shown as what they stand for.
//!
//! The supervisor lists through the caller's own open directory, so that the position in it moves as the caller expects.

use std::sync::Arc;

use varve_repository::EntryKind;

use super::kernel::{self, Answer};
use super::patience::{Patience, Stop};
use super::pending::PendingCall;
use super::resolve::{Landing, Resolver};
use super::target::GivenPath;
use super::tree::{Directory, Tree};

/// As much as is returned at once, whatever is asked for.
const MOST: u64 = 1 << 20;

/// `struct linux_dirent64`: inode, offset, length, kind, name.
const INODE: usize = 0;
const LENGTH: usize = 16;
const KIND: usize = 18;
const NAME: usize = 19;

pub(super) fn answer(resolver: &Resolver, pending: &PendingCall<'_>, legacy: bool) -> Result<Answer, Stop> {
    let (target, patience) = (&pending.target, pending.patience);
    let number = target.flags(0);
    let path = target.link(&format!("fd/{number}")).filter(|path| resolver.is_below_a_tree(path));
    let Some(path) = path else { return Ok(Answer::Continue) };
    let given = GivenPath { base: None, path };
    let (Landing::Directory(tree, directory), _) = resolver.resolve(target, &given, false, patience)? else {
        return Ok(Answer::Continue);
    };
    tree.populate(&directory, patience.deadline()?)?;
    if !tree.has_placeholders(&directory)? {
        return Ok(Answer::Continue);
    }
    let Ok(descriptor) = target.descriptor(number) else {
        // Not everywhere may an open file be taken over; then no placeholder is left.
        tree.fill_directory(&directory, patience.deadline()?)?;
        return Ok(Answer::Continue);
    };
    if !pending.is_waiting() {
        return Ok(Answer::Fail(libc::EINTR));
    }
    let mut buffer = vec![0; target.argument(2).min(MOST) as usize];
    let length = match kernel::list(&descriptor, &mut buffer, legacy) {
        Ok(length) => length,
        Err(error) => return Ok(Answer::Fail(error.raw_os_error().unwrap_or(libc::EIO))),
    };
    show(&tree, &directory, &mut buffer[..length], legacy, patience)?;
    Ok(pending.write(target.argument(1), &buffer[..length], Answer::Return(length as i64)))
}

/// Puts in what placeholders stand for.
fn show(
    tree: &Arc<Tree>,
    directory: &Directory,
    mut entries: &mut [u8],
    legacy: bool,
    patience: Patience,
) -> Result<(), Stop> {
    while let Some(length) = entries.get(LENGTH..LENGTH + 2) {
        let length = usize::from(u16::from_ne_bytes([length[0], length[1]])).max(NAME);
        let Some((entry, rest)) = entries.split_at_mut_checked(length) else { break };
        // The older form has the kind in its last byte, and the name where the newer has the kind.
        let (kind, name) = if legacy { (length - 1, KIND) } else { (KIND, NAME) };
        if entry[kind] == libc::DT_SOCK {
            let end = entry[name..].iter().position(|&byte| byte == 0).map_or(length, |at| name + at);
            let name = entry[name..end].to_vec();
            if let Some(location) = tree.child(directory, &name, patience.deadline()?)? {
                let inode = tree.inode_of(directory, &name)?.st_ino;
                entry[INODE..INODE + 8].copy_from_slice(&inode.to_ne_bytes());
                entry[kind] = kind_of(location.entry().kind());
            }
        }
        entries = rest;
    }
    Ok(())
}

fn kind_of(kind: EntryKind) -> u8 {
    match kind {
        EntryKind::File => libc::DT_REG,
        EntryKind::Directory => libc::DT_DIR,
        EntryKind::Symlink => libc::DT_LNK,
        EntryKind::Fifo => libc::DT_FIFO,
        EntryKind::Socket => libc::DT_SOCK,
        EntryKind::CharacterDevice => libc::DT_CHR,
        EntryKind::BlockDevice => libc::DT_BLK,
    }
}
