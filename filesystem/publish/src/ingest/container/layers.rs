//! Layers as trees of changes: what whiteouts mean, and how one lies over the other. A layer is an [`Assembly`] in which a name
//! that is removed stands for a whiteout, and a directory that is cleared for an opaque one.

use varve_repository::{
    Entry, EntryKind, EntryName, HardLink, Metadata, Mtime, NestedRole, Node, RepositoryPath, Xattrs,
};

use crate::base_revision::{Base, BaseDirectory, BaseError};
use crate::ingest::assembly::{Assembly, File, Folder, Item};
use crate::walk::DIRECTORY_SIZE;

/// What a whiteout's name begins with in an archive.
const WHITEOUT: &[u8] = b".wh.";

/// The name that makes its directory opaque.
const OPAQUE: &[u8] = b".wh..wh..opq";

/// What names begin with that mean something to a file system that nobody has any more.
const OBSOLETE: &[u8] = b".wh..wh.";

/// How overlays mark an opaque directory, when root mounts them and when users do.
const OPAQUE_MARKS: [&[u8]; 2] = [b"trusted.overlay.opaque", b"user.overlay.opaque"];

/// Turns the whiteouts of an archive into what they mean. A layer's own entries stay, wherever in it they come.
pub(super) fn settle(folder: &mut Folder) {
    let mut removed = Vec::new();
    folder.names.retain(|name, _| {
        let name = name.as_bytes();
        if name == OPAQUE {
            folder.cleared = true;
        } else if !name.starts_with(OBSOLETE)
            && let Some(hidden) = name.strip_prefix(WHITEOUT)
            && let Ok(hidden) = EntryName::new(hidden)
        {
            removed.push(hidden);
        }
        !name.starts_with(WHITEOUT)
    });
    for name in removed {
        match folder.names.entry(name).or_insert(Item::Removed) {
            Item::Folder(inner) => inner.cleared = true,
            Item::Removed | Item::File(_) => {}
        }
    }
    for item in folder.names.values_mut() {
        if let Item::Folder(inner) = item {
            settle(inner);
        }
    }
}

/// Puts a layer over a tree in which nothing is removed any more.
pub(super) fn put_over(tree: &mut Assembly, layer: &Assembly) {
    let offset = tree.files.len();
    tree.files.extend(layer.files.iter().cloned());
    merge(&mut tree.root, &layer.root, offset);
}

fn merge(below: &mut Folder, above: &Folder, offset: usize) {
    if above.cleared {
        below.names.clear();
    }
    if above.entry.is_some() {
        below.entry.clone_from(&above.entry);
    }
    for (name, item) in &above.names {
        match item {
            Item::Removed => {
                below.names.remove(name);
            }
            Item::File(number) => {
                below.names.insert(name.clone(), Item::File(number + offset));
            }
            Item::Folder(above) => {
                let slot = below.names.entry(name.clone()).or_insert_with(|| Item::Folder(Folder::default()));
                if !matches!(slot, Item::Folder(_)) {
                    *slot = Item::Folder(Folder::default());
                }
                if let Item::Folder(below) = slot {
                    merge(below, above, offset);
                }
            }
        }
    }
}

/// Gives a layer the form in which overlays know it: devices 0:0 for what is removed, attributes at what is opaque.
pub(super) fn mark(layer: &mut Assembly) {
    mark_folder(&mut layer.root, &mut layer.files);
}

fn mark_folder(folder: &mut Folder, files: &mut Vec<File>) {
    if folder.cleared {
        let entry = folder.entry.get_or_insert_with(directory);
        let own = entry.xattrs.iter().map(|(name, value)| (name.to_vec(), value.to_vec()));
        let marks = OPAQUE_MARKS.iter().map(|name| (name.to_vec(), b"y".to_vec()));
        // Where these are too many, two of its own are less than a directory that shows what is hidden.
        let all: Vec<_> = marks.chain(own).take(255).collect();
        entry.xattrs = Xattrs::new(all).unwrap_or_default();
    }
    for item in folder.names.values_mut() {
        match item {
            Item::Removed => {
                *item = Item::File(files.len());
                let entry = Entry { node: Node::CharacterDevice { device: 0 }, ..directory() };
                let metadata = Metadata { permissions: 0, ..entry.metadata };
                files.push(File { entry: Entry { metadata, ..entry }, content: None });
            }
            Item::Folder(inner) => mark_folder(inner, files),
            Item::File(_) => {}
        }
    }
}

