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

pub(super) mod bound;
mod content;
mod directories;
mod disk;
mod gates;
mod populate;
mod state;
mod whole;

use std::collections::HashSet;
use std::ffi::CString;
use std::num::NonZeroUsize;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use lru::LruCache;
use parking_lot::Mutex;
use rustix::fs::{CWD, FileType, Mode, OFlags, Stat, mkdirat, openat, renameat};
use rustix::io::Errno;
use varve_repository::{EntryView, Location, RepositoryError, RepositoryPath, Snapshot};
use varve_store::Deadline;

use self::gates::Gates;
use self::state::{Found, State};
use super::error::FillError;

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

    /// The files that came along with one that was read just now: their content is at hand. None where each comes by itself.
    fn beside(&self, file: &Location) -> Vec<Location> {
        let _ = file;
        Vec::new()
    }

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
    /// The directory of the repository that the tree stands for; the same for all users of a tree.
    pub directory: &'a RepositoryPath,
    /// What identifies this boot of the machine, see [`this_boot`].
    pub boot: &'a str,
    /// Whether files are to have the owners that they were published with, where this user may give files away; else all belong
    /// to this user. The same for all users of a tree.
    pub published_owners: bool,
}

/// A directory on the local disk that stands for a snapshot.
pub struct Tree {
    snapshot: Snapshot,
    /// The row that has the children of the tree's root.
    top: Location,
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
                    let found = snapshot.resolve(options.directory, deadline)?;
                    let found = found.filter(|found| found.entry().is_directory()).ok_or_else(|| {
                        RepositoryError::NotADirectory { path: options.directory.to_string() }
                    })?;
                    let top = snapshot.enter(&found, deadline)?;
                    let owners = options.published_owners && may_own_everything();
                    return Self::with(path, (snapshot, top), contents, state, (base, view), owners);
                }
            }
        }
        Err(FillError::Damaged { path: path.to_owned(), what: "it is thrown away again and again" })
    }

    fn with(
        path: &Path,
        (snapshot, top): (Snapshot, Location),
        contents: Arc<dyn Contents>,
        state: State,
        (base, view): (OwnedFd, OwnedFd),
        privileged: bool,
    ) -> Result<Arc<Self>, FillError> {
        let shadow = open_directory(&base, "shadow").map_err(FillError::io("open", path))?;
        let locks = open_directory(&base, "locks").map_err(FillError::io("open", path))?;
        Ok(Arc::new(Self {
            snapshot,
            top,
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
