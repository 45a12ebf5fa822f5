//! Base revision and change list become one tree in memory: everything that the touched catalogs will list.
//!
//! Nested catalogs that no change reaches stay references; their content is not loaded. What differs from the base
//! revision is marked, so that a list of changes that changes nothing ends in no new catalog.

use std::collections::{BTreeMap, HashMap};
use std::iter::Peekable;
use std::sync::Arc;

use varve_repository::{CatalogReference, Entry, EntryName, HardLink, NestedRole, Node, RepositoryPath};

use crate::base_revision::{Base, BaseCatalog, BaseDirectory, BaseError};
use crate::change::{Change, DirectoryChange, Put};
use crate::pipeline::Contents;

/// A directory of the new revision.
pub(crate) struct Tree {
    /// Its own entry; link count and role are set when it is written.
    pub(crate) entry: Entry,
    /// What is in it, sorted by name.
    pub(crate) children: BTreeMap<EntryName, Child>,
    /// Its own entry differs from the base revision.
    pub(crate) entry_changed: bool,
    /// Something that is listed in it differs from the base revision.
    pub(crate) content_changed: bool,
    /// The catalog that listed its content and nothing above it, if it was the root of one.
    pub(crate) origin: Option<Arc<BaseCatalog>>,
    /// Whether a catalog begins here; decided by [`crate::nesting`].
    pub(crate) nested: bool,
}

/// Something in a directory of the new revision.
pub(crate) enum Child {
    /// No directory.
    Leaf(Entry),
    /// A directory whose content is in memory.
    Directory(Box<Tree>),
    /// A directory whose content is in a nested catalog that stays as it is.
    Kept(Kept),
    /// A directory whose content is another revision.
    Bound { entry: Entry, reference: Option<CatalogReference> },
}

/// A nested catalog that stays.
pub(crate) struct Kept {
    pub(crate) entry: Entry,
    pub(crate) reference: CatalogReference,
    /// The catalog that refers to it in the base revision.
    pub(crate) owner: Arc<BaseCatalog>,
}

/// Why a change list can't be applied.
#[derive(Debug, thiserror::Error)]
pub enum MergeError {
    /// The base revision can't be read.
    #[error(transparent)]
    Base(#[from] BaseError),
    /// A directory is changed that is none, and the change does not say what it becomes.
    #[error("the change list has no entry for the new directory {path}")]
    NoEntry {
        /// The directory.
        path: RepositoryPath,
    },
}

/// Applies changes to the base revision. With `whole`, every nested catalog is loaded: which directories become nested
/// catalogs may change anywhere.
pub(crate) fn merge(
    base: &Base<'_>,
    change: DirectoryChange,
    contents: &Contents,
    whole: bool,
) -> Result<Tree, MergeError> {
    let merge = Merge { base, contents, whole };
    let root = base.root()?;
    let origin = root.as_ref().map(|root| root.catalog.clone());
    let old = root.as_ref().and_then(|root| root.entry());
    merge.directory(&RepositoryPath::ROOT, root.as_ref(), old, origin, change)
}

struct Merge<'a> {
    base: &'a Base<'a>,
    contents: &'a Contents,
    whole: bool,
}

/// Which hard link group a name belongs to, before the groups are numbered anew.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum Group {
    /// One of the base revision.
    Old(u32),
    /// One of the change list.
    New(u32),
}

/// The names of a directory that are hard links.
type Links = HashMap<EntryName, Link>;

struct Link {
    group: Group,
    /// What the base revision says of the name.
    before: Option<HardLink>,
}

