//! The root directory: every path is resolved by the kernel beneath it (`openat2`, `RESOLVE_IN_ROOT`), so that no link of
//! the machine, absolute or not, leads out of it. Files are replaced by a rename.

use std::io::{self, Read as _, Write as _};
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use rustix::fs::{self, AtFlags, CWD, FileType, Gid, Mode as Bits, OFlags, ResolveFlags, Stat, Uid};
use rustix::io::Errno;

use super::ActionError;
use crate::text::{Line, TargetPath};

/// Larger files are not read.
const MAX_BYTES: u64 = 64 << 20;
const TEMPORARY: &str = ".varve-context-new";

/// A root directory that is open.
pub(super) struct Root {
    directory: OwnedFd,
}

/// What is known of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Metadata {
    pub(super) mode: u32,
    pub(super) uid: u32,
    pub(super) gid: u32,
}

/// A file as it is.
pub(super) struct Existing {
    pub(super) bytes: Vec<u8>,
    pub(super) metadata: Metadata,
}

impl Root {
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        let flags = OFlags::DIRECTORY | OFlags::RDONLY | OFlags::CLOEXEC;
        Ok(Self { directory: fs::openat(CWD, path, flags, Bits::empty())? })
    }

    /// Makes everything that was written last.
    pub(super) fn sync(&self) -> io::Result<()> {
        Ok(fs::syncfs(&self.directory)?)
    }

    /// A file's bytes; none if there is no such file.
    pub(super) fn read(&self, path: &str) -> Result<Option<Existing>, ActionError> {
        self.read_with(path, ResolveFlags::empty())
    }

    /// As [`Self::read`], and no link is followed.
    pub(super) fn read_unlinked(&self, path: &str) -> Result<Option<Existing>, ActionError> {
        self.read_with(path, ResolveFlags::NO_SYMLINKS)
    }

    fn read_with(&self, path: &str, resolve: ResolveFlags) -> Result<Option<Existing>, ActionError> {
        let failed = |source: io::Error| ActionError::Io { what: "read", path: path.to_owned(), source };
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY;
        let file = match self.resolve(path, flags, resolve) {
            Ok(file) => file,
            Err(Errno::NOENT) => return Ok(None),
            Err(error) => return Err(failed(error.into())),
        };
        let stat = fs::fstat(&file).map_err(|error| failed(error.into()))?;
        if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
            return Err(ActionError::Refused(format!("{path} is no regular file")));
        }
        let mut bytes = Vec::new();
        std::fs::File::from(file).take(MAX_BYTES + 1).read_to_end(&mut bytes).map_err(failed)?;
        if bytes.len() as u64 > MAX_BYTES {
            return Err(ActionError::Refused(format!("{path} is larger than {MAX_BYTES} bytes")));
        }
        Ok(Some(Existing { bytes, metadata: Metadata::of(&stat) }))
    }

    /// Whether something is there; links are followed beneath the root.
    pub(super) fn exists(&self, path: &str) -> bool {
        self.resolve(path, OFlags::PATH, ResolveFlags::empty()).is_ok()
    }

    /// What is known of a directory; none if there is none.
    pub(super) fn directory_metadata(&self, path: &str) -> Result<Option<Metadata>, ActionError> {
        let failed =
            |source: Errno| ActionError::Io { what: "open", path: path.to_owned(), source: source.into() };
        match self.resolve(path, OFlags::PATH | OFlags::DIRECTORY, ResolveFlags::empty()) {
            Ok(directory) => fs::fstat(&directory).map(|stat| Some(Metadata::of(&stat))).map_err(failed),
            Err(Errno::NOENT) => Ok(None),
            Err(error) => Err(failed(error)),
        }
    }

    /// The names in a directory, sorted; none if it isn't there.
    pub(super) fn names(&self, path: &str) -> Result<Vec<(String, FileType)>, ActionError> {
        let failed =
            |source: Errno| ActionError::Io { what: "list", path: path.to_owned(), source: source.into() };
        let directory = match self.resolve(path, OFlags::RDONLY | OFlags::DIRECTORY, ResolveFlags::empty()) {
            Ok(directory) => directory,
            Err(Errno::NOENT) => return Ok(Vec::new()),
            Err(error) => return Err(failed(error)),
        };
        let mut names = Vec::new();
        for entry in fs::Dir::new(directory).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            if let Ok(name) = entry.file_name().to_str()
                && !matches!(name, "." | "..")
            {
                names.push((name.to_owned(), entry.file_type()));
            }
        }
        names.sort_by(|a, b| a.0.cmp(&b.0));
        Ok(names)
    }

    /// What a symbolic link says; none if there is no link.
    pub(super) fn link_target(&self, path: &str) -> Option<String> {
        let (parent, name) = split(path);
        let parent = self.resolve(parent, OFlags::PATH | OFlags::DIRECTORY, ResolveFlags::empty()).ok()?;
        fs::readlinkat(&parent, name, Vec::new()).ok()?.into_string().ok()
    }

    /// Makes a directory and those above it; new ones above belong to root. Whether anything changed.
    pub(super) fn make_directory(&self, path: &str, wanted: Metadata) -> Result<bool, ActionError> {
        let failed =
            |source: Errno| ActionError::Io { what: "make", path: path.to_owned(), source: source.into() };
        let directory = self.make_all(path, ResolveFlags::empty()).map_err(failed)?;
        own(&directory, wanted).map_err(failed)
    }

    /// As [`Self::make_directory`], following no link and touching no directory that is there already.
    pub(super) fn make_unlinked(&self, path: &str, wanted: Metadata) -> Result<(), ActionError> {
        let failed =
            |source: Errno| ActionError::Io { what: "make", path: path.to_owned(), source: source.into() };
        match self.resolve(path, OFlags::PATH | OFlags::DIRECTORY, ResolveFlags::NO_SYMLINKS) {
            Ok(_) => Ok(()),
            Err(Errno::NOENT) => {
                let directory = self.make_all(path, ResolveFlags::NO_SYMLINKS).map_err(failed)?;
                own(&directory, wanted).map(|_| ()).map_err(failed)
            }
            Err(error) => Err(failed(error)),
        }
    }

    /// Writes a file in place of what is there, unless that is the same; makes the directories above it.
    pub(super) fn replace(&self, path: &str, bytes: &[u8], wanted: Metadata) -> Result<bool, ActionError> {
        self.replace_with(path, bytes, wanted, ResolveFlags::empty())
    }

    /// As [`Self::replace`], and no link is followed on the way.
    pub(super) fn replace_unlinked(
        &self,
        path: &str,
        bytes: &[u8],
        wanted: Metadata,
    ) -> Result<bool, ActionError> {
        self.replace_with(path, bytes, wanted, ResolveFlags::NO_SYMLINKS)
    }

    fn replace_with(
        &self,
        path: &str,
        bytes: &[u8],
        wanted: Metadata,
        resolve: ResolveFlags,
    ) -> Result<bool, ActionError> {
        let failed = |source: io::Error| ActionError::Io { what: "write", path: path.to_owned(), source };
        let (parent, name) = split(path);
        let parent = self.make_all(parent, resolve).map_err(|error| failed(error.into()))?;
        if same(&parent, name, bytes, wanted) {
            return Ok(false);
        }
        remove_temporary(&parent);
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = fs::openat(&parent, TEMPORARY, flags, Bits::from_raw_mode(0o600))
            .map_err(|error| failed(error.into()))?;
        let mut file = std::fs::File::from(file);
        let written = file
            .write_all(bytes)
            .and_then(|()| own(&file, wanted).map_err(io::Error::from))
            .and_then(|_| Ok(fs::renameat(&parent, TEMPORARY, &parent, name)?));
        written.map(|()| true).map_err(|error| {
            remove_temporary(&parent);
            failed(error)
        })
    }

    /// Puts a symbolic link in place of what is there.
    pub(super) fn link(&self, path: &TargetPath, target: &Line) -> Result<bool, ActionError> {
        let failed =
            |source: Errno| ActionError::Io { what: "link", path: path.to_string(), source: source.into() };
        let (parent, name) = split(path);
        let parent = self.make_all(parent, ResolveFlags::empty()).map_err(failed)?;
        if fs::readlinkat(&parent, name, Vec::new()).is_ok_and(|old| old.to_bytes() == target.as_bytes()) {
            return Ok(false);
        }
        remove_temporary(&parent);
        fs::symlinkat(target.as_str(), &parent, TEMPORARY).map_err(failed)?;
        fs::renameat(&parent, TEMPORARY, &parent, name).map(|()| true).map_err(|error| {
            remove_temporary(&parent);
            failed(error)
        })
    }

    /// Takes a file or a link away.
    pub(super) fn remove(&self, path: &str) -> Result<bool, ActionError> {
        let failed =
            |source: Errno| ActionError::Io { what: "remove", path: path.to_owned(), source: source.into() };
        let (parent, name) = split(path);
        let parent = match self.resolve(parent, OFlags::PATH | OFlags::DIRECTORY, ResolveFlags::empty()) {
            Ok(parent) => parent,
            Err(Errno::NOENT) => return Ok(false),
            Err(error) => return Err(failed(error)),
        };
        match fs::unlinkat(&parent, name, AtFlags::empty()) {
            Ok(()) => Ok(true),
            Err(Errno::NOENT) => Ok(false),
            Err(error) => Err(failed(error)),
        }
    }

    /// Opens the directory of a path; those that are missing are made, for root.
    fn make_all(&self, path: &str, resolve: ResolveFlags) -> rustix::io::Result<OwnedFd> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY;
        match self.resolve(path, flags, resolve) {
            Err(Errno::NOENT) => {}
            other => return other,
        }
        let (parent, name) = split(path);
        let parent = self.make_all(parent, resolve)?;
        match fs::mkdirat(&parent, name, Bits::from_raw_mode(0o755)) {
            // The caller's umask counts for mkdir, not for a machine.
            Ok(()) => fs::chmodat(&parent, name, Bits::from_raw_mode(0o755), AtFlags::empty())?,
            Err(Errno::EXIST) => {}
            Err(error) => return Err(error),
        }
        self.resolve(path, flags, resolve)
    }

    fn resolve(&self, path: &str, flags: OFlags, resolve: ResolveFlags) -> rustix::io::Result<OwnedFd> {
        let resolve = resolve | ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
        let path = if path.is_empty() { "/" } else { path };
        // The kernel asks to try again when something was renamed meanwhile.
        for _ in 0..16 {
            match fs::openat2(&self.directory, path, flags | OFlags::CLOEXEC, Bits::empty(), resolve) {
                Err(Errno::AGAIN | Errno::INTR) => {}
                other => return other,
            }
        }
        Err(Errno::AGAIN)
    }
}

