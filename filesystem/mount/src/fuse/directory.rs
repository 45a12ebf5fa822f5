//! A directory of this host as a machine sees it through a tunnel: what its kernel asks is done here, with the rights of this
//! process and no others.
//!
//! The machine isn't trusted. A name leads from a known directory to what is in it and nowhere else, no link is followed here,
//! and nothing but files and directories is opened. Who may do what inside, the machine's kernel decides by the owners that it is
//! shown; what is beyond this process' rights fails in any case.

mod inodes;
mod requests;

use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, UNIX_EPOCH};

use fuser::{Errno, FileAttr, FileHandle, FileType, INodeNo, ReplyDirectory, Request, TimeOrNow};
use parking_lot::Mutex;
use rustix::fs::{AtFlags, CWD, Mode, OFlags, RawDir, SeekFrom, Stat, Timespec, Timestamps};

use self::inodes::Inodes;
use super::{session, tunnel};
use crate::error::MountError;
use crate::order::Access;
use crate::process::journal::Journal;

/// How long the machine may remember what others may change meanwhile.
const LIFETIME: Duration = Duration::from_secs(1);
/// So many requests are worked on at a time.
const THREADS: usize = 4;
/// What of the flags of an opening counts here. Where it writes to, the machine's kernel says with each write.
const COUNTING: OFlags = OFlags::RWMODE.union(OFlags::TRUNC).union(OFlags::SYNC).union(OFlags::DSYNC);

/// A directory, or one file, of this host, for a machine.
pub struct HostDirectory {
    inodes: Inodes,
    /// The one name that is shown of it.
    only: Option<OsString>,
    writable: bool,
    /// Whether new files can be given to whoever makes them.
    gives_away: bool,
    open: Mutex<HashMap<u64, Arc<File>>>,
    next: AtomicU64,
}

impl HostDirectory {
    /// A directory, or of the directory around a file that file alone; where it is in what the machine sees.
    ///
    /// # Errors
    /// [`MountError::Io`].
    pub fn open(path: &Path, writable: bool) -> Result<(Self, PathBuf), MountError> {
        let failed = |errno: rustix::io::Errno| MountError::io("show", path)(errno.into());
        let status = rustix::fs::stat(path).map_err(failed)?;
        let kind = rustix::fs::FileType::from_raw_mode(status.st_mode);
        let is_directory = kind.is_dir();
        if !is_directory && !kind.is_file() {
            return Err(failed(rustix::io::Errno::OPNOTSUPP));
        }
        let (directory, only) = match (is_directory, path.parent(), path.file_name()) {
            (true, ..) => (path, None),
            (false, Some(parent), Some(name)) => (parent, Some(name.to_owned())),
            (false, ..) => return Err(failed(rustix::io::Errno::NOTDIR)),
        };
        let root =
            rustix::fs::open(directory, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
                .map_err(failed)?;
        let within = only.as_ref().map(PathBuf::from).unwrap_or_default();
        let shown = Self {
            inodes: Inodes::new(root).map_err(failed)?,
            only,
            writable,
            gives_away: rustix::process::geteuid().is_root(),
            open: Mutex::default(),
            next: AtomicU64::new(1),
        };
        Ok((shown, within))
    }

    /// Answers the machine's kernel until the stream ends.
    ///
    /// # Errors
    /// [`MountError`] if it never asks.
    pub fn serve(self, stream: UnixStream) -> Result<(), MountError> {
        let connection = tunnel::Exit::open(stream, THREADS)?.connection;
        let journal =
            Journal::create().map_err(|source| MountError::Link { action: "make a journal", source })?;
        let (session, _) = session::begin(self, &connection, &journal, false, Access::Everyone, THREADS)?;
        drop(connection);
        // However it ends, the stream did before.
        let _ = session.run();
        Ok(())
    }

    fn node(&self, inode: INodeNo) -> Result<Arc<OwnedFd>, Errno> {
        self.inodes.get(inode.0).ok_or(Errno::ESTALE)
    }

    fn attributes(&self, inode: INodeNo) -> Result<FileAttr, Errno> {
        let node = self.node(inode)?;
        Ok(attributes(&status(&node)?, inode.0))
    }

    /// A directory, and a name in it that is no path.
    fn place<'n>(&self, parent: INodeNo, name: &'n OsStr) -> Result<(Arc<OwnedFd>, &'n OsStr), Errno> {
        let bytes = name.as_bytes();
        if bytes.is_empty() || bytes == b"." || bytes == b".." || bytes.contains(&b'/') {
            return Err(Errno::EINVAL);
        }
        if parent == INodeNo::ROOT && self.only.as_ref().is_some_and(|only| only != name) {
            return Err(Errno::ENOENT);
        }
        Ok((self.node(parent)?, name))
    }

