//! A directory on the local disk that stands for one revision of a repository, and is filled when it is touched.
//!
//! ```text
//! TREE/view/…            what a sandbox shows: directories, links, files that are filled, placeholders of those that aren't
//! TREE/shadow/NUMBER/…   per directory of the view, named by its inode number: the files that are not filled yet
//! TREE/placeholder       the socket that placeholders are hard links of
//! TREE/whole             is there once nothing is a placeholder any more
//! TREE/locks/, TREE/state
//! ```
//!
//! A file that is not filled has an inode of its own already, in the shadow, where no sandbox reaches it. In the view stands a
//! *socket* instead, which nobody can open, not even root: whoever goes past the supervisor gets ENXIO, never a wrong byte.
//! Filling writes the content to the inode in the shadow, verified, sets its attributes, and renames it over the socket. So a
//! file's inode number is known from the beginning and stays.
//!
//! That `shadow/NUMBER` exists is the mark that all entries of a directory are in the view: it is renamed into place last.
//!
//! Sockets and devices of a repository stay placeholders, since nobody can open them in a mount either; so do links whose
//! variables leave nothing of their target.

mod content;
mod gates;
mod populate;
mod state;

use std::collections::HashSet;
use std::ffi::CString;
use std::num::NonZeroUsize;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use lru::LruCache;
use parking_lot::Mutex;
use rustix::fs::{
    Access, AtFlags, CWD, FileType, Mode, OFlags, ResolveFlags, Stat, accessat, mkdirat, openat, openat2,
    renameat, statat,
};
use rustix::io::Errno;
use varve_repository::{EntryKind, EntryView, Location, RepositoryError, Snapshot};
use varve_store::Deadline;

use self::gates::Gates;
use self::state::{Found, State};
use super::error::FillError;

/// The mark of a tree without placeholders.
const WHOLE: &str = "whole";

/// How many files are looked for before they are filled.
const BATCH: usize = 4096;

/// Of how many directories the catalog's row is remembered.
const DIRECTORIES: NonZeroUsize = NonZeroUsize::new(8192).expect("because it is not 0");

/// What a tree's files hold, for those that a catalog alone doesn't tell.
pub trait Contents: Send + Sync + 'static {
    /// Fills the buffer from `offset` of a file on, verified, and says how far: less than its length at the file's end only.
    ///
    /// # Errors
    /// [`RepositoryError`].
    fn read(
        &self,
        file: &Location,
        offset: u64,
        buffer: &mut [u8],
        deadline: Deadline,
    ) -> Result<usize, RepositoryError>;

    /// Where a symbolic link leads, given what was published.
    fn link_target(&self, published: &[u8]) -> Vec<u8>;
}

impl Contents for Snapshot {
    fn read(
        &self,
        file: &Location,
        offset: u64,
        buffer: &mut [u8],
        deadline: Deadline,
    ) -> Result<usize, RepositoryError> {
        Self::read(self, file, offset, buffer, deadline)
    }

    fn link_target(&self, published: &[u8]) -> Vec<u8> {
        published.to_vec()
    }
}

/// How a tree is opened.
#[derive(Clone, Copy, Debug)]
pub struct Options<'a> {
    /// What identifies this boot of the machine, see [`this_boot`].
    pub boot: &'a str,
    /// Whether files are to have the owners that they were published with, where this user may give files away; else all belong
    /// to this user. The same for all users of a tree.
    pub published_owners: bool,
}

/// A directory on the local disk that stands for a snapshot.
pub struct Tree {
    snapshot: Snapshot,
    contents: Arc<dyn Contents>,
    path: PathBuf,
    base: OwnedFd,
    view: OwnedFd,
    shadow: OwnedFd,
    gates: Gates,
    state: State,
    /// Whether files can have the owners that the catalog tells, and directories without permission to write be written to.
    privileged: bool,
    directories: Mutex<LruCache<Vec<u8>, Arc<Directory>>>,
}

