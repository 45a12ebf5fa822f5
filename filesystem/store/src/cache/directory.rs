//! The files of a cache directory: opened, written under a temporary name and renamed, unlinked. What is in them is
//! decided elsewhere.
//!
//! ```text
//! DIRECTORY/00 … ff/cdef…              sealed files, see the format module
//! DIRECTORY/00 … ff/tmp-…              what is being written
//! DIRECTORY/kept/SCOPE/.cvmfspublished files of a repository, for starts without a network
//! DIRECTORY/ledger                     how many bytes are used
//! DIRECTORY/eviction.lock              held by the process that deletes
//! DIRECTORY/swept                      its time: when leftovers were last looked for
//! ```
//!
//! Temporary files lie beside their target, so that no directory is locked by all writers and no rename crosses
//! directories, which the kernel would serialize for the whole file system.

use std::fmt;
use std::fs::{self, File};
use std::io::{self, IoSlice, Write as _};
use std::os::fd::OwnedFd;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::fs::{AtFlags, Mode, OFlags, Timespec, Timestamps, UTIME_NOW};

use super::name::CacheName;
use crate::StoreError;

/// What the names of files that are being written begin with.
pub(super) const TEMPORARY_PREFIX: &str = "tmp-";

/// The cache's directory, held open.
pub(super) struct Directory {
    path: PathBuf,
    root: OwnedFd,
    read_only: bool,
    writer: WriterId,
    counter: AtomicU64,
}

impl Directory {
    /// Opens the directory and makes what is missing of it; a directory that can't be written to is served as it is.
    pub(super) fn open(path: &Path) -> Result<Self, StoreError> {
        let error = |error: io::Error| StoreError::io("open the cache directory", path, error);
        let made = make_directories(path);
        if let Err(failure) = &made
            && !is_unwritable(failure)
        {
            return Err(error(made.expect_err("because it was just seen to be an error")));
        }
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let root = rustix::fs::open(path, flags, Mode::empty()).map_err(|errno| error(errno.into()))?;
        let writable = made.is_ok()
            && rustix::fs::accessat(&root, ".", rustix::fs::Access::WRITE_OK, AtFlags::EACCESS).is_ok();
        Ok(Self {
            path: path.to_owned(),
            root,
            read_only: !writable,
            writer: WriterId::of_this_process(),
            counter: AtomicU64::new(0),
        })
    }

    /// Whether nothing can be written here.
    pub(super) fn is_read_only(&self) -> bool {
        self.read_only
    }

    /// The directory's path, for scans and what isn't a cached file.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// The path of a cached file, for messages.
    pub(super) fn path_of(&self, name: &CacheName) -> PathBuf {
        self.path.join(name.path())
    }

    /// Opens a cached file; `None` if there is none.
    pub(super) fn open_file(&self, name: &CacheName) -> Result<Option<File>, StoreError> {
        let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        match rustix::fs::openat(&self.root, name.path(), flags, Mode::empty()) {
            Ok(file) => Ok(Some(file.into())),
            Err(rustix::io::Errno::NOENT) => Ok(None),
            Err(errno) => Err(StoreError::io("open", &self.path_of(name), errno)),
        }
    }

    /// Unlinks a cached file; whoever has it open or mapped keeps it. Says whether it is gone.
    pub(super) fn unlink(&self, name: &CacheName) -> bool {
        let unlinked = rustix::fs::unlinkat(&self.root, name.path(), AtFlags::empty());
        matches!(unlinked, Ok(()) | Err(rustix::io::Errno::NOENT))
    }

    /// A new file beside the place where `name` will be.
    pub(super) fn begin(&self, name: &CacheName) -> io::Result<Temporary<'_>> {
        if self.read_only {
            return Err(io::Error::from(io::ErrorKind::ReadOnlyFilesystem));
        }
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
        loop {
            let number = self.counter.fetch_add(1, Ordering::Relaxed);
            let path = format!("{}/{TEMPORARY_PREFIX}{}-{number}", name.directory(), self.writer);
            match rustix::fs::openat(&self.root, &path, flags, Mode::from_raw_mode(0o600)) {
                Ok(file) => {
                    return Ok(Temporary { directory: self, file: Some(file.into()), path, renamed: false });
                }
                Err(rustix::io::Errno::EXIST) => {}
                Err(rustix::io::Errno::NOENT) => {
                    match rustix::fs::mkdirat(&self.root, name.directory(), Mode::from_raw_mode(0o700)) {
                        Ok(()) | Err(rustix::io::Errno::EXIST) => {}
                        Err(errno) => return Err(errno.into()),
                    }
                }
                Err(errno) => return Err(errno.into()),
            }
        }
    }

    /// What is known of the process that made this temporary file.
    pub(super) fn writer_of(&self, temporary: &str) -> Writer {
        temporary.strip_prefix(TEMPORARY_PREFIX).map_or(Writer::Unknown, |rest| self.writer.state_of(rest))
    }
}

/// What is known of the process that made a temporary file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Writer {
    /// It may still write to it.
    Alive,
    /// It has ended.
    Gone,
    /// It can't be seen from here: it is in another pid namespace.
    Unknown,
}

