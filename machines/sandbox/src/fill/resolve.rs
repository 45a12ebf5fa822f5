//! Where a path leads: into a tree, or elsewhere. Follows links as the kernel does, inside of the sandbox's root.
//!
//! In a tree the catalogs tell; elsewhere the kernel is asked, through the root that the sandbox sees, and nothing is opened but
//! as a mere place. What is found out here decides only what is filled: the kernel resolves the path again by itself.
//!
//! A path is *settled* when everything on its way is in place and nothing of it can change any more. Those are remembered by
//! their text, so that asking again costs no more than a look into a table.

mod walk;

use std::num::NonZeroUsize;
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use lru::LruCache;
use parking_lot::Mutex;
use rustix::fs::{Mode, OFlags, ResolveFlags, openat2};
use rustix::io::Errno;
use varve_repository::Location;

use self::walk::Walk;
use super::patience::{Patience, Stop};
use super::target::{GivenPath, Target};
use super::tree::{Directory, Tree};

/// How many paths are remembered as settled.
const SETTLED: NonZeroUsize = NonZeroUsize::new(1 << 16).expect("because it is not 0");

/// A tree, and where the sandbox shows it.
pub struct Mounted {
    /// Where: absolute, as seen from inside, without links in it.
    pub path: std::path::PathBuf,
    /// What.
    pub tree: Arc<Tree>,
}

/// Where a path leads.
pub(super) enum Landing {
    /// Not into a tree, or to nothing: the kernel knows by itself.
    Elsewhere,
    /// To a directory of a tree.
    Directory(Arc<Tree>, Arc<Directory>),
    /// To anything else of a tree; its directory is populated.
    Entry(Arc<Tree>, Arc<Directory>, Location),
}

/// Finds out where paths lead.
pub(super) struct Resolver {
    mounts: Vec<(Vec<u8>, Arc<Tree>)>,
    /// What the sandbox sees at `/`.
    root: OnceLock<OwnedFd>,
    /// Whether a process inside has changed its own root.
    roots_differ: AtomicBool,
    settled: Mutex<LruCache<Vec<u8>, ()>>,
}

impl Resolver {
    pub(super) fn new(mounts: Vec<Mounted>) -> Self {
        use std::os::unix::ffi::OsStrExt as _;
        let mounts = mounts
            .into_iter()
            .map(|mount| (mount.path.as_os_str().as_bytes().to_vec(), mount.tree))
            .collect();
        Self {
            mounts,
            root: OnceLock::new(),
            roots_differ: AtomicBool::new(false),
            settled: Mutex::new(LruCache::new(SETTLED)),
        }
    }

    /// From now on it is looked where absolute paths of each caller begin.
    pub(super) fn expect_other_roots(&self) {
        self.roots_differ.store(true, Ordering::Relaxed);
    }

    /// Whether a path's text says that it lies below a tree.
    pub(super) fn is_below_a_tree(&self, path: &[u8]) -> bool {
        self.mounts.iter().any(|(mount, _)| below(mount, path).is_some())
    }

    /// Whether nothing is left to be done for a path, by its text.
    pub(super) fn is_settled(&self, given: &GivenPath) -> bool {
        match &given.base {
            _ if self.roots_differ.load(Ordering::Relaxed) => false,
            None => self.is_below_a_tree(&given.path) && self.settled.lock().get(&given.path).is_some(),
            Some(base) => {
                self.is_below_a_tree(base)
                    && self.settled.lock().get(&[base.as_slice(), &given.path].join(&b'/')).is_some()
            }
        }
    }

    /// Remembers a path as settled, if it leads through nothing but one tree.
    pub(super) fn settle(&self, given: &GivenPath) {
        let text = match &given.base {
            None => given.path.clone(),
            Some(base) => [base.as_slice(), &given.path].join(&b'/'),
        };
        if self.is_below_a_tree(&text) && !text.split(|&byte| byte == b'/').any(|part| part == b"..") {
            self.settled.lock().put(text, ());
        }
    }

    /// Where a path leads. Also says whether the way stayed in one tree.
    pub(super) fn resolve(
        &self,
        target: &Target<'_>,
        given: &GivenPath,
        follow: bool,
        patience: Patience,
    ) -> Result<(Landing, bool), Stop> {
        let root = match self.roots_differ.load(Ordering::Relaxed) {
            true => target.root().filter(|root| root != b"/").unwrap_or_default(),
            false => Vec::new(),
        };
        let start = given.base.clone().unwrap_or_else(|| root.clone());
        Walk::new(self, target, patience, root).go(start, &given.path, follow)
    }

    /// Opens a file that is not in a tree, for reading.
    pub(super) fn open_elsewhere(&self, target: &Target<'_>, given: &GivenPath) -> Option<OwnedFd> {
        let path = match &given.base {
            None => given.path.clone(),
            Some(base) => [base.as_slice(), &given.path].join(&b'/'),
        };
        let place = self.place(target, &path, OFlags::empty(), ResolveFlags::empty()).ok()?;
        let stat = rustix::fs::fstat(&place).ok()?;
        if rustix::fs::FileType::from_raw_mode(stat.st_mode) != rustix::fs::FileType::RegularFile {
            return None;
        }
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC;
        rustix::fs::open(format!("/proc/self/fd/{}", place.as_raw_fd()), flags, Mode::empty()).ok()
    }

    /// A place as the sandbox sees it, without opening it.
    fn place(
        &self,
        target: &Target<'_>,
        path: &[u8],
        flags: OFlags,
        resolve: ResolveFlags,
    ) -> Result<OwnedFd, Errno> {
        let root = match self.root.get() {
            Some(root) => root,
            None => {
                let opened = target.open_root()?;
                self.root.get_or_init(|| opened)
            }
        };
        let flags = flags | OFlags::PATH | OFlags::CLOEXEC;
        openat2(root, path, flags, Mode::empty(), resolve | ResolveFlags::IN_ROOT)
    }
}

/// What is left of a path below a directory; empty for the directory itself.
fn below<'a>(directory: &[u8], path: &'a [u8]) -> Option<&'a [u8]> {
    let rest = path.strip_prefix(directory)?;
    (rest.is_empty() || rest[0] == b'/').then_some(rest)
}
