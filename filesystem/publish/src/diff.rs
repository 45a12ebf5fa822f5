//! What differs between two revisions: added, removed and modified paths. Parts that both have in common are not looked
//! at: where both list a directory through the same catalog, nothing below it is loaded.

use std::cmp::Ordering;

use serde::Serialize;
use varve_content::ContentHash;
use varve_repository::{Entry, FileData, Location, Mtime, Node, RepositoryError, RepositoryPath, Snapshot};
use varve_store::Deadline;

/// One path that differs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// The path in the repository.
    pub path: RepositoryPath,
    /// What happened to it.
    pub change: Change,
}

/// What happened to a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// Only the newer revision has it.
    Added(Box<Entry>),
    /// Only the older revision has it.
    Removed(Box<Entry>),
    /// Both have it, but not the same.
    Modified {
        /// As it was.
        before: Box<Entry>,
        /// As it is.
        after: Box<Entry>,
        /// In what they differ, in order.
        aspects: Vec<Aspect>,
    },
}

/// In what two entries differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Aspect {
    /// A file became a directory, and so on; nothing else is compared then.
    Kind,
    /// The bytes, or how they are stored.
    Content,
    /// The number of bytes.
    Size,
    /// The permissions.
    Permissions,
    /// User or group.
    Owner,
    /// The time of modification.
    Time,
    /// The target of a link.
    Target,
    /// The device number.
    Device,
    /// The extended attributes.
    Xattrs,
    /// The number of names.
    LinkCount,
}

impl Aspect {
    /// What people are shown.
    pub fn name(self) -> &'static str {
        match self {
            Self::Kind => "kind",
            Self::Content => "content",
            Self::Size => "size",
            Self::Permissions => "permissions",
            Self::Owner => "owner",
            Self::Time => "time",
            Self::Target => "target",
            Self::Device => "device",
            Self::Xattrs => "xattrs",
            Self::LinkCount => "link count",
        }
    }
}

/// Calls `visit` with everything that differs between two revisions, in the order of a walk: a directory before what is
/// in it, entries by name. Everything below an added or removed directory is told as well.
///
/// # Errors
/// [`RepositoryError`] if a catalog can't be loaded, or what `visit` fails with.
pub fn diff<E: From<RepositoryError>>(
    old: &Snapshot,
    new: &Snapshot,
    deadline: Deadline,
    visit: &mut dyn FnMut(Difference) -> Result<(), E>,
) -> Result<(), E> {
    let (before, after) = (old.root(deadline)?, new.root(deadline)?);
    Walk { old, new, deadline, visit }.pair(&before, &after)
}

struct Walk<'a, E> {
    old: &'a Snapshot,
    new: &'a Snapshot,
    deadline: Deadline,
    visit: &'a mut dyn FnMut(Difference) -> Result<(), E>,
}