/// A directory of the repository, as far as it was needed.
pub(super) struct Directory {
    /// Its path in the view, without a slash at either end.
    pub(super) path: Vec<u8>,
    /// The row that has its children.
    location: Location,
    /// The inode number in the view.
    number: u64,
    /// Whether all its entries are known to be in the view.
    populated: AtomicBool,
    /// Whether nothing in it is a placeholder.
    is_whole: AtomicBool,
    /// The rows of files that are known to be filled.
    filled: Mutex<HashSet<u32>>,
}

impl Tree {
    /// The tree in this directory, made if it isn't there.
    ///
    /// A tree of another form, or one that a loss of power may have torn, is thrown away.
    ///
    /// # Errors
    /// [`FillError`] if the directory can't be made or used, or the root catalog can't be had.
    pub fn open(
        path: &Path,
        snapshot: Snapshot,
        contents: Arc<dyn Contents>,
        options: &Options<'_>,
        deadline: Deadline,
    ) -> Result<Arc<Self>, FillError> {
        let boot = options.boot;
        for _ in 0..16 {
            make_directories(path)?;
            let base = open_directory(CWD, path).map_err(FillError::io("open", path))?;
            let view = open_directory(&base, "view").map_err(FillError::io("open", path))?;
            let number = rustix::fs::fstat(&view).map_err(FillError::io("look at", path))?.st_ino;
            match State::open(base.as_fd(), boot, number).map_err(FillError::io("lock", path))? {
                Found::Unusable => discard(path, &base)?,
                // Somebody may have thrown it away between the two.
                Found::Sound(_) if !is_same(path, &base) => {}
                Found::Sound(state) => {
                    let owners = options.published_owners && may_own_everything();
                    return Self::with(path, snapshot, contents, state, (base, view), owners, deadline);
                }
            }
        }
        Err(FillError::Damaged { path: path.to_owned(), what: "it is thrown away again and again" })
    }

    fn with(
        path: &Path,
        snapshot: Snapshot,
        contents: Arc<dyn Contents>,
        state: State,
        (base, view): (OwnedFd, OwnedFd),
        privileged: bool,
        deadline: Deadline,
    ) -> Result<Arc<Self>, FillError> {
        let shadow = open_directory(&base, "shadow").map_err(FillError::io("open", path))?;
        let locks = open_directory(&base, "locks").map_err(FillError::io("open", path))?;
        snapshot.root(deadline)?;
        Ok(Arc::new(Self {
            snapshot,
            contents,
            gates: Gates::new(locks, &path.join("locks")),
            path: path.to_owned(),
            base,
            view,
            shadow,
            state,
            privileged,
            directories: Mutex::new(LruCache::new(DIRECTORIES)),
        }))
    }

    /// The directory that a sandbox is to show, read-only.
    pub fn view(&self) -> PathBuf {
        self.path.join("view")
    }

    /// Makes what was filled last beyond a stop of the machine, if nobody else uses the tree. Takes as long as the disk needs.
    ///
    /// # Errors
    /// [`FillError::Io`].
    pub fn settle(&self) -> Result<(), FillError> {
        self.state.settle(self.base.as_fd()).map_err(FillError::io("sync", &self.path))
    }

    /// Puts everything that is not there yet into its place, with so many threads.
    ///
    /// # Errors
    /// The first [`FillError`]; what was filled before it stays. `deadline` gives the time for one file.
    pub fn fill_all(
        &self,
        threads: usize,
        deadline: &(dyn Fn() -> Deadline + Sync),
    ) -> Result<(), FillError> {
        let mut directories = vec![self.root(deadline())?];
        let mut files = vec![];
        while let Some(directory) = directories.pop() {
            self.populate(&directory, deadline())?;
            for location in self.snapshot.list(&directory.location, deadline())?.locations() {
                match location.entry().kind() {
                    EntryKind::Directory => {
                        let name = location.entry().name().to_vec();
                        directories.push(self.directory(&directory, &name, &location, deadline())?);
                    }
                    EntryKind::File => files.push((Arc::clone(&directory), location)),
                    _ => {}
                }
            }
            if files.len() >= BATCH || directories.is_empty() {
                self.fill_files(&files, threads, deadline)?;
                files.clear();
            }
        }
        self.note_if_whole()
    }

