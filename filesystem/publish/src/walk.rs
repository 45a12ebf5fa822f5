//! The tree walk: compares a directory tree with the base revision and lists what changed.
//!
//! A file whose size and time are those of the base revision is taken to be unchanged and is not opened, unless its time
//! is so young that it may have been written to after the last publish read it, within one tick of the file system's
//! clock. Changed files are submitted to the content pipeline on the way.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use rustix::fs::{FileType, Stat};
use rustix::io::Errno;
use varve_repository::{
    Entry, EntryName, FileContent, FileData, HardLink, Metadata, Mtime, NestedRole, Node, RepositoryPath,
    Xattrs,
};

use crate::base_revision::{Base, BaseDirectory, BaseError};
use crate::change::{Change, DirectoryChange, Put};
use crate::pipeline::{Feeder, FileSource, Stamp, Stopped, Ticket};
use crate::progress::Progress;
use crate::source::SourceDirectory;

mod layer;
mod links;

pub use layer::LayerProblem;
pub(crate) use layer::{Layer, Marks, walk_layer};
use links::{Links, inode};

/// The size that is recorded for every directory: what file systems report depends on their kind and past.
pub(crate) const DIRECTORY_SIZE: u64 = 4096;

/// The longest target of a symbolic link, in bytes: Linux allows no longer ones.
pub(crate) const LONGEST_TARGET: usize = 4095;

/// How a tree is compared.
#[derive(Clone, Copy, Debug)]
pub(crate) struct WalkOptions {
    /// Whether extended attributes are recorded.
    pub(crate) xattrs: bool,
    /// Files with this or a later time are read even if they look unchanged; `None` reads all.
    pub(crate) trusted_before: Option<Mtime>,
    /// Whose the files are.
    pub(crate) owners: Owners,
}

/// Whose the files of a new revision are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Owners {
    /// Their owners in the tree.
    Recorded,
    /// Who owned what the base revision has under the same name; for new names, their owners in the tree. For trees that
    /// can have one owner only.
    Kept,
}

/// What a walk saw.
#[derive(Clone, Debug, Default)]
pub(crate) struct WalkTally {
    /// Names in the tree, the top included.
    pub(crate) entries: u64,
    /// Regular files among them.
    pub(crate) files: u64,
    /// What was left out.
    pub(crate) warnings: Vec<Warning>,
}

/// Something that was left out of a revision.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Warning {
    /// What it concerns.
    pub path: RepositoryPath,
    /// What was left out and why.
    pub reason: String,
}

/// Why a tree can't be read.
#[derive(Debug, thiserror::Error)]
pub enum WalkError {
    /// The operating system refused.
    #[error("cannot {action} {path}")]
    Io {
        /// What was tried.
        action: &'static str,
        /// The file or directory, as a path in the repository.
        path: RepositoryPath,
        /// What the operating system said.
        #[source]
        source: std::io::Error,
    },
    /// A symbolic link that no client could follow, such as one of a mount whose variable has no value.
    #[error("the symbolic link {path} has a target of {length} bytes, it must have 1 to 4095")]
    LinkTarget {
        /// The link, as a path in the repository.
        path: RepositoryPath,
        /// The length of its target in bytes.
        length: usize,
    },
    /// The upper directory of an overlay is not what the kernel would have made of the base revision.
    #[error("the change of {path} can't be understood: {problem}")]
    Layer {
        /// Where, as a path in the repository.
        path: RepositoryPath,
        /// What is wrong.
        problem: LayerProblem,
    },
    /// The base revision can't be read.
    #[error(transparent)]
    Base(#[from] BaseError),
    /// The content pipeline has failed; it reports why itself.
    #[error("the content pipeline has stopped")]
    Stopped,
}

impl From<Stopped> for WalkError {
    fn from(_: Stopped) -> Self {
        Self::Stopped
    }
}

/// Walks the tree below `source` and returns how `base` has to change to become equal to it. `path` is where the tree lies
/// in the repository.
pub(crate) fn walk(
    options: WalkOptions,
    source: &SourceDirectory,
    path: &RepositoryPath,
    base: &Base<'_>,
    feeder: &mut Feeder<'_>,
    progress: &dyn Progress,
) -> Result<(DirectoryChange, WalkTally), WalkError> {
    let mut walk =
        Walk { options, base, feeder, progress, inodes: HashMap::new(), tally: WalkTally::default() };
    let path = Arc::new(path.clone());
    let stat = source.stat().map_err(failed("examine", &path))?;
    let before = base.find(&path)?;
    let name = path.split_last().map(|(_, name)| name);
    let old = before.as_ref().and_then(|directory| directory.entry()).cloned();
    let entry = walk.directory_entry(source, name, &path, &stat, old.as_ref())?;
    let mut change = walk.directory(source, &path, before.as_ref())?;
    change.entry = entry;
    Ok((change, walk.tally))
}

struct Walk<'a, 'b> {
    options: WalkOptions,
    base: &'a Base<'a>,
    feeder: &'a mut Feeder<'b>,
    progress: &'a dyn Progress,
    /// Files with several names are read once, wherever the names are.
    inodes: HashMap<(u64, u64), Ticket>,
    tally: WalkTally,
}

/// A name in a directory, both sides of it.
struct Found<'a> {
    name: EntryName,
    stat: Stat,
    old: Option<&'a Entry>,
    /// The content of a file of which the tree has the attributes only.
    content: Option<FileContent>,
}