    /// The same, if it may be changed.
    fn writable_place<'n>(
        &self,
        parent: INodeNo,
        name: &'n OsStr,
    ) -> Result<(Arc<OwnedFd>, &'n OsStr), Errno> {
        if !self.writable || (parent == INodeNo::ROOT && self.only.is_some()) {
            return Err(Errno::EROFS);
        }
        self.place(parent, name)
    }

    fn find(&self, parent: INodeNo, name: &OsStr) -> Result<FileAttr, Errno> {
        let (directory, name) = self.place(parent, name)?;
        let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let found = rustix::fs::openat(&*directory, name, flags, Mode::empty()).map_err(errno)?;
        let status = status(&found)?;
        Ok(attributes(&status, self.inodes.remember(found, (status.st_dev, status.st_ino))))
    }

    /// What was made belongs to whoever made it, and has the rights that were asked for whatever this process' mask is.
    fn made(
        &self,
        request: &Request,
        parent: INodeNo,
        name: &OsStr,
        mode: Option<u32>,
    ) -> Result<FileAttr, Errno> {
        let (directory, name) = self.place(parent, name)?;
        if self.gives_away {
            let inherits = status(&directory)?.st_mode & 0o2000 != 0;
            let group = (!inherits).then(|| rustix::fs::Gid::from_raw(request.gid()));
            let user = Some(rustix::fs::Uid::from_raw(request.uid()));
            rustix::fs::chownat(&*directory, name, user, group, AtFlags::SYMLINK_NOFOLLOW).map_err(errno)?;
        }
        let made = self.find(parent, name)?;
        if let Some(mode) = mode
            && u32::from(made.perm) & 0o777 != mode & 0o777
            && let Some(node) = self.inodes.get(made.ino.0)
        {
            let kept = u32::from(made.perm) & 0o7000;
            rustix::fs::chmod(path_of(&node), Mode::from_raw_mode(mode & 0o777 | kept)).map_err(errno)?;
            return self.attributes(made.ino);
        }
        Ok(made)
    }

    fn opened(&self, inode: INodeNo, flags: OFlags) -> Result<File, Errno> {
        if !self.writable && !(flags & OFlags::RWMODE).is_empty() {
            return Err(Errno::EROFS);
        }
        let node = self.node(inode)?;
        let kind = rustix::fs::FileType::from_raw_mode(status(&node)?.st_mode);
        // Opening a device or a pipe would do something to this host.
        if !kind.is_file() && !kind.is_dir() {
            return Err(Errno::EINVAL);
        }
        let flags = flags & COUNTING | OFlags::CLOEXEC | OFlags::NOCTTY | OFlags::NONBLOCK;
        rustix::fs::open(path_of(&node), flags, Mode::empty()).map(File::from).map_err(errno)
    }

    fn keep(&self, file: File) -> FileHandle {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        self.open.lock().insert(number, Arc::new(file));
        FileHandle(number)
    }

    fn file(&self, handle: FileHandle) -> Result<Arc<File>, Errno> {
        self.open.lock().get(&handle.0).cloned().ok_or(Errno::EBADF)
    }

    fn change(
        &self,
        inode: INodeNo,
        mode: Option<u32>,
        owner: (Option<u32>, Option<u32>),
        size: Option<u64>,
        times: (Option<TimeOrNow>, Option<TimeOrNow>),
    ) -> Result<FileAttr, Errno> {
        if !self.writable {
            return Err(Errno::EROFS);
        }
        let node = self.node(inode)?;
        let path = path_of(&node);
        if let Some(mode) = mode {
            rustix::fs::chmod(&path, Mode::from_raw_mode(mode & 0o7777)).map_err(errno)?;
        }
        if let (user, group) = owner
            && (user.is_some() || group.is_some())
        {
            let (user, group) = (user.map(rustix::fs::Uid::from_raw), group.map(rustix::fs::Gid::from_raw));
            rustix::fs::chownat(&*node, "", user, group, AtFlags::EMPTY_PATH).map_err(errno)?;
        }
        if let Some(size) = size {
            self.opened(inode, OFlags::WRONLY)?.set_len(size).map_err(Errno::from)?;
        }
        if times.0.is_some() || times.1.is_some() {
            let times = Timestamps { last_access: timespec(times.0), last_modification: timespec(times.1) };
            rustix::fs::utimensat(CWD, &path, &times, AtFlags::empty()).map_err(errno)?;
        }
        self.attributes(inode)
    }

    /// Adds the entries behind an offset until there is no more room.
    fn list(&self, handle: FileHandle, offset: u64, reply: &mut ReplyDirectory) -> Result<(), Errno> {
        let directory = self.file(handle)?;
        // Of several that list through one handle each has to find its own place.
        let _turn = self.inodes.turn();
        rustix::fs::seek(&*directory, SeekFrom::Start(offset)).map_err(errno)?;
        let mut space = vec![MaybeUninit::uninit(); 32 << 10];
        let mut entries = RawDir::new(&*directory, &mut space);
        while let Some(entry) = entries.next() {
            let entry = entry.map_err(errno)?;
            let name = OsStr::from_bytes(entry.file_name().to_bytes());
            if self.only.as_ref().is_some_and(|only| only != name && name != "." && name != "..") {
                continue;
            }
            let kind = kind(entry.file_type()).unwrap_or(FileType::RegularFile);
            if reply.add(INodeNo(entry.ino()), entry.next_entry_cookie(), kind, name) {
                break;
            }
        }
        Ok(())
    }
}