    fn fill_files(
        &self,
        files: &[(Arc<Directory>, Location)],
        threads: usize,
        deadline: &(dyn Fn() -> Deadline + Sync),
    ) -> Result<(), FillError> {
        let next = AtomicUsize::new(0);
        std::thread::scope(|scope| {
            let work = || {
                while let Some((directory, file)) = files.get(next.fetch_add(1, Ordering::Relaxed)) {
                    self.fill(directory, file, deadline()).inspect_err(|_| {
                        // The others need not go on.
                        next.store(files.len(), Ordering::Relaxed);
                    })?;
                }
                Ok(())
            };
            let workers: Vec<_> = (0..threads.max(1)).map(|_| scope.spawn(work)).collect();
            workers.into_iter().try_for_each(|worker| match worker.join() {
                Ok(result) => result,
                Err(panic) => std::panic::resume_unwind(panic),
            })
        })
    }

    /// Whether nothing in it is a placeholder any more: then it needs no supervisor.
    pub fn is_whole(&self) -> bool {
        accessat(&self.base, WHOLE, Access::EXISTS, AtFlags::empty()).is_ok()
    }

    /// Looks whether nothing is a placeholder any more, and marks the tree then.
    ///
    /// # Errors
    /// [`FillError::Io`].
    pub fn note_if_whole(&self) -> Result<(), FillError> {
        let io = || FillError::io("look at", &self.path);
        if self.is_whole() || !self.is_everything_in_place().map_err(io())? {
            return Ok(());
        }
        self.state.will_change().map_err(FillError::io("write the state of", &self.path))?;
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::CLOEXEC;
        openat(&self.base, WHOLE, flags, Mode::from(0o600)).map(drop).map_err(io())
    }

    /// As many shadows as the view has directories, all empty.
    fn is_everything_in_place(&self) -> Result<bool, Errno> {
        let mut populated = 0_usize;
        for (name, _) in entries(rustix::fs::Dir::read_from(&self.shadow)?)? {
            if !entries(rustix::fs::Dir::new(open_directory(&self.shadow, name)?)?)?.is_empty() {
                return Ok(false);
            }
            populated += 1;
        }
        let mut directories = vec![Vec::new()];
        let mut seen = 0;
        while let Some(path) = directories.pop() {
            seen += 1;
            for (name, kind) in entries(rustix::fs::Dir::new(self.open_in_view(&path)?)?)? {
                match kind {
                    FileType::Directory => directories.push(joined(&path, name.as_bytes())),
                    FileType::Unknown => return Ok(false),
                    _ => {}
                }
            }
        }
        Ok(seen == populated)
    }

    pub(super) fn root(&self, deadline: Deadline) -> Result<Arc<Directory>, FillError> {
        if let Some(known) = self.directories.lock().get(&b""[..]) {
            return Ok(Arc::clone(known));
        }
        let location = self.snapshot.root(deadline)?;
        let number = rustix::fs::fstat(&self.view).map_err(FillError::io("look at", &self.path))?.st_ino;
        Ok(self.remember(Vec::new(), location, number))
    }

    /// What the catalog has under a name. Hidden entries are none.
    pub(super) fn child(
        &self,
        directory: &Directory,
        name: &[u8],
        deadline: Deadline,
    ) -> Result<Option<Location>, FillError> {
        let child = self.snapshot.child(&directory.location, name, deadline)?;
        Ok(child.filter(|child| !child.entry().is_hidden()))
    }

    /// A directory in a populated one, if that was needed before.
    pub(super) fn known(&self, path: &[u8]) -> Option<Arc<Directory>> {
        self.directories.lock().get(path).cloned()
    }

    /// A directory in another one, which is populated for it.
    pub(super) fn directory(
        &self,
        parent: &Directory,
        name: &[u8],
        location: &Location,
        deadline: Deadline,
    ) -> Result<Arc<Directory>, FillError> {
        let path = joined(&parent.path, name);
        if let Some(known) = self.known(&path) {
            return Ok(known);
        }
        let location = self.snapshot.enter(location, deadline)?;
        self.populate(parent, deadline)?;
        let number = self.stat_in_view(&path).map_err(FillError::io("look at", &self.shown(&path)))?.st_ino;
        Ok(self.remember(path, location, number))
    }

