//! Answers the kernel's requests from a [`Tree`].
//!
//! No FORGET is counted and no file is open: inode numbers are computed, and OPEN and OPENDIR are answered ENOSYS, after which
//! the kernel opens by itself and keeps pages and listings. What needs the network goes to another thread at once.

use std::cell::RefCell;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use fuser::{
    AccessFlags, Errno, FileAttr, FileHandle, Filesystem, Generation, INodeNo, InitFlags, IoctlFlags,
    KernelConfig, LockOwner, OpenFlags, ReplyAttr, ReplyData, ReplyDirectory, ReplyDirectoryPlus, ReplyEmpty,
    ReplyEntry, ReplyIoctl, ReplyLseek, ReplyOpen, ReplyStatfs, ReplyXattr, Request,
};
use varve_store::Deadline;

use super::attributes::{attributes_of, entry_attributes, tree_root_attributes};
use super::errno::{errno_of, is_fault};
use crate::attached::Attached;
use crate::error::chain;
use crate::failure::{Failure, Patience};
use crate::tree::{Listing, Node, Place, Tree};
use crate::variant_link::expand_link;
use crate::xattr;

/// How long the kernel may remember entries and attributes: they only change with a revision, and then it is told.
const LONG: Duration = Duration::from_secs(3600);
/// The same where nothing ever changes: a pinned revision.
const FOR_EVER: Duration = Duration::from_secs(365 * 24 * 3600);
/// Absence in a directory whose content may change with a revision.
const SHORT: Duration = Duration::from_secs(10);
/// Asynchronous requests, mostly readahead, that the kernel has in flight at a time.
const MOST_BACKGROUND: u16 = 128;

thread_local! {
    /// What is read goes to the kernel from here. Reused: its pages are there, also when the process is killed meanwhile.
    static BUFFER: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// The file system that a session serves.
#[derive(Clone)]
pub(crate) struct RepositoryFilesystem {
    tree: Arc<Tree>,
    without_attributes: bool,
    /// The most bytes of one answer.
    largest: u32,
}

/// An answer with attributes.
struct Found {
    attributes: FileAttr,
    lifetime: Duration,
}

impl RepositoryFilesystem {
    /// One whose answers to reads have at most `largest` bytes.
    pub(crate) fn new(tree: Arc<Tree>, without_attributes: bool, largest: u32) -> Self {
        Self { tree, without_attributes, largest }
    }

    /// Works on a request: here if that is possible without waiting, else on a thread that may wait. A panic is an error of
    /// this one request: the reply, dropped, becomes EIO.
    fn serve<T, R: Send + 'static>(
        &self,
        reply: R,
        work: impl Fn(&Tree, Patience) -> Result<T, Failure> + Send + 'static,
        answer: impl FnOnce(R, Result<T, Failure>) + Send + 'static,
    ) {
        let deadline = Deadline::after(self.tree.plan.deadline);
        let attempt = std::panic::catch_unwind(AssertUnwindSafe(|| work(&self.tree, Patience::None)));
        match attempt {
            Ok(Err(Failure::WouldBlock)) => {
                let tree = Arc::clone(&self.tree);
                self.tree.pool.run(move || {
                    let _ = std::panic::catch_unwind(AssertUnwindSafe(|| {
                        let result = work(&tree, Patience::Until(deadline));
                        answer(reply, result);
                    }));
                });
            }
            Ok(result) => answer(reply, result),
            Err(_) => drop(reply),
        }
    }

    /// The errno of a failure, which is logged and counted if it is a fault.
    fn refuse(tree: &Tree, what: &'static str, inode: u64, failure: &Failure) -> Errno {
        if is_fault(failure) {
            let attached =
                tree.place(inode, Patience::None).ok().and_then(|place| place.attached().cloned().ok());
            if let Some(attached) = &attached {
                attached.errors.add((tree.plan.now)());
            }
            let path = tree.place(inode, Patience::None).ok().and_then(|place| {
                place.catalog().ok().map(|catalog| catalog.index().path(place.row).to_string())
            });
            tracing::warn!(
                repository = attached.map(|attached| attached.name.to_string()),
                path,
                error = chain(failure),
                "{what} failed"
            );
        }
        errno_of(failure)
    }
}

