//! The upper directory of an overlay over the base revision: it holds what was changed and nothing else.
//!
//! What the kernel writes there: a name that is gone is a character device 0:0. A directory is *opaque* if nothing of the
//! one below shows through it, *redirected* if the one below had another path. A file may be there with its attributes
//! only (*metacopy*), its content being that of the file below. See the kernel's page on overlayfs.
//!
//! What the overlay showed is what the new revision has, also where the kernel parts a file from its other names because it
//! was changed by one of them.

use std::collections::HashMap;
use std::collections::btree_map::Entry as Slot;
use std::fmt;
use std::sync::Arc;

use rustix::fs::{FileType, Stat};
use varve_repository::{EntryName, FileContent, HardLink, NestedRole, Node, RepositoryPath};

use super::links::{Links, is_leaf};
use super::{Found, Walk, WalkError, WalkOptions, WalkTally, failed, io_error};
use crate::base_revision::{Base, BaseDirectory};
use crate::change::{Change, DirectoryChange, Put};
use crate::pipeline::Feeder;
use crate::progress::Progress;
use crate::source::SourceDirectory;

/// Group numbers of grafted hard links begin here, above those that are counted in a directory.
const GRAFTED_LINKS: u32 = 1 << 31;

/// The upper directory of an overlay.
pub(crate) struct Layer<'a> {
    /// Its top, with the attributes that the top of the overlay has.
    pub(crate) upper: &'a SourceDirectory,
    /// Where in the repository the overlay's top is.
    pub(crate) top: &'a RepositoryPath,
    /// How the kernel names its marks.
    pub(crate) marks: Marks,
}

/// The name space of the attributes that an overlay's marks are kept in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Marks {
    /// `trusted.overlay.`: mounted by root.
    Trusted,
    /// `user.overlay.`: mounted in a user namespace.
    User,
}

/// Why an upper directory can't be understood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LayerProblem {
    /// It refers to something that the base revision does not have there.
    NoOrigin(Vec<u8>),
    /// A directory was moved that holds another revision.
    BoundRevision,
    /// A mark is malformed.
    Mark(&'static str),
}

impl fmt::Display for LayerProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoOrigin(path) => {
                write!(f, "it comes from {}, which the base revision does not have", path.escape_ascii())
            }
            Self::BoundRevision => f.write_str("a directory that shows another revision was moved"),
            Self::Mark(name) => write!(f, "its attribute {name} is malformed"),
        }
    }
}

/// Walks the upper directory and returns how `base` has to change to become what the overlay showed.
pub(crate) fn walk_layer(
    options: WalkOptions,
    layer: &Layer<'_>,
    base: &Base<'_>,
    feeder: &mut Feeder<'_>,
    progress: &dyn Progress,
) -> Result<(DirectoryChange, WalkTally), WalkError> {
    let walk = Walk { options, base, feeder, progress, inodes: HashMap::new(), tally: WalkTally::default() };
    let mut walk = LayerWalk { walk, layer };
    let path = Arc::new(layer.top.clone());
    let stat = layer.upper.stat().map_err(failed("examine", &path))?;
    let before = base.find(&path)?;
    let name = path.split_last().map(|(_, name)| name);
    let old = before.as_ref().and_then(|directory| directory.entry()).cloned();
    let entry = walk.walk.directory_entry(layer.upper, name, &path, &stat, old.as_ref())?;
    let mut change = walk.directory(layer.upper, &path, before.as_ref())?;
    change.entry = entry;
    Ok((change, walk.walk.tally))
}

struct LayerWalk<'a, 'b> {
    walk: Walk<'a, 'b>,
    layer: &'a Layer<'a>,
}