    /// Where a symbolic link leads.
    pub(super) fn link_target(&self, location: &Location) -> Vec<u8> {
        self.contents.link_target(location.entry().link_target())
    }

    /// Whether an entry is a link with an empty target, which a disk can't have: it stays a placeholder.
    pub(super) fn leads_nowhere(&self, entry: &EntryView<'_>) -> bool {
        entry.kind() == EntryKind::Symlink && self.contents.link_target(entry.link_target()).is_empty()
    }

    /// Whether a file is known to be filled, without looking.
    pub(super) fn is_known_filled(directory: &Directory, location: &Location) -> bool {
        directory.filled.lock().contains(&location.row())
    }

    /// The inode that a file will have, if it is not filled yet.
    pub(super) fn unfilled(&self, directory: &Directory, file: &Location) -> Result<Option<Stat>, FillError> {
        let shadow = self.shadow_of(directory)?;
        match statat(shadow, file.entry().name(), AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => Ok(Some(stat)),
            Err(Errno::NOENT) => {
                directory.filled.lock().insert(file.row());
                Ok(None)
            }
            Err(error) => Err(FillError::io("look at", &self.shown(&directory.path))(error)),
        }
    }

    /// Whether anything in a populated directory is not filled.
    pub(super) fn has_placeholders(&self, directory: &Directory) -> Result<bool, FillError> {
        if directory.is_whole.load(Ordering::Acquire) {
            return Ok(false);
        }
        let shadow = rustix::fs::Dir::new(self.shadow_of(directory)?).and_then(entries);
        if !shadow.map_err(FillError::io("list", &self.shown(&directory.path)))?.is_empty() {
            return Ok(true);
        }
        directory.is_whole.store(true, Ordering::Release);
        Ok(false)
    }

    /// Fills all files of a directory.
    pub(super) fn fill_directory(&self, directory: &Directory, deadline: Deadline) -> Result<(), FillError> {
        for location in self.snapshot.list(&directory.location, deadline)?.locations() {
            self.fill(directory, &location, deadline)?;
        }
        Ok(())
    }

    /// The inode that a file has, or will have.
    pub(super) fn inode_of(&self, directory: &Directory, name: &[u8]) -> Result<Stat, FillError> {
        let shadow = self.shadow_of(directory)?;
        match statat(shadow, name, AtFlags::SYMLINK_NOFOLLOW) {
            Err(Errno::NOENT) => self.stat_in_view(&joined(&directory.path, name)),
            result => result,
        }
        .map_err(FillError::io("look at", &self.shown(&directory.path)))
    }

    /// The attributes of a directory as they are on the disk.
    pub(super) fn stat_in_view(&self, path: &[u8]) -> Result<Stat, Errno> {
        if path.is_empty() {
            return rustix::fs::fstat(&self.view);
        }
        let (parent, name) = split(path);
        statat(self.open_in_view(parent)?, name, AtFlags::SYMLINK_NOFOLLOW)
    }

    /// A file that is filled, opened for reading.
    pub(super) fn open_filled(&self, directory: &Directory, name: &[u8]) -> Result<OwnedFd, Errno> {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        openat(self.open_in_view(&directory.path)?, name, flags, Mode::empty())
    }

    pub(super) fn is_populated(directory: &Directory) -> bool {
        directory.populated.load(Ordering::Acquire)
    }

    /// Whether the disk shows other permissions of this directory than the catalog says: this user could not write to it.
    pub(super) fn shows_other_permissions(&self, permissions: u32) -> bool {
        !self.privileged && permissions & 0o700 != 0o700
    }

    fn remember(&self, path: Vec<u8>, location: Location, number: u64) -> Arc<Directory> {
        let directory = Arc::new(Directory {
            path: path.clone(),
            location,
            number,
            populated: AtomicBool::new(false),
            is_whole: AtomicBool::new(false),
            filled: Mutex::default(),
        });
        let mut directories = self.directories.lock();
        Arc::clone(directories.get_or_insert(path, || directory))
    }