impl<E: From<RepositoryError>> Walk<'_, E> {
    /// Two entries of the same path.
    fn pair(&mut self, before: &Location, after: &Location) -> Result<(), E> {
        if before.catalog().reference() == after.catalog().reference() && before.row() == after.row() {
            return Ok(());
        }
        let (old_entry, new_entry) = (before.entry().to_entry(), after.entry().to_entry());
        let aspects = aspects(&old_entry, &new_entry);
        let (was, is) = (is_directory(&old_entry), is_directory(&new_entry));
        if !aspects.is_empty() {
            let change = Change::Modified { before: old_entry.into(), after: new_entry.into(), aspects };
            (self.visit)(Difference { path: after.path(), change })?;
        }
        match (was, is) {
            (true, true) => self.directories(before, after),
            (true, false) => self.below(before, false),
            (false, true) => self.below(after, true),
            (false, false) => Ok(()),
        }
    }

    fn directories(&mut self, before: &Location, after: &Location) -> Result<(), E> {
        if before.mounted().is_some() && before.mounted() == after.mounted() {
            return Ok(());
        }
        let old_list = self.old.list(before, self.deadline)?;
        let new_list = self.new.list(after, self.deadline)?;
        let (mut olds, mut news) = (old_list.locations().peekable(), new_list.locations().peekable());
        loop {
            let order = match (olds.peek(), news.peek()) {
                (None, None) => return Ok(()),
                (Some(_), None) => Ordering::Less,
                (None, Some(_)) => Ordering::Greater,
                (Some(old), Some(new)) => old.entry().name().cmp(new.entry().name()),
            };
            let old = if order == Ordering::Greater { None } else { olds.next() };
            let new = if order == Ordering::Less { None } else { news.next() };
            match (old, new) {
                (Some(old), Some(new)) => self.pair(&old, &new)?,
                (Some(old), None) => self.whole(&old, false)?,
                (None, Some(new)) => self.whole(&new, true)?,
                (None, None) => return Ok(()),
            }
        }
    }

    /// An entry with all below it that only one revision has.
    fn whole(&mut self, location: &Location, added: bool) -> Result<(), E> {
        let entry = location.entry().to_entry();
        let is_directory = is_directory(&entry);
        let change = if added { Change::Added(entry.into()) } else { Change::Removed(entry.into()) };
        (self.visit)(Difference { path: location.path(), change })?;
        if is_directory { self.below(location, added) } else { Ok(()) }
    }

    fn below(&mut self, directory: &Location, added: bool) -> Result<(), E> {
        let snapshot = if added { self.new } else { self.old };
        for child in snapshot.list(directory, self.deadline)?.locations() {
            self.whole(&child, added)?;
        }
        Ok(())
    }
}

/// In what two entries of the same path differ. Which catalog they are in does not count.
fn aspects(before: &Entry, after: &Entry) -> Vec<Aspect> {
    let mut aspects = Vec::new();
    let mut note = |aspect, differs: bool| {
        if differs {
            aspects.push(aspect);
        }
    };
    match (&before.node, &after.node) {
        (Node::File(old), Node::File(new)) => {
            note(Aspect::Content, objects(&old.data) != objects(&new.data) || old.external != new.external);
            note(Aspect::Size, old.size != new.size);
        }
        (Node::Symlink { target: old }, Node::Symlink { target: new }) => note(Aspect::Target, old != new),
        (Node::CharacterDevice { device: old }, Node::CharacterDevice { device: new })
        | (Node::BlockDevice { device: old }, Node::BlockDevice { device: new }) => {
            note(Aspect::Device, old != new);
        }
        // The size of a directory depends on who published it.
        (Node::Directory { .. }, Node::Directory { .. })
        | (Node::Fifo, Node::Fifo)
        | (Node::Socket, Node::Socket) => {}
        _ => return vec![Aspect::Kind],
    }
    let (old, new) = (&before.metadata, &after.metadata);
    note(Aspect::Permissions, old.permissions != new.permissions);
    note(Aspect::Owner, (old.uid, old.gid) != (new.uid, new.gid));
    // Catalogs of old revisions have no nanoseconds.
    let time = |mtime: Mtime| (mtime.seconds, mtime.nanoseconds.unwrap_or(0));
    note(Aspect::Time, time(old.mtime) != time(new.mtime));
    note(Aspect::Xattrs, before.xattrs != after.xattrs);
    note(Aspect::LinkCount, !is_directory(before) && before.hard_link.count != after.hard_link.count);
    aspects
}

/// The hashes that make up a file; a file's size tells the rest.
fn objects(data: &FileData) -> Vec<ContentHash> {
    match data {
        FileData::Whole(hash) => vec![*hash],
        FileData::Chunked { chunks, .. } => chunks.iter().map(|chunk| chunk.hash).collect(),
    }
}

fn is_directory(entry: &Entry) -> bool {
    matches!(entry.node, Node::Directory { .. })
}
