//! The target of a symbolic link as published, its variables not put in.

use varve_repository::EntryKind;

use super::{Context, Magic, Pages, Shown, one};

pub(super) const GROUP: &[Magic] = &[
    Magic { name: "user.rawlink", shown: Shown::Links, value: raw_link },
    Magic { name: "xfsroot.rawlink", shown: Shown::Links, value: raw_link },
];

fn raw_link(context: &Context<'_>) -> Pages {
    if context.entry.kind() == EntryKind::Symlink { one(context.entry.link_target()) } else { Ok(None) }
}