    /// Opens a directory of the view, never anything outside of it.
    fn open_in_view(&self, path: &[u8]) -> Result<OwnedFd, Errno> {
        if path.is_empty() {
            return rustix::io::fcntl_dupfd_cloexec(&self.view, 0);
        }
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_XDEV;
        openat2(&self.view, path, flags, Mode::empty(), resolve)
    }

    fn shadow_of(&self, directory: &Directory) -> Result<OwnedFd, FillError> {
        open_directory(&self.shadow, directory.number.to_string())
            .map_err(FillError::io("open", &self.path.join("shadow").join(directory.number.to_string())))
    }

    /// The whole path, for messages.
    fn shown(&self, path: &[u8]) -> PathBuf {
        self.path.join("view").join(std::ffi::OsStr::from_bytes(path))
    }
}

impl Directory {
    /// What the catalog says of it.
    pub(super) fn entry(&self) -> EntryView<'_> {
        self.location.entry()
    }

    /// The path of an entry, relative to the root.
    pub(super) fn joined(&self, name: &[u8]) -> Vec<u8> {
        joined(&self.path, name)
    }
}

fn joined(directory: &[u8], name: &[u8]) -> Vec<u8> {
    if directory.is_empty() { name.to_vec() } else { [directory, name].join(&b'/') }
}

fn split(path: &[u8]) -> (&[u8], &[u8]) {
    match path.iter().rposition(|&byte| byte == b'/') {
        Some(at) => (&path[..at], &path[at + 1..]),
        None => (b"", path),
    }
}

fn entries(directory: rustix::fs::Dir) -> Result<Vec<(CString, FileType)>, Errno> {
    directory
        .filter(|entry| {
            entry.as_ref().map_or(true, |entry| !matches!(entry.file_name().to_bytes(), b"." | b".."))
        })
        .map(|entry| entry.map(|entry| (entry.file_name().to_owned(), entry.file_type())))
        .collect()
}

fn open_directory(at: impl AsFd, path: impl rustix::path::Arg) -> Result<OwnedFd, Errno> {
    openat(at, path, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
}

fn make_directories(path: &Path) -> Result<(), FillError> {
    std::fs::create_dir_all(path).map_err(FillError::io("make", path))?;
    // Only the view may be entered by others, through a sandbox.
    rustix::fs::chmod(path, Mode::from(0o700)).map_err(FillError::io("protect", path))?;
    for name in ["view", "shadow", "locks"] {
        match mkdirat(CWD, path.join(name), Mode::from(0o755)) {
            Ok(()) | Err(Errno::EXIST) => {}
            Err(error) => return Err(FillError::io("make", &path.join(name))(error)),
        }
    }
    Ok(())
}

fn is_same(path: &Path, base: &OwnedFd) -> bool {
    let number = |stat: Result<Stat, Errno>| stat.map(|stat| (stat.st_dev, stat.st_ino)).ok();
    let opened = number(rustix::fs::fstat(base));
    opened.is_some() && opened == number(rustix::fs::stat(path))
}

/// Moves a tree out of the way and deletes it. Its state is locked.
fn discard(path: &Path, base: &OwnedFd) -> Result<(), FillError> {
    if !is_same(path, base) {
        return Ok(());
    }
    let number = rustix::fs::fstat(base).map_err(FillError::io("look at", path))?.st_ino;
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".discarded-{number}"));
    let aside = path.with_file_name(name);
    renameat(CWD, path, CWD, &aside).map_err(FillError::io("move away", path))?;
    std::fs::remove_dir_all(&aside).map_err(FillError::io("remove", &aside))
}

/// Whether every user's number has a meaning here, which isn't so in a user name space.
fn may_own_everything() -> bool {
    let map = std::fs::read_to_string("/proc/self/uid_map").unwrap_or_default();
    rustix::process::geteuid().is_root()
        && map.split_whitespace().collect::<Vec<_>>() == ["0", "0", "4294967295"]
}

/// What identifies this boot of the machine.
///
/// # Errors
/// [`FillError::Io`] if `/proc` isn't there.
pub fn this_boot() -> Result<String, FillError> {
    let path = Path::new("/proc/sys/kernel/random/boot_id");
    let text = std::fs::read_to_string(path).map_err(FillError::io("read", path))?;
    Ok(text.trim().to_owned())
}
