//! What deletions and members add up to: a tree of names, later members replacing earlier ones as unpacking would, which
//! becomes a list of changes once all are known. It holds metadata only, contents are tickets.

use std::collections::{BTreeMap, HashMap};

use varve_repository::{Entry, EntryName, Metadata, Node, RepositoryPath};

use super::error::{ArchiveProblem, IngestError};
use crate::base_revision::{Base, BaseDirectory};
use crate::change::{Change, ChangeSet, DirectoryChange, Put};
use crate::pipeline::Ticket;

/// The tree so far.
#[derive(Default)]
pub(super) struct Assembly {
    pub(super) root: Folder,
    /// Everything that is no directory. Names share one if they are hard links.
    pub(super) files: Vec<File>,
    /// How many directories were made on the way to others' members.
    pub(super) implied: u64,
}

/// A directory that something happens in or to.
#[derive(Default)]
pub(super) struct Folder {
    /// What a member says of it.
    pub(super) entry: Option<Entry>,
    /// Nothing of what the repository has there stays: it was deleted, or is replaced.
    pub(super) cleared: bool,
    pub(super) names: BTreeMap<EntryName, Item>,
}

pub(super) enum Item {
    Removed,
    /// By its place in [`Assembly::files`].
    File(usize),
    Folder(Folder),
}

#[derive(Clone)]
pub(super) struct File {
    pub(super) entry: Entry,
    pub(super) content: Option<Ticket>,
}

impl Assembly {
    /// Removes what the repository has at `path`. Nothing may have been put before.
    pub(super) fn remove(&mut self, path: &RepositoryPath) {
        match path.split_last() {
            None => self.root.cleared = true,
            Some((parent, name)) => {
                if let Some(folder) = self.root.descend(&parent)
                    && !folder.cleared
                {
                    folder.names.insert(name, Item::Removed);
                }
            }
        }
    }

    /// A directory that exists or is made.
    pub(super) fn directory(&mut self, path: &RepositoryPath, entry: Entry) -> Result<(), ArchiveProblem> {
        let Some((parent, name)) = path.split_last() else {
            self.root.entry = Some(entry);
            return Ok(());
        };
        let item = self.folder(&parent)?.names.entry(name).or_insert_with(|| Item::Folder(Folder::default()));
        match item {
            Item::Folder(folder) => folder.entry = Some(entry),
            Item::Removed | Item::File(_) => {
                *item = Item::Folder(Folder { entry: Some(entry), cleared: true, names: BTreeMap::new() });
            }
        }
        Ok(())
    }

    /// Anything but a directory; it replaces what is there.
    pub(super) fn file(
        &mut self,
        path: &RepositoryPath,
        entry: Entry,
        content: Option<Ticket>,
    ) -> Result<(), ArchiveProblem> {
        let number = self.files.len();
        self.name(path, number)?;
        self.files.push(File { entry, content });
        Ok(())
    }

    /// Another name for what an earlier member put at `target`; `false` if there is no such file.
    pub(super) fn hard_link(
        &mut self,
        path: &RepositoryPath,
        target: &RepositoryPath,
    ) -> Result<bool, ArchiveProblem> {
        let Some((parent, name)) = target.split_last() else { return Ok(false) };
        let mut folder = Some(&self.root);
        for name in parent.components() {
            folder = folder.and_then(|folder| match folder.names.get(&name) {
                Some(Item::Folder(inner)) => Some(inner),
                _ => None,
            });
        }
        let Some(&Item::File(number)) = folder.and_then(|folder| folder.names.get(&name)) else {
            return Ok(false);
        };
        self.name(path, number)?;
        Ok(true)
    }

    /// The changes to `base`. Directories that nobody described are made by `missing`, given the owner of what they lie in.
    pub(super) fn changes(
        self,
        base: &Base<'_>,
        missing: &dyn Fn(&RepositoryPath, (u32, u32)) -> Entry,
    ) -> Result<ChangeSet, IngestError> {
        let root = base.root()?;
        let owner = root.as_ref().and_then(|root| root.entry()).map_or((0, 0), owner);
        let mut tree = self.root;
        if root.is_none() && tree.entry.is_none() {
            tree.entry = Some(missing(&RepositoryPath::ROOT, owner));
        }
        let conversion = Conversion { base, files: &self.files, missing };
        let root = conversion.folder(tree, root.as_ref(), &RepositoryPath::ROOT, owner)?;
        Ok(ChangeSet { root })
    }