/// A file that is being written. Dropped before [`Self::finish`], it is removed.
pub(super) struct Temporary<'a> {
    directory: &'a Directory,
    file: Option<File>,
    path: String,
    renamed: bool,
}

impl Temporary<'_> {
    /// Appends all bytes of two slices, in one system call if it can be.
    pub(super) fn write(&mut self, first: &[u8], second: &[u8]) -> io::Result<()> {
        let Some(file) = &mut self.file else { return Ok(()) };
        let total = first.len() + second.len();
        let mut written = 0;
        while written < total {
            let slices = if written < first.len() {
                [IoSlice::new(&first[written..]), IoSlice::new(second)]
            } else {
                [IoSlice::new(&second[written - first.len()..]), IoSlice::new(&[])]
            };
            match file.write_vectored(&slices) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(length) => written += length,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Gives the file its name, replacing what had it, and hands it out.
    pub(super) fn finish(mut self, name: &CacheName) -> io::Result<File> {
        let root = &self.directory.root;
        rustix::fs::renameat(root, self.path.as_str(), root, name.path())?;
        self.renamed = true;
        self.file.take().ok_or_else(|| io::ErrorKind::NotFound.into())
    }
}

impl Drop for Temporary<'_> {
    fn drop(&mut self) {
        if !self.renamed {
            // Nothing depends on it: the sweep of leftovers finds what stays.
            let _ = rustix::fs::unlinkat(&self.directory.root, self.path.as_str(), AtFlags::empty());
        }
    }
}

/// Sets a file's time of last use to now.
pub(super) fn mark_used(file: &File) {
    let now = Timespec { tv_sec: 0, tv_nsec: UTIME_NOW };
    // A cache that can't be written to isn't evicted from by us either.
    let _ = rustix::fs::futimens(file, &Timestamps { last_access: now, last_modification: now });
}

/// Whether an error says that this place takes no more data now, or never: full, over quota, read-only, not ours.
pub(super) fn is_unwritable(error: &io::Error) -> bool {
    is_full(error)
        || matches!(error.kind(), io::ErrorKind::ReadOnlyFilesystem | io::ErrorKind::PermissionDenied)
}

/// Whether an error says that deleting something could help.
pub(super) fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

fn make_directories(path: &Path) -> io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.mode(0o700);
    if !path.is_dir() {
        builder.recursive(true).create(path)?;
        builder.recursive(false);
    }
    let names = (0..=255_u8).map(|number| format!("{number:02x}"));
    for name in names.chain(["kept".to_owned()]) {
        match builder.create(path.join(name)) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            _ => {}
        }
    }
    Ok(())
}

/// Names a process among all that may share a cache: its pid, in which namespace that counts, and when it began, against a
/// pid being used again.
struct WriterId {
    namespace: String,
    pid: u32,
    begun: Option<u64>,
}

impl WriterId {
    fn of_this_process() -> Self {
        let pid = std::process::id();
        // A /proc of another namespace shows other processes under our numbers.
        let shows_us = fs::read_link("/proc/self").is_ok_and(|link| link.to_str() == Some(&pid.to_string()));
        Self { namespace: pid_namespace(), pid, begun: if shows_us { begin_of(pid) } else { None } }
    }

    /// What is known of `other`, of the form that `Display` writes and what may follow it.
    fn state_of(&self, other: &str) -> Writer {
        let mut parts = other.split('-');
        let (namespace, pid) = (parts.next(), parts.next().and_then(|pid| pid.parse().ok()));
        let begun: Option<u64> = parts.next().and_then(|begun| begun.parse().ok()).filter(|&begun| begun > 0);
        let Some(process) = pid.and_then(rustix::process::Pid::from_raw) else { return Writer::Unknown };
        if self.namespace == "0" || namespace != Some(self.namespace.as_str()) {
            return Writer::Unknown;
        }
        if rustix::process::test_kill_process(process) == Err(rustix::io::Errno::SRCH) {
            return Writer::Gone;
        }
        let now_begun = self.begun.and_then(|_| begin_of(process.as_raw_nonzero().get().unsigned_abs()));
        match (begun, now_begun) {
            (Some(then), Some(now)) if then != now => Writer::Gone,
            _ => Writer::Alive,
        }
    }
}

impl fmt::Display for WriterId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}-{}", self.namespace, self.pid, self.begun.unwrap_or(0))
    }
}

/// When a process began, in the kernel's ticks since its start: no clock that is set changes it.
fn begin_of(pid: u32) -> Option<u64> {
    let line = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name of the program, in parentheses, may have anything in it.
    let (_, fields) = line.rsplit_once(')')?;
    fields.split_whitespace().nth(19)?.parse().ok()
}

/// The inode number of this process's pid namespace, `0` if that can't be told.
fn pid_namespace() -> String {
    fs::read_link("/proc/self/ns/pid")
        .ok()
        .and_then(|link| Some(link.to_str()?.strip_prefix("pid:[")?.strip_suffix(']')?.to_owned()))
        .unwrap_or_else(|| "0".to_owned())
}