impl LayerWalk<'_, '_> {
    /// The changes in a directory and below; its own entry is the caller's. `before` is what shows through it.
    fn directory(
        &mut self,
        source: &SourceDirectory,
        path: &Arc<RepositoryPath>,
        before: Option<&BaseDirectory>,
    ) -> Result<DirectoryChange, WalkError> {
        let mut change = DirectoryChange { opaque: before.is_none(), ..DirectoryChange::default() };
        self.walk.tally.entries += 1;
        let mut found = Vec::new();
        for name in source.names().map_err(failed("list", path))? {
            let full = path.join(&name);
            let Some(stat) =
                source.stat_entry(&name).map_err(|errno| io_error("examine", full.clone(), errno))?
            else {
                continue;
            };
            if is_whiteout(&stat) {
                change.names.insert(name, Change::Remove);
                continue;
            }
            let old = before.and_then(|before| before.child(name.as_bytes())).filter(|old| !old.hidden);
            let mut item = Found::new(name, stat, old);
            if is_leaf(&item) {
                item.content = self.content_below(source, &item, &full, before)?;
            }
            found.push(item);
        }
        let links = Links::new(&found);
        for item in &found {
            let changed = if is_leaf(item) {
                self.walk.tally.entries += 1;
                self.walk.leaf(source, path, item, &links)?.map(Change::Put)
            } else {
                self.subdirectory(source, path, item, before)?
            };
            if let Some(changed) = changed {
                change.names.insert(item.name.clone(), changed);
            }
        }
        Ok(change)
    }

    fn subdirectory(
        &mut self,
        source: &SourceDirectory,
        path: &RepositoryPath,
        item: &Found<'_>,
        before: Option<&BaseDirectory>,
    ) -> Result<Option<Change>, WalkError> {
        let path = Arc::new(path.join(&item.name));
        let inner = source.enter(&item.name).map_err(|errno| io_error("open", (*path).clone(), errno))?;
        let mark = |name| self.mark(&inner, None, name, &path);
        let redirect = mark("redirect")?;
        // Also "x": opaque as to its own marks only.
        let opaque = mark("opaque")?.is_some_and(|value| value == b"y");
        let old = item.old.filter(|entry| matches!(entry.node, Node::Directory { .. }));
        let entry = self.walk.directory_entry(&inner, Some(item.name.clone()), &path, &item.stat, old)?;
        let base = self.walk.base;
        if let Some(target) = redirect {
            let Some(moved) = self.origin(before, &target, &path)? else {
                return Err(layer_error(&path, LayerProblem::NoOrigin(target)));
            };
            let mut change = self.directory(&inner, &path, Some(&moved))?;
            change.entry = entry;
            // Not after it was moved back.
            if moved.path != *path {
                change.opaque = true;
                self.graft(&moved, &path, &mut change)?;
            }
            return Ok((!change.is_empty()).then_some(Change::Directory(change)));
        }
        let below = match (before, old) {
            (Some(before), Some(old)) if !opaque => Some(base.enter(before, old)?),
            _ => None,
        };
        let mut change = self.directory(&inner, &path, below.as_ref())?;
        change.entry = entry;
        Ok((!change.is_empty()).then_some(Change::Directory(change)))
    }

    /// The content of a file that is there with its attributes only.
    fn content_below(
        &self,
        source: &SourceDirectory,
        item: &Found<'_>,
        path: &RepositoryPath,
        before: Option<&BaseDirectory>,
    ) -> Result<Option<FileContent>, WalkError> {
        if FileType::from_raw_mode(item.stat.st_mode) != FileType::RegularFile
            || self.mark(source, Some(&item.name), "metacopy", path)?.is_none()
        {
            return Ok(None);
        }
        let redirect = self.mark(source, Some(&item.name), "redirect", path)?;
        let target = redirect.unwrap_or_else(|| item.name.as_bytes().to_vec());
        let entry = match split(&target) {
            (Some(parent), name) => self
                .walk
                .base
                .find(&self.in_repository(parent, path)?)?
                .and_then(|at| at.child(name).cloned()),
            (None, name) => before.and_then(|before| before.child(name).cloned()),
        };
        match entry.map(|entry| entry.node) {
            Some(Node::File(content)) if content.size == item.stat.st_size as u64 => Ok(Some(content)),
            _ => Err(layer_error(path, LayerProblem::NoOrigin(target))),
        }
    }