impl Metadata {
    fn of(stat: &Stat) -> Self {
        Self { mode: stat.st_mode & 0o7777, uid: stat.st_uid, gid: stat.st_gid }
    }

    /// A file of root's.
    pub(super) fn root(mode: u32) -> Self {
        Self { mode, uid: 0, gid: 0 }
    }
}

/// The directory and the name of a path.
fn split(path: &str) -> (&str, &str) {
    path.trim_end_matches('/').rsplit_once('/').unwrap_or(("", path))
}

/// Gives a file its owner and permissions; whether they were others.
fn own(file: impl AsFd, wanted: Metadata) -> rustix::io::Result<bool> {
    let stat = fs::fstat(&file)?;
    let now = Metadata::of(&stat);
    if (now.uid, now.gid) != (wanted.uid, wanted.gid) {
        fs::fchown(&file, Some(Uid::from_raw(wanted.uid)), Some(Gid::from_raw(wanted.gid)))?;
    }
    // A change of the owner takes the set-user-id bit away.
    if Metadata::of(&fs::fstat(&file)?).mode != wanted.mode {
        fs::fchmod(&file, Bits::from_raw_mode(wanted.mode))?;
    }
    Ok(now != wanted)
}

fn same(parent: &OwnedFd, name: &str, bytes: &[u8], wanted: Metadata) -> bool {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let Ok(file) = fs::openat(parent, name, flags, Bits::empty()) else { return false };
    let Ok(stat) = fs::fstat(&file) else { return false };
    if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile
        || Metadata::of(&stat) != wanted
        || stat.st_size as u64 != bytes.len() as u64
    {
        return false;
    }
    let mut old = Vec::with_capacity(bytes.len());
    std::fs::File::from(file).take(bytes.len() as u64 + 1).read_to_end(&mut old).is_ok() && old == bytes
}

/// What a call that was killed may have left. Nothing is lost when there was none.
fn remove_temporary(parent: &OwnedFd) {
    let _ = fs::unlinkat(parent, TEMPORARY, AtFlags::empty());
}