fn lifetime(attached: &Attached) -> Duration {
    if attached.follows() { LONG } else { FOR_EVER }
}

fn found(place: &Place) -> Result<Found, Failure> {
    Ok(Found { attributes: attributes_of(place)?, lifetime: lifetime(place.attached()?) })
}

/// How long the absence of a name in a directory may be remembered.
fn absence_lifetime(tree: &Tree, directory: u64) -> Duration {
    match tree.node(directory, Patience::None) {
        Ok(Node::Entry(place)) => match place.attached() {
            Ok(attached) if !attached.follows() => FOR_EVER,
            Ok(attached) if directory != attached.root_inode => LONG,
            _ => SHORT,
        },
        _ => SHORT,
    }
}

/// What the kernel takes for: there is no such name, and ask again after this time.
fn absence() -> FileAttr {
    FileAttr { ino: INodeNo(0), ..tree_root_attributes(0) }
}

impl Filesystem for RepositoryFilesystem {
    fn init(&mut self, _: &Request, config: &mut KernelConfig) -> std::io::Result<()> {
        for capability in [
            InitFlags::FUSE_ASYNC_READ,
            InitFlags::FUSE_PARALLEL_DIROPS,
            // Always: with FUSE_READDIRPLUS_AUTO the first page of a listing brings attributes, and each name of the others
            // costs a LOOKUP when a walk comes to it.
            InitFlags::FUSE_DO_READDIRPLUS,
            InitFlags::FUSE_CACHE_SYMLINKS,
            InitFlags::FUSE_NO_OPEN_SUPPORT,
            InitFlags::FUSE_NO_OPENDIR_SUPPORT,
            InitFlags::FUSE_EXPLICIT_INVAL_DATA,
            InitFlags::FUSE_MAX_PAGES,
            InitFlags::FUSE_HAS_EXPIRE_ONLY,
            InitFlags::FUSE_HAS_RESEND,
        ] {
            // What the kernel doesn't know it does without.
            let _ = config.add_capabilities(capability);
        }
        let _ = config.set_max_write(self.largest);
        let _ = config.set_max_background(MOST_BACKGROUND);
        let _ = config.set_congestion_threshold(MOST_BACKGROUND);
        Ok(())
    }

    fn lookup(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEntry) {
        let (tree, name) = (Arc::clone(&self.tree), name.as_bytes().to_vec());
        self.serve(
            reply,
            move |tree, patience| found(&tree.lookup(parent.0, &name, patience)?),
            move |reply, result| match result {
                Ok(found) => reply.entry(&found.lifetime, &found.attributes, Generation(0)),
                Err(Failure::NoEntry) => {
                    reply.entry(&absence_lifetime(&tree, parent.0), &absence(), Generation(0));
                }
                Err(failure) => reply.error(Self::refuse(&tree, "lookup", parent.0, &failure)),
            },
        );
    }

    fn getattr(&self, _: &Request, inode: INodeNo, _: Option<FileHandle>, reply: ReplyAttr) {
        let tree = Arc::clone(&self.tree);
        self.serve(
            reply,
            move |tree, patience| match tree.node(inode.0, patience)? {
                Node::Entry(place) => found(&place),
                Node::TreeRoot => {
                    let attributes = tree_root_attributes(tree.attached().len());
                    Ok(Found { attributes, lifetime: SHORT })
                }
            },
            move |reply, result| match result {
                Ok(found) => reply.attr(&found.lifetime, &found.attributes),
                Err(failure) => reply.error(Self::refuse(&tree, "getattr", inode.0, &failure)),
            },
        );
    }

    fn readlink(&self, _: &Request, inode: INodeNo, reply: ReplyData) {
        let tree = Arc::clone(&self.tree);
        self.serve(
            reply,
            move |tree, patience| {
                let place = tree.place(inode.0, patience)?;
                let variables = place.attached()?.mounted.variables.as_ref();
                Ok(expand_link(place.entry()?.link_target(), variables).into_owned())
            },
            move |reply, result| match result {
                Ok(target) => reply.data(&target),
                Err(failure) => reply.error(Self::refuse(&tree, "readlink", inode.0, &failure)),
            },
        );
    }