impl Merge<'_> {
    fn directory(
        &self,
        path: &RepositoryPath,
        before: Option<&BaseDirectory>,
        old: Option<&Entry>,
        origin: Option<Arc<BaseCatalog>>,
        change: DirectoryChange,
    ) -> Result<Tree, MergeError> {
        let entry = match (change.entry, old) {
            (Some(entry), _) => entry,
            (None, Some(old)) => old.clone(),
            (None, None) => return Err(MergeError::NoEntry { path: path.clone() }),
        };
        let entry_changed = old.is_none_or(|old| !same_directory(old, &entry));
        let mut tree = Tree {
            entry,
            children: BTreeMap::new(),
            entry_changed,
            content_changed: before.is_none(),
            origin,
            nested: false,
        };
        let mut links = Links::new();
        let mut changes = change.names.into_iter().peekable();
        for (before, old) in before.iter().flat_map(|before| before.children().map(move |old| (*before, old)))
        {
            let name = old.name.as_ref().expect("because every entry in a directory has a name");
            while let Some((name, change)) = next_before(&mut changes, name) {
                self.change(path, &mut tree, &mut links, name, None, change)?;
            }
            match changes.next_if(|(changed, _)| changed == name) {
                Some((name, change)) => {
                    self.change(path, &mut tree, &mut links, name, Some((before, old)), change)?;
                }
                None if change.opaque => tree.content_changed = true,
                None => self.unchanged(path, &mut tree, &mut links, before, old)?,
            }
        }
        for (name, change) in changes {
            self.change(path, &mut tree, &mut links, name, None, change)?;
        }
        number_links(&mut tree, &links);
        Ok(tree)
    }

    /// Takes over what the base revision has.
    fn unchanged(
        &self,
        path: &RepositoryPath,
        tree: &mut Tree,
        links: &mut Links,
        before: &BaseDirectory,
        old: &Entry,
    ) -> Result<(), MergeError> {
        let name = old.name.clone().expect("because every entry in a directory has a name");
        let child = match (&old.node, old.nested) {
            (Node::Directory { .. }, NestedRole::BindMountPoint) => {
                let reference = before.catalog.bind_mount_points.get(&path.join(&name)).cloned();
                Child::Bound { entry: old.clone(), reference }
            }
            (Node::Directory { .. }, role) => match before.nested(old)? {
                Some(reference) if !self.whole && role == NestedRole::MountPoint => {
                    Child::Kept(Kept { entry: old.clone(), reference, owner: before.catalog.clone() })
                }
                _ => self.subdirectory(path, before, old, DirectoryChange::default())?,
            },
            _ => {
                if old.hard_link.count > 1 {
                    let group = Group::Old(old.hard_link.group);
                    links.insert(name.clone(), Link { group, before: Some(old.hard_link) });
                }
                Child::Leaf(old.clone())
            }
        };
        tree.children.insert(name, child);
        Ok(())
    }

    fn subdirectory(
        &self,
        path: &RepositoryPath,
        before: &BaseDirectory,
        old: &Entry,
        change: DirectoryChange,
    ) -> Result<Child, MergeError> {
        let name = old.name.as_ref().expect("because every entry in a directory has a name");
        let inner = self.base.enter(before, old)?;
        let origin = (old.nested == NestedRole::MountPoint).then(|| inner.catalog.clone());
        let tree = self.directory(&path.join(name), Some(&inner), Some(old), origin, change)?;
        Ok(Child::Directory(Box::new(tree)))
    }

    fn change(
        &self,
        path: &RepositoryPath,
        tree: &mut Tree,
        links: &mut Links,
        name: EntryName,
        old: Option<(&BaseDirectory, &Entry)>,
        change: Change,
    ) -> Result<(), MergeError> {
        let child = match change {
            Change::Remove => None,
            Change::Put(put) => self.put(&name, put, old.map(|(_, old)| old), links),
            Change::Directory(mut change) => {
                if let Some(entry) = &mut change.entry {
                    entry.name = Some(name.clone());
                }
                match old {
                    Some((before, old))
                        if matches!(old.node, Node::Directory { .. })
                            && old.nested != NestedRole::BindMountPoint =>
                    {
                        Some(self.subdirectory(path, before, old, change)?)
                    }
                    _ => {
                        let made = self.directory(&path.join(&name), None, None, None, change)?;
                        Some(Child::Directory(Box::new(made)))
                    }
                }
            }
        };
        let same = match (&child, old) {
            (None, None) => true,
            (Some(Child::Leaf(new)), Some((_, old))) => {
                same_leaf(old, new) && (old.hard_link.count == 1 || links.contains_key(&name))
            }
            (Some(Child::Directory(new)), Some((_, old))) => {
                matches!(old.node, Node::Directory { .. }) && !new.entry_changed
            }
            _ => false,
        };
        tree.content_changed |= !same;
        if let Some(child) = child {
            tree.children.insert(name, child);
        }
        Ok(())
    }

    /// The entry that is put, `None` if its file has vanished.
    fn put(&self, name: &EntryName, put: Put, old: Option<&Entry>, links: &mut Links) -> Option<Child> {
        let mut entry = put.entry;
        entry.name = Some(name.clone());
        entry.hard_link = HardLink::SINGLE;
        if let Some(ticket) = put.content {
            let (stamp, content) = self.contents.get(ticket)?;
            entry.metadata.mtime = stamp.mtime;
            entry.node = Node::File(content.clone());
        }
        if let Some(link) = put.link {
            let before = old.map(|old| old.hard_link).filter(|link| link.count > 1);
            links.insert(name.clone(), Link { group: Group::New(link), before });
        }
        Some(Child::Leaf(entry))
    }
}

/// Sets link counts and numbers the groups of a directory from 1, in the order of their first names. A group is as before
/// if it has exactly the names of one group of the base revision.
fn number_links(tree: &mut Tree, links: &Links) {
    let mut groups: HashMap<Group, (HardLink, Option<HardLink>)> = HashMap::new();
    for (name, child) in &tree.children {
        let (Child::Leaf(_), Some(link)) = (child, links.get(name)) else { continue };
        let (now, before) =
            groups.entry(link.group).or_insert((HardLink { group: 0, count: 0 }, link.before));
        now.count += 1;
        if *before != link.before {
            *before = None;
        }
    }
    tree.content_changed |=
        groups.values().any(|(now, before)| before.is_none_or(|before| before.count != now.count));
    let mut numbered = 0;
    for (name, child) in &mut tree.children {
        let (Child::Leaf(entry), Some(link)) = (child, links.get(name)) else { continue };
        let (now, _) = groups.get_mut(&link.group).expect("because every name was counted");
        if now.count > 1 && now.group == 0 {
            numbered += 1;
            now.group = numbered;
        }
        entry.hard_link = if now.count > 1 { *now } else { HardLink::SINGLE };
    }
}

fn next_before(
    changes: &mut Peekable<impl Iterator<Item = (EntryName, Change)>>,
    name: &EntryName,
) -> Option<(EntryName, Change)> {
    changes.next_if(|(changed, _)| changed < name)
}

/// Hard links are compared elsewhere.
fn same_leaf(old: &Entry, new: &Entry) -> bool {
    old.node == new.node
        && old.metadata == new.metadata
        && old.xattrs == new.xattrs
        && old.hidden == new.hidden
}

fn same_directory(old: &Entry, new: &Entry) -> bool {
    old.metadata == new.metadata
        && old.xattrs == new.xattrs
        && matches!((&old.node, &new.node), (Node::Directory { .. }, Node::Directory { .. }))
        && old.hidden == new.hidden
}