/// Reads a layer that is in the repository already.
pub(super) fn stored(base: &Base<'_>, directory: &BaseDirectory) -> Result<Assembly, BaseError> {
    let mut layer = Assembly::default();
    layer.root = stored_folder(base, directory, &mut layer.files)?;
    // Others than Varve leave them as they were in the archive.
    settle(&mut layer.root);
    Ok(layer)
}

fn stored_folder(
    base: &Base<'_>,
    directory: &BaseDirectory,
    files: &mut Vec<File>,
) -> Result<Folder, BaseError> {
    let mut folder = Folder { entry: directory.entry().map(plain), ..Folder::default() };
    if let Some(entry) = &mut folder.entry {
        let is_mark = |name: &[u8]| OPAQUE_MARKS.contains(&name);
        folder.cleared = entry.xattrs.iter().any(|(name, _)| is_mark(name));
        let own = entry.xattrs.iter().filter(|(name, _)| !is_mark(name));
        let own = own.map(|(name, value)| (name.to_vec(), value.to_vec())).collect();
        entry.xattrs = Xattrs::new(own).unwrap_or_default();
    }
    let mut links = std::collections::HashMap::new();
    for entry in directory.children().filter(|entry| !entry.hidden) {
        let Some(name) = entry.name.clone() else { continue };
        let item = match &entry.node {
            Node::CharacterDevice { device: 0 } => Item::Removed,
            Node::Directory { .. } => {
                Item::Folder(stored_folder(base, &base.enter(directory, entry)?, files)?)
            }
            _ => {
                let next = files.len();
                let number = match entry.hard_link.count {
                    0 | 1 => next,
                    _ => *links.entry(entry.hard_link.group).or_insert(next),
                };
                if number == next {
                    files.push(File { entry: plain(entry), content: None });
                }
                Item::File(number)
            }
        };
        folder.names.insert(name, item);
    }
    Ok(folder)
}

/// An entry apart from its catalog.
fn plain(entry: &Entry) -> Entry {
    Entry { hard_link: HardLink::SINGLE, nested: NestedRole::Plain, ..entry.clone() }
}

/// A directory that no archive describes.
pub(super) fn directory() -> Entry {
    Entry {
        name: None,
        metadata: Metadata {
            permissions: 0o755,
            uid: 0,
            gid: 0,
            mtime: Mtime { seconds: 0, nanoseconds: Some(0) },
        },
        node: Node::Directory { size: DIRECTORY_SIZE },
        hard_link: HardLink::SINGLE,
        xattrs: Xattrs::default(),
        nested: NestedRole::Plain,
        hidden: false,
    }
}

/// Describes all directories that nobody has described.
pub(super) fn describe(folder: &mut Folder) {
    folder.entry.get_or_insert_with(directory);
    for item in folder.names.values_mut() {
        if let Item::Folder(inner) = item {
            describe(inner);
        }
    }
}

/// Moves a tree to a path of another one, where nothing else stays.
pub(super) fn graft(onto: &mut Assembly, path: &RepositoryPath, mut tree: Assembly) {
    let offset = onto.files.len();
    shift(&mut tree.root, offset);
    onto.files.append(&mut tree.files);
    tree.root.cleared = true;
    let mut folder = &mut onto.root;
    for name in path.components() {
        let item = folder.names.entry(name).or_insert_with(|| Item::Folder(Folder::default()));
        if !matches!(item, Item::Folder(_)) {
            *item = Item::Folder(Folder { cleared: true, ..Folder::default() });
        }
        let Item::Folder(inner) = item else { return };
        folder = inner;
    }
    *folder = tree.root;
}

fn shift(folder: &mut Folder, offset: usize) {
    for item in folder.names.values_mut() {
        match item {
            Item::File(number) => *number += offset,
            Item::Folder(inner) => shift(inner, offset),
            Item::Removed => {}
        }
    }
}

/// What a tree has at a path, links not followed.
pub(super) fn kind_at(tree: &Assembly, path: &RepositoryPath) -> Option<EntryKind> {
    let mut folder = &tree.root;
    let mut kind = EntryKind::Directory;
    for name in path.components() {
        if kind != EntryKind::Directory {
            return Some(kind);
        }
        match folder.names.get(&name)? {
            Item::Folder(inner) => folder = inner,
            Item::File(number) => kind = tree.files[*number].entry.node.kind(),
            Item::Removed => return None,
        }
    }
    Some(kind)
}