impl<'a> Found<'a> {
    fn new(name: EntryName, stat: Stat, old: Option<&'a Entry>) -> Self {
        Self { name, stat, old, content: None }
    }
}

impl Walk<'_, '_> {
    /// The changes in a directory and below; its own entry is the caller's.
    fn directory(
        &mut self,
        source: &SourceDirectory,
        path: &Arc<RepositoryPath>,
        before: Option<&BaseDirectory>,
    ) -> Result<DirectoryChange, WalkError> {
        let mut change = DirectoryChange { opaque: before.is_none(), ..DirectoryChange::default() };
        self.tally.entries += 1;
        let mut old: std::iter::Peekable<_> =
            before.iter().flat_map(|directory| directory.children()).peekable();
        let mut found = Vec::new();
        for name in source.names().map_err(failed("list", path))? {
            while let Some(gone) = old.next_if(|entry| entry.name.as_ref() < Some(&name)) {
                removed(gone, &mut change.names);
            }
            let same = old.next_if(|entry| entry.name.as_ref() == Some(&name));
            match source.stat_entry(&name).map_err(|errno| io_error("examine", path.join(&name), errno))? {
                Some(stat) => found.push(Found::new(name, stat, same)),
                None => same.into_iter().for_each(|gone| removed(gone, &mut change.names)),
            }
        }
        old.for_each(|gone| removed(gone, &mut change.names));
        let links = Links::new(&found);
        for item in &found {
            let change_of = if FileType::from_raw_mode(item.stat.st_mode) == FileType::Directory {
                self.subdirectory(source, path, item, before)?
            } else {
                self.tally.entries += 1;
                self.leaf(source, path, item, &links)?.map(Change::Put)
            };
            if let Some(changed) = change_of {
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
        let inner = match source.enter(&item.name) {
            Ok(inner) => inner,
            Err(Errno::NOENT) => return Ok(item.old.map(|_| Change::Remove)),
            Err(errno) => return Err(io_error("open", (*path).clone(), errno)),
        };
        let old = item.old.filter(|entry| matches!(entry.node, Node::Directory { .. }));
        let old_directory = match (before, old) {
            (Some(before), Some(entry)) => Some(self.base.enter(before, entry)?),
            _ => None,
        };
        let entry = self.directory_entry(&inner, Some(item.name.clone()), &path, &item.stat, old)?;
        let mut change = self.directory(&inner, &path, old_directory.as_ref())?;
        change.entry = entry;
        Ok((!change.is_empty()).then_some(Change::Directory(change)))
    }

    /// The entry of a directory, if it is not as before.
    fn directory_entry(
        &mut self,
        source: &SourceDirectory,
        name: Option<EntryName>,
        path: &RepositoryPath,
        stat: &Stat,
        old: Option<&Entry>,
    ) -> Result<Option<Entry>, WalkError> {
        self.progress.seen(None);
        let xattrs = self.xattrs(source, None, path)?;
        let metadata = self.metadata(stat, old);
        if let Some(old) = old
            && same_metadata(&old.metadata, &metadata)
            && old.xattrs == xattrs
        {
            return Ok(None);
        }
        Ok(Some(Entry {
            name,
            metadata,
            node: Node::Directory { size: DIRECTORY_SIZE },
            hard_link: HardLink::SINGLE,
            xattrs,
            nested: NestedRole::Plain,
            hidden: false,
        }))
    }

    /// The new entry of anything but a directory, if it is not as before.
    fn leaf(
        &mut self,
        source: &SourceDirectory,
        path: &Arc<RepositoryPath>,
        item: &Found<'_>,
        links: &Links,
    ) -> Result<Option<Put>, WalkError> {
        let stat = &item.stat;
        let full = || path.join(&item.name);
        let mut content = None;
        let mut to_read = None;
        let node = match FileType::from_raw_mode(stat.st_mode) {
            FileType::Symlink => {
                let target = source.read_link(&item.name).map_err(|errno| io_error("read", full(), errno))?;
                if !(1..=LONGEST_TARGET).contains(&target.len()) {
                    return Err(WalkError::LinkTarget { path: full(), length: target.len() });
                }
                Node::Symlink { target }
            }
            FileType::Fifo => Node::Fifo,
            FileType::Socket => Node::Socket,
            FileType::CharacterDevice => Node::CharacterDevice { device: stat.st_rdev },
            FileType::BlockDevice => Node::BlockDevice { device: stat.st_rdev },
            _ => {
                self.tally.files += 1;
                if let Some(same) = self.known_content(item) {
                    Node::File(same.clone())
                } else {
                    let stamp = Stamp::of(stat);
                    to_read = Some(stamp.size);
                    content = Some(self.submit(source, path, item, stamp)?);
                    Node::File(pending(stamp.size))
                }
            }
        };
        self.progress.seen(to_read);
        let xattrs = self.xattrs(source, Some(&item.name), &full())?;
        let metadata = self.metadata(stat, item.old);
        let unchanged = content.is_none()
            && links.unchanged(item)
            && item.old.is_some_and(|old| {
                !old.hidden
                    && old.node == node
                    && same_metadata(&old.metadata, &metadata)
                    && old.xattrs == xattrs
            });
        if unchanged {
            return Ok(None);
        }
        let entry = Entry {
            name: Some(item.name.clone()),
            metadata,
            node,
            hard_link: HardLink::SINGLE,
            xattrs,
            nested: NestedRole::Plain,
            hidden: false,
        };
        Ok(Some(Put { entry, content, link: links.number(item) }))
    }

    /// The content that the base revision has of a file, if it need not be read again.
    fn known_content<'e>(&self, item: &'e Found<'_>) -> Option<&'e FileContent> {
        if item.content.is_some() {
            return item.content.as_ref();
        }
        let Some(Entry { node: Node::File(content), metadata: old, .. }) = item.old else { return None };
        let now = Stamp::of(&item.stat).mtime;
        let same = content.size == item.stat.st_size as u64 && same_time(old.mtime, now);
        (same && self.options.trusted_before.is_some_and(|before| now < before)).then_some(content)
    }

    fn submit(
        &mut self,
        source: &SourceDirectory,
        path: &Arc<RepositoryPath>,
        item: &Found<'_>,
        stamp: Stamp,
    ) -> Result<Ticket, Stopped> {
        let stat = &item.stat;
        let inode = inode(item);
        if stat.st_nlink > 1
            && let Some(ticket) = self.inodes.get(&inode)
        {
            return Ok(*ticket);
        }
        let ticket = self.feeder.submit(FileSource {
            directory: source.fd(),
            path: path.clone(),
            name: item.name.clone(),
            stamp,
            sparse: (stat.st_blocks as u64).saturating_mul(512) < stamp.size,
        })?;
        if stat.st_nlink > 1 {
            self.inodes.insert(inode, ticket);
        }
        Ok(ticket)
    }

    fn metadata(&self, stat: &Stat, old: Option<&Entry>) -> Metadata {
        let mut metadata = Metadata {
            permissions: stat.st_mode & 0o7777,
            uid: stat.st_uid,
            gid: stat.st_gid,
            mtime: Stamp::of(stat).mtime,
        };
        if let Some(old) = old.filter(|_| self.options.owners == Owners::Kept) {
            (metadata.uid, metadata.gid) = (old.metadata.uid, old.metadata.gid);
        }
        metadata
    }

    fn xattrs(
        &mut self,
        source: &SourceDirectory,
        name: Option<&EntryName>,
        path: &RepositoryPath,
    ) -> Result<Xattrs, WalkError> {
        if !self.options.xattrs {
            return Ok(Xattrs::default());
        }
        let (xattrs, dropped) =
            source.xattrs(name).map_err(|errno| io_error("read the attributes of", path.clone(), errno))?;
        for name in dropped {
            let reason = format!(
                "attribute {} left out: a catalog holds at most 255 attributes of at most 255 bytes",
                String::from_utf8_lossy(&name)
            );
            self.tally.warnings.push(Warning { path: path.clone(), reason });
        }
        Ok(xattrs)
    }
}

/// Hidden entries are not in listings, so that they are missing in the source is no removal.
fn removed(gone: &Entry, names: &mut BTreeMap<EntryName, Change>) {
    if let Some(name) = gone.name.as_ref().filter(|_| !gone.hidden) {
        names.insert(name.clone(), Change::Remove);
    }
}

/// Stands in until the pipeline has the content.
pub(crate) fn pending(size: u64) -> FileContent {
    FileContent {
        size,
        compression: varve_content::Compression::Zlib,
        data: FileData::Chunked {
            algorithm: varve_content::Algorithm::Sha1,
            chunks: Vec::new(),
            whole: None,
        },
        external: false,
        direct_io: false,
    }
}

fn same_metadata(old: &Metadata, new: &Metadata) -> bool {
    same_time(old.mtime, new.mtime)
        && (old.permissions, old.uid, old.gid) == (new.permissions, new.uid, new.gid)
}

/// Nanoseconds count where both have them.
fn same_time(old: Mtime, new: Mtime) -> bool {
    old.seconds == new.seconds && old.nanoseconds.zip(new.nanoseconds).is_none_or(|(old, new)| old == new)
}

fn failed<'a>(action: &'static str, path: &'a RepositoryPath) -> impl Fn(Errno) -> WalkError + use<'a> {
    move |errno| io_error(action, path.clone(), errno)
}

fn io_error(action: &'static str, path: RepositoryPath, errno: Errno) -> WalkError {
    WalkError::Io { action, path, source: errno.into() }
}
