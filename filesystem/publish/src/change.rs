//! A list of changes: what a new revision does to the one before it. Every way of publishing produces one.
//!
//! The list is a tree like the repository's, but holds only what changes, so that its size, and the cost of applying it,
//! follow the change and not the repository. It does not know the base revision: removing what is not there is no
//! change, nor is putting what is there already.

use std::collections::BTreeMap;

use varve_repository::{Entry, EntryName, Node, RepositoryPath};

use crate::pipeline::Ticket;

/// What a new revision changes.
#[derive(Clone, Debug, Default)]
pub(crate) struct ChangeSet {
    /// The changes of the root directory and below it.
    pub(crate) root: DirectoryChange,
}

/// What changes in one directory.
#[derive(Clone, Debug, Default)]
pub(crate) struct DirectoryChange {
    /// The directory's own entry if it is new or has changed. Its link count and role in catalogs are not looked at.
    pub(crate) entry: Option<Entry>,
    /// Nothing of what the directory held before stays.
    pub(crate) opaque: bool,
    /// What happens to the names in it. Names that are not here stay as they are.
    pub(crate) names: BTreeMap<EntryName, Change>,
}

/// What happens to a name.
#[derive(Clone, Debug)]
pub(crate) enum Change {
    /// It goes away, with everything below it.
    Remove,
    /// It becomes a file, a link or a special file, whatever it was before.
    Put(Put),
    /// It is a directory afterwards. If it was none before, then the change must have an entry.
    Directory(DirectoryChange),
}

/// A new or changed entry that is no directory.
#[derive(Clone, Debug)]
pub(crate) struct Put {
    /// The entry; see [`Self::content`] and [`Self::link`] for what is not taken from it.
    pub(crate) entry: Entry,
    /// The file's content is what the pipeline makes of this ticket. With `None` it is what the entry says.
    pub(crate) content: Option<Ticket>,
    /// Names of the same directory with the same number are one file. The numbers mean nothing elsewhere, link counts
    /// are computed. If one name of a group is put, then all of them must be.
    pub(crate) link: Option<u32>,
}

impl ChangeSet {
    /// The same changes in a directory further down: `path` and its parents are made with the entry that `parent` gives
    /// if they don't exist (`exists`), and keep their entry otherwise.
    #[must_use]
    pub(crate) fn below(
        self,
        path: &RepositoryPath,
        mut missing: impl FnMut(&RepositoryPath) -> Option<Entry>,
    ) -> Self {
        let mut change = self.root;
        let mut at = path.clone();
        while let Some((parent, name)) = at.split_last() {
            if change.entry.is_none() {
                change.entry = missing(&at);
            }
            if let Some(entry) = &mut change.entry {
                entry.name = Some(name.clone());
            }
            change = DirectoryChange {
                names: BTreeMap::from([(name, Change::Directory(change))]),
                ..DirectoryChange::default()
            };
            at = parent;
        }
        Self { root: change }
    }
}

impl DirectoryChange {
    /// Whether nothing changes.
    pub(crate) fn is_empty(&self) -> bool {
        self.entry.is_none() && !self.opaque && self.names.is_empty()
    }

    /// The change that makes a new directory.
    pub(crate) fn create(entry: Entry) -> Self {
        debug_assert!(
            matches!(entry.node, Node::Directory { .. }),
            "because only directories have names in them"
        );
        Self { entry: Some(entry), opaque: true, names: BTreeMap::new() }
    }
}