    fn open(&self, _: &Request, _: INodeNo, _: OpenFlags, reply: ReplyOpen) {
        reply.error(Errno::ENOSYS);
    }

    fn opendir(&self, _: &Request, _: INodeNo, _: OpenFlags, reply: ReplyOpen) {
        reply.error(Errno::ENOSYS);
    }

    fn read(
        &self,
        _: &Request,
        inode: INodeNo,
        _: FileHandle,
        offset: u64,
        size: u32,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyData,
    ) {
        let tree = Arc::clone(&self.tree);
        let size = size.min(self.largest) as usize;
        self.serve(
            reply,
            move |tree, patience| {
                // Both this and the answer below run on the same thread, one after the other.
                BUFFER.with_borrow_mut(|buffer| {
                    if buffer.len() < size {
                        buffer.resize(size, 0);
                    }
                    tree.read(inode.0, offset, &mut buffer[..size], patience)
                })
            },
            move |reply, result| match result {
                Ok(length) => BUFFER.with_borrow(|buffer| reply.data(&buffer[..length])),
                Err(failure) => reply.error(Self::refuse(&tree, "read", inode.0, &failure)),
            },
        );
    }

    fn readdir(&self, _: &Request, inode: INodeNo, _: FileHandle, offset: u64, reply: ReplyDirectory) {
        let tree = Arc::clone(&self.tree);
        self.serve(
            reply,
            move |tree, patience| tree.list(inode.0, patience),
            move |mut reply, result| {
                let filled = result.and_then(|listing| {
                    walk(&listing, inode.0, offset, |next, name, attributes, _| {
                        reply.add(attributes.ino, next, attributes.kind, OsStr::from_bytes(name))
                    })
                });
                match filled {
                    Ok(()) => reply.ok(),
                    Err(failure) => reply.error(Self::refuse(&tree, "readdir", inode.0, &failure)),
                }
            },
        );
    }

    fn readdirplus(
        &self,
        _: &Request,
        inode: INodeNo,
        _: FileHandle,
        offset: u64,
        reply: ReplyDirectoryPlus,
    ) {
        let tree = Arc::clone(&self.tree);
        self.serve(
            reply,
            move |tree, patience| tree.list(inode.0, patience),
            move |mut reply, result| {
                let filled = result.and_then(|listing| {
                    let lifetime = match &listing {
                        Listing::Entries(place) => lifetime(place.attached()?),
                        Listing::Repositories(_) => LONG,
                    };
                    walk(&listing, inode.0, offset, |next, name, attributes, known| {
                        let lifetime = if known { lifetime } else { Duration::ZERO };
                        let name = OsStr::from_bytes(name);
                        reply.add(attributes.ino, next, name, &lifetime, &attributes, Generation(0))
                    })
                });
                match filled {
                    Ok(()) => reply.ok(),
                    Err(failure) => reply.error(Self::refuse(&tree, "readdir", inode.0, &failure)),
                }
            },
        );
    }

    fn statfs(&self, _: &Request, inode: INodeNo, reply: ReplyStatfs) {
        let place = self.tree.place(inode.0, Patience::None);
        let attached = place.as_ref().ok().and_then(|place| place.attached().ok());
        let total = attached.map(|attached| attached.current.load().catalog.index().counters().total());
        let (bytes, files) = total.map_or((0, 0), |total| (total.file_bytes, total.entries()));
        reply.statfs(bytes.div_ceil(4096), 0, 0, files, 0, 4096, 255, 4096);
    }

    fn flush(&self, _: &Request, _: INodeNo, _: FileHandle, _: LockOwner, reply: ReplyEmpty) {
        // Then it isn't asked again.
        reply.error(Errno::ENOSYS);
    }

    fn lseek(&self, _: &Request, _: INodeNo, _: FileHandle, _: i64, _: i32, reply: ReplyLseek) {
        reply.error(Errno::ENOSYS);
    }