    /// The directory of the base revision that a redirected one shows.
    fn origin(
        &self,
        before: Option<&BaseDirectory>,
        target: &[u8],
        path: &RepositoryPath,
    ) -> Result<Option<BaseDirectory>, WalkError> {
        let base = self.walk.base;
        match split(target) {
            (Some(_), _) => Ok(base.find(&self.in_repository(target, path)?)?),
            (None, name) => {
                let entry = before.and_then(|before| Some((before, before.child(name)?)));
                let entry = entry.filter(|(_, entry)| matches!(entry.node, Node::Directory { .. }));
                Ok(entry.map(|(before, entry)| base.enter(before, entry)).transpose()?)
            }
        }
    }

    /// A path from the overlay's top, as one in the repository.
    fn in_repository(&self, from_top: &[u8], path: &RepositoryPath) -> Result<RepositoryPath, WalkError> {
        let malformed = |_| layer_error(path, LayerProblem::Mark("redirect"));
        let relative = RepositoryPath::new(from_top).map_err(malformed)?;
        Ok(relative.components().fold(self.layer.top.clone(), |path, name| path.join(&name)))
    }

    /// Adds what a moved directory of the base revision holds, but for the names that something happens to.
    fn graft(
        &self,
        moved: &BaseDirectory,
        path: &RepositoryPath,
        change: &mut DirectoryChange,
    ) -> Result<(), WalkError> {
        for old in moved.children() {
            let name = old.name.clone().expect("because every entry in a directory has a name");
            let path = path.join(&name);
            let mut entry = old.clone();
            (entry.nested, entry.hard_link) = (NestedRole::Plain, HardLink::SINGLE);
            let is_directory = matches!(old.node, Node::Directory { .. });
            if is_directory && old.nested == NestedRole::BindMountPoint {
                return Err(layer_error(&path, LayerProblem::BoundRevision));
            }
            match change.names.entry(name) {
                // Its own changes were computed over the moved one: what they leave out is as it was there.
                Slot::Occupied(mut slot) => {
                    if let Change::Directory(inner) = slot.get_mut()
                        && is_directory
                    {
                        inner.entry.get_or_insert(entry);
                        if !inner.opaque {
                            inner.opaque = true;
                            self.graft(&self.walk.base.enter(moved, old)?, &path, inner)?;
                        }
                    }
                }
                Slot::Vacant(slot) if is_directory => {
                    let mut inner = DirectoryChange::create(entry);
                    self.graft(&self.walk.base.enter(moved, old)?, &path, &mut inner)?;
                    slot.insert(Change::Directory(inner));
                }
                Slot::Vacant(slot) => {
                    let link = (old.hard_link.count > 1).then_some(old.hard_link.group | GRAFTED_LINKS);
                    slot.insert(Change::Put(Put { entry, content: None, link }));
                }
            }
        }
        // Removals of what is not there any more.
        change.names.retain(|_, change| !matches!(change, Change::Remove));
        Ok(())
    }

    fn mark(
        &self,
        directory: &SourceDirectory,
        name: Option<&EntryName>,
        mark: &str,
        path: &RepositoryPath,
    ) -> Result<Option<Vec<u8>>, WalkError> {
        let attribute = format!("{}{mark}", self.layer.marks.prefix());
        directory
            .xattr(name, &attribute)
            .map_err(|errno| io_error("read the attributes of", path.clone(), errno))
    }
}

impl Marks {
    fn prefix(self) -> &'static str {
        match self {
            Self::Trusted => "trusted.overlay.",
            Self::User => "user.overlay.",
        }
    }
}

fn is_whiteout(stat: &Stat) -> bool {
    FileType::from_raw_mode(stat.st_mode) == FileType::CharacterDevice && stat.st_rdev == 0
}

/// The directory, if the path has one, and the name.
fn split(path: &[u8]) -> (Option<&[u8]>, &[u8]) {
    match path.iter().rposition(|&byte| byte == b'/') {
        Some(at) => (Some(&path[..at]), &path[at + 1..]),
        None => (None, path),
    }
}

fn layer_error(path: &RepositoryPath, problem: LayerProblem) -> WalkError {
    WalkError::Layer { path: path.clone(), problem }
}