    fn name(&mut self, path: &RepositoryPath, number: usize) -> Result<(), ArchiveProblem> {
        let (parent, name) =
            path.split_last().ok_or(ArchiveProblem::Name { reason: "is that of the repository's root" })?;
        self.folder(&parent)?.names.insert(name, Item::File(number));
        Ok(())
    }

    /// The directory that a member lies in.
    pub(super) fn folder(&mut self, path: &RepositoryPath) -> Result<&mut Folder, ArchiveProblem> {
        let mut folder = &mut self.root;
        for name in path.components() {
            let item = folder.names.entry(name).or_insert_with(|| {
                self.implied += 1;
                Item::Folder(Folder::default())
            });
            if let Item::Removed = item {
                *item = Item::Folder(Folder { cleared: true, ..Folder::default() });
            }
            folder = match item {
                Item::Folder(inner) => inner,
                Item::Removed | Item::File(_) => return Err(ArchiveProblem::NoDirectory),
            };
        }
        Ok(folder)
    }
}

impl Folder {
    /// The directory for a removal in it; `None` if it is removed itself.
    fn descend(&mut self, path: &RepositoryPath) -> Option<&mut Self> {
        let mut folder = self;
        for name in path.components() {
            let item = folder.names.entry(name).or_insert_with(|| Item::Folder(Self::default()));
            folder = match item {
                Item::Folder(inner) => inner,
                Item::Removed | Item::File(_) => return None,
            };
        }
        Some(folder)
    }
}

struct Conversion<'a> {
    base: &'a Base<'a>,
    files: &'a [File],
    missing: &'a dyn Fn(&RepositoryPath, (u32, u32)) -> Entry,
}

impl Conversion<'_> {
    fn folder(
        &self,
        folder: Folder,
        before: Option<&BaseDirectory>,
        path: &RepositoryPath,
        owner: (u32, u32),
    ) -> Result<DirectoryChange, IngestError> {
        let before = before.filter(|_| !folder.cleared);
        let owner = folder.entry.as_ref().map_or(owner, self::owner);
        let mut change = DirectoryChange {
            entry: folder.entry,
            opaque: folder.cleared || before.is_none(),
            names: BTreeMap::new(),
        };
        let mut names: HashMap<usize, u32> = HashMap::new();
        for item in folder.names.values() {
            if let Item::File(number) = item {
                *names.entry(*number).or_default() += 1;
            }
        }
        for (name, item) in folder.names {
            let changed = match item {
                Item::Removed => Change::Remove,
                Item::File(number) => {
                    let file = &self.files[number];
                    // Groups are numbered anew when the changes are applied.
                    let link = (names.get(&number) > Some(&1)).then_some(number as u32);
                    Change::Put(Put { entry: file.entry.clone(), content: file.content, link })
                }
                Item::Folder(inner) => {
                    let old = before.and_then(|before| before.child(name.as_bytes()));
                    Change::Directory(self.subfolder(inner, before.zip(old), &path.join(&name), owner)?)
                }
            };
            change.names.insert(name, changed);
        }
        Ok(change)
    }

    fn subfolder(
        &self,
        mut folder: Folder,
        old: Option<(&BaseDirectory, &Entry)>,
        path: &RepositoryPath,
        owner: (u32, u32),
    ) -> Result<DirectoryChange, IngestError> {
        let old = old.filter(|_| !folder.cleared);
        let directory = old.filter(|(_, old)| matches!(old.node, Node::Directory { .. }) && !is_bound(old));
        if folder.entry.is_none() {
            if old.is_some() && directory.is_none() {
                return Err(IngestError::NoDirectory { path: path.clone() });
            }
            if directory.is_none() {
                folder.entry = Some((self.missing)(path, owner));
            }
        }
        let owner = directory.map_or(owner, |(_, old)| self::owner(old));
        let inner = directory.map(|(before, old)| self.base.enter(before, old)).transpose()?;
        self.folder(folder, inner.as_ref(), path, owner)
    }
}

fn is_bound(entry: &Entry) -> bool {
    entry.nested == varve_repository::NestedRole::BindMountPoint
}

fn owner(entry: &Entry) -> (u32, u32) {
    let Metadata { uid, gid, .. } = entry.metadata;
    (uid, gid)
}