    fn ioctl(
        &self,
        _: &Request,
        _: INodeNo,
        _: FileHandle,
        _: IoctlFlags,
        _: u32,
        _: &[u8],
        _: u32,
        reply: ReplyIoctl,
    ) {
        reply.error(Errno::ENOTTY);
    }

    fn access(&self, _: &Request, _: INodeNo, _: AccessFlags, reply: ReplyEmpty) {
        // The kernel checks permissions by itself.
        reply.error(Errno::ENOSYS);
    }

    fn getxattr(&self, _: &Request, inode: INodeNo, name: &OsStr, size: u32, reply: ReplyXattr) {
        if self.without_attributes {
            // The kernel never asks again.
            return reply.error(Errno::ENOSYS);
        }
        let (tree, name) = (Arc::clone(&self.tree), name.as_bytes().to_vec());
        self.serve(
            reply,
            move |tree, patience| xattr::get(tree, &tree.place(inode.0, patience)?, &name, patience),
            move |reply, result| match result {
                Ok(value) => answer_xattr(reply, &value, size),
                Err(Failure::IsDirectory) => reply.error(Errno::ENODATA),
                Err(failure) => reply.error(Self::refuse(&tree, "getxattr", inode.0, &failure)),
            },
        );
    }

    fn listxattr(&self, _: &Request, inode: INodeNo, size: u32, reply: ReplyXattr) {
        if self.without_attributes {
            return reply.error(Errno::ENOSYS);
        }
        let tree = Arc::clone(&self.tree);
        self.serve(
            reply,
            move |tree, patience| match tree.node(inode.0, patience)? {
                Node::Entry(place) => xattr::list(&place),
                Node::TreeRoot => Ok(Vec::new()),
            },
            move |reply, result| match result {
                Ok(names) => answer_xattr(reply, &names, size),
                Err(failure) => reply.error(Self::refuse(&tree, "listxattr", inode.0, &failure)),
            },
        );
    }
}

/// A value, or its length for those who ask with room for nothing.
fn answer_xattr(reply: ReplyXattr, value: &[u8], size: u32) {
    if size == 0 {
        reply.size(value.len() as u32);
    } else if value.len() <= size as usize {
        reply.data(value);
    } else {
        reply.error(Errno::ERANGE);
    }
}

/// Passes the entries of a listing from `offset` on: the offset of the next, name, attributes, and whether these are known or
/// only stand in for those of a repository that nobody has entered; until `add` says that it is full. `.` is 1, `..` is 2,
/// children follow in the order of their rows.
fn walk(
    listing: &Listing,
    directory: u64,
    offset: u64,
    mut add: impl FnMut(u64, &[u8], FileAttr, bool) -> bool,
) -> Result<(), Failure> {
    let unknown = |inode| FileAttr { ino: INodeNo(inode), ..tree_root_attributes(0) };
    for (at, name) in [(1, &b"."[..]), (2, b"..")] {
        if offset < at && add(at, name, unknown(directory), true) {
            return Ok(());
        }
    }
    let skipped = offset.saturating_sub(2);
    match listing {
        Listing::Entries(place) => {
            let index = place.catalog()?.index();
            let children = index.children(place.row);
            let first = u64::from(children.start);
            let start = (first + skipped).min(u64::from(children.end)) as u32;
            for row in start..children.end {
                let entry = index.entry(row).ok_or(Failure::NoEntry)?;
                let next = u64::from(row) - first + 3;
                if add(next, entry.name(), entry_attributes(place, &entry)?, true) {
                    break;
                }
            }
        }
        Listing::Repositories(names) => {
            for (at, (name, inode, place)) in names.iter().enumerate().skip(skipped as usize) {
                let attributes = place.as_ref().map(attributes_of).transpose()?;
                let known = attributes.is_some();
                let attributes = attributes.unwrap_or_else(|| unknown(*inode));
                if add(at as u64 + 3, name.as_str().as_bytes(), attributes, known) {
                    break;
                }
            }
        }
    }
    Ok(())
}
