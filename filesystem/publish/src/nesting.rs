//! Which directories become nested catalogs: by a marker in the tree, by the dirtab, or because a catalog would grow too
//! large.
//!
//! A directory with a file `.cvmfscatalog` is one, but for the root. A directory that the dirtab or the automatic balance
//! chose gets such a file as a hidden entry, so that whoever looks for the marker by its name finds it and listings stay
//! those of the published tree; the balance adds a hidden `.cvmfsautocatalog`. Hidden markers are made anew in every
//! revision from the directory's own entry and are never taken from the tree.
//!
//! The balance splits a catalog of more than `maximum-entries` at the directory with the most entries, deepest first; a
//! directory of fewer than `minimum-entries` is no candidate. What it split off stays so until it has shrunk below half
//! of that, so that a tree that changes a little keeps its catalogs.

use std::cell::Cell;

use varve_content::{Compression, ContentHash};
use varve_repository::{
    Entry, EntryName, FileContent, FileData, HardLink, Metadata, NestedRole, Node, RepositoryPath,
};

use crate::dirtab::Dirtab;
use crate::merge::{Child, Tree};
use crate::settings::Nesting;

/// The file that makes a directory a nested catalog.
pub(crate) const MARKER: &[u8] = b".cvmfscatalog";

/// The file beside it that tells that the automatic balance did so.
pub(crate) const AUTOMATIC_MARKER: &[u8] = b".cvmfsautocatalog";

/// The rules of one publish.
pub(crate) struct Rules<'a> {
    pub(crate) nesting: Nesting,
    pub(crate) dirtab: &'a Dirtab,
    /// The object of an empty file.
    pub(crate) empty: (ContentHash, Compression),
    /// Whether a hidden marker was put somewhere.
    pub(crate) marked: Cell<bool>,
}

/// Why a directory is a nested catalog.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Chosen {
    ByItsMarker,
    ByTheDirtab,
    Automatically,
}

/// The hidden markers of a directory.
#[derive(Default, PartialEq, Eq)]
struct Hidden {
    marker: Option<Entry>,
    automatic: Option<Entry>,
}

impl Rules<'_> {
    /// Decides for the whole tree, sets [`Tree::nested`], and brings the hidden markers up to date. Returns whether there
    /// are any.
    pub(crate) fn apply(&self, tree: &mut Tree) -> bool {
        self.directory(tree, &RepositoryPath::ROOT);
        self.marked.get()
    }

    /// Decides for everything below a directory, and for the directory by what is known there. Returns how many rows it
    /// has in the catalog that lists it or, if it is split off, would have.
    fn directory(&self, tree: &mut Tree, path: &RepositoryPath) -> u64 {
        let before =
            Hidden { marker: take_hidden(tree, MARKER), automatic: take_hidden(tree, AUTOMATIC_MARKER) };
        let mut rows = 1;
        let mut candidates = Vec::new();
        for (name, child) in &mut tree.children {
            rows += match child {
                Child::Directory(inner) => {
                    let inner_rows = self.directory(inner, &path.join(name));
                    if inner.nested {
                        1
                    } else {
                        candidates.push((inner_rows, name.clone()));
                        inner_rows
                    }
                }
                Child::Leaf(_) | Child::Kept(_) | Child::Bound { .. } => 1,
            };
        }
        let nesting = &self.nesting;
        let mut split = Vec::new();
        if nesting.automatic && rows > nesting.maximum_entries.into() {
            // The largest first; of equal ones the first by name.
            candidates.sort_by(|left, right| right.0.cmp(&left.0).then_with(|| left.1.cmp(&right.1)));
            for (inner_rows, name) in candidates {
                if rows <= nesting.maximum_entries.into() || inner_rows < nesting.minimum_entries.into() {
                    break;
                }
                rows -= inner_rows - 1;
                split.push(name);
            }
        }
        for name in split {
            if let Some(Child::Directory(inner)) = tree.children.get_mut(&name) {
                self.nest(inner, Chosen::Automatically, &Hidden::default());
            }
        }
        if !path.is_root() {
            match self.chosen(tree, path, rows, &before) {
                Some(chosen) => self.nest(tree, chosen, &before),
                None => tree.content_changed |= before != Hidden::default(),
            }
        }
        rows
    }

    /// Why a directory becomes a nested catalog whatever is around it.
    fn chosen(&self, tree: &Tree, path: &RepositoryPath, rows: u64, before: &Hidden) -> Option<Chosen> {
        let has_marker = match tree.children.get(&marker_name(MARKER)) {
            Some(Child::Leaf(entry)) => matches!(entry.node, Node::File(_)),
            _ => false,
        };
        let stays = before.automatic.is_some()
            && self.nesting.automatic
            && rows >= (self.nesting.minimum_entries / 2).into();
        if has_marker {
            Some(Chosen::ByItsMarker)
        } else if self.dirtab.matches(path.as_bytes()) {
            Some(Chosen::ByTheDirtab)
        } else {
            stays.then_some(Chosen::Automatically)
        }
    }

    fn nest(&self, tree: &mut Tree, chosen: Chosen, before: &Hidden) {
        tree.nested = true;
        let now = Hidden {
            marker: (chosen != Chosen::ByItsMarker).then(|| self.marker(MARKER, &tree.entry)),
            automatic: (chosen == Chosen::Automatically).then(|| self.marker(AUTOMATIC_MARKER, &tree.entry)),
        };
        tree.content_changed |= now != *before;
        for entry in [now.marker, now.automatic].into_iter().flatten() {
            let name = entry.name.clone().expect("because markers have names");
            tree.children.insert(name, Child::Leaf(entry));
        }
    }

    fn marker(&self, name: &[u8], directory: &Entry) -> Entry {
        let (hash, compression) = self.empty;
        self.marked.set(true);
        let content = FileContent {
            size: 0,
            compression,
            data: FileData::Whole(hash),
            external: false,
            direct_io: false,
        };
        Entry {
            name: Some(marker_name(name)),
            metadata: Metadata { permissions: 0o644, ..directory.metadata },
            node: Node::File(content),
            hard_link: HardLink::SINGLE,
            xattrs: varve_repository::Xattrs::default(),
            nested: NestedRole::Plain,
            hidden: true,
        }
    }
}

/// Takes a hidden marker out of a directory.
fn take_hidden(tree: &mut Tree, name: &[u8]) -> Option<Entry> {
    let name = marker_name(name);
    match tree.children.get(&name) {
        Some(Child::Leaf(entry)) if entry.hidden => {}
        _ => return None,
    }
    match tree.children.remove(&name) {
        Some(Child::Leaf(entry)) => Some(entry),
        _ => None,
    }
}

fn marker_name(name: &[u8]) -> EntryName {
    EntryName::new(name).expect("because the marker's name is a name")
}