impl HostDirectory {
    fn close(&self, handle: FileHandle) {
        self.open.lock().remove(&handle.0);
    }

    fn forget_inode(&self, inode: INodeNo, times: u64) {
        self.inodes.forget(inode.0, times);
    }
}

/// What stands for an open file that can't be used itself. It leads to that file and to no other.
fn path_of(file: &OwnedFd) -> String {
    format!("/proc/self/fd/{}", file.as_raw_fd())
}

fn status(file: &OwnedFd) -> Result<Stat, Errno> {
    rustix::fs::fstat(file).map_err(errno)
}

fn errno(errno: rustix::io::Errno) -> Errno {
    Errno::from_i32(errno.raw_os_error())
}

fn kind(kind: rustix::fs::FileType) -> Option<FileType> {
    use rustix::fs::FileType as Kind;
    Some(match kind {
        Kind::RegularFile => FileType::RegularFile,
        Kind::Directory => FileType::Directory,
        Kind::Symlink => FileType::Symlink,
        Kind::Fifo => FileType::NamedPipe,
        Kind::Socket => FileType::Socket,
        Kind::CharacterDevice => FileType::CharDevice,
        Kind::BlockDevice => FileType::BlockDevice,
        Kind::Unknown => return None,
    })
}

fn attributes(status: &Stat, number: u64) -> FileAttr {
    let time = |seconds: i64, nanoseconds: u64| {
        let (whole, part) = (Duration::from_secs(seconds.unsigned_abs()), Duration::from_nanos(nanoseconds));
        let begin = if seconds < 0 { UNIX_EPOCH.checked_sub(whole) } else { UNIX_EPOCH.checked_add(whole) };
        begin.and_then(|begin| begin.checked_add(part)).unwrap_or(UNIX_EPOCH)
    };
    let changed = time(status.st_ctime, status.st_ctime_nsec);
    FileAttr {
        ino: INodeNo(number),
        size: status.st_size.unsigned_abs(),
        blocks: status.st_blocks.unsigned_abs(),
        atime: time(status.st_atime, status.st_atime_nsec),
        mtime: time(status.st_mtime, status.st_mtime_nsec),
        ctime: changed,
        crtime: changed,
        kind: kind(rustix::fs::FileType::from_raw_mode(status.st_mode)).unwrap_or(FileType::RegularFile),
        perm: (status.st_mode & 0o7777) as u16,
        nlink: u32::try_from(status.st_nlink).unwrap_or(u32::MAX),
        uid: status.st_uid,
        gid: status.st_gid,
        rdev: status.st_rdev as u32,
        blksize: status.st_blksize as u32,
        flags: 0,
    }
}

fn timespec(time: Option<TimeOrNow>) -> Timespec {
    match time {
        None => Timespec { tv_sec: 0, tv_nsec: rustix::fs::UTIME_OMIT },
        Some(TimeOrNow::Now) => Timespec { tv_sec: 0, tv_nsec: rustix::fs::UTIME_NOW },
        Some(TimeOrNow::SpecificTime(time)) => match time.duration_since(UNIX_EPOCH) {
            Ok(since) => Timespec { tv_sec: since.as_secs() as i64, tv_nsec: since.subsec_nanos().into() },
            Err(before) => {
                let nanoseconds = before.duration().as_nanos() as i128;
                let seconds =
                    -nanoseconds.div_euclid(1_000_000_000) - i128::from(nanoseconds % 1_000_000_000 != 0);
                let rest = -nanoseconds - seconds * 1_000_000_000;
                Timespec { tv_sec: seconds as i64, tv_nsec: rest as i64 }
            }
        },
    }
}
