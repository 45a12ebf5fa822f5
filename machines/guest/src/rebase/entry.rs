//! One path in one of the trees, read without ever leaving the tree.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read as _};
use std::os::unix::ffi::OsStringExt as _;
use std::path::{Path, PathBuf};

use rustix::fd::{AsFd as _, OwnedFd};
use rustix::fs::{AtFlags, CWD, Dir, FileType, Mode, OFlags, ResolveFlags, Stat};
use rustix::io::Errno;

use super::RebaseError;

/// The attribute by which overlayfs marks a directory that hides what is below it.
const OPAQUE: &str = "trusted.overlay.opaque";

/// A directory tree: a base, or the upper directory of an overlay.
#[derive(Debug)]
pub(super) struct Tree {
    root: OwnedFd,
    path: PathBuf,
}

/// What a tree has at a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) kind: Kind,
    /// Permission bits.
    pub(super) mode: u32,
    pub(super) owner: (u32, u32),
    size: u64,
}

/// The kinds that are told apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    File,
    Directory,
    /// With its target.
    Link(Vec<u8>),
    /// In an upper directory: what is below is removed.
    Whiteout,
    /// A device, a pipe or a socket, with its type and number.
    Special(u32, u64),
}

impl Tree {
    /// # Errors
    /// [`RebaseError::Io`].
    pub(super) fn open(path: &Path) -> Result<Self, RebaseError> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let root = rustix::fs::openat(CWD, path, flags, Mode::empty())
            .map_err(|errno| RebaseError::io("open", path)(errno.into()))?;
        Ok(Self { root, path: path.to_owned() })
    }

    /// What is at a path; nothing is also what lies behind a link.
    ///
    /// # Errors
    /// [`RebaseError::Io`].
    pub(super) fn entry(&self, path: &Path) -> Result<Option<Entry>, RebaseError> {
        let Some(file) = self.reach(path, OFlags::PATH | OFlags::NOFOLLOW)? else { return Ok(None) };
        let failed = |errno: Errno| RebaseError::io("read", &self.path.join(path))(errno.into());
        let stat = rustix::fs::statat(&file, "", AtFlags::EMPTY_PATH).map_err(failed)?;
        let kind = match FileType::from_raw_mode(stat.st_mode) {
            FileType::RegularFile => Kind::File,
            FileType::Directory => Kind::Directory,
            FileType::Symlink => {
                let target = rustix::fs::readlinkat(&file, "", Vec::new()).map_err(failed)?;
                Kind::Link(target.into_bytes())
            }
            FileType::CharacterDevice if stat.st_rdev == 0 => Kind::Whiteout,
            _ => Kind::Special(stat.st_mode & 0o170_000, stat.st_rdev),
        };
        Ok(Some(Entry {
            kind,
            mode: stat.st_mode & 0o7777,
            owner: (stat.st_uid, stat.st_gid),
            size: size_of_contents(&stat),
        }))
    }

    /// The whole content of a file, or nothing if it is longer than `limit`.
    ///
    /// # Errors
    /// [`RebaseError::Io`].
    pub(super) fn content(&self, path: &Path, limit: u64) -> Result<Option<Vec<u8>>, RebaseError> {
        let Some(file) = self.reach(path, OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK)? else {
            return Ok(None);
        };
        let mut content = Vec::new();
        File::from(file)
            .take(limit + 1)
            .read_to_end(&mut content)
            .map_err(RebaseError::io("read", &self.path.join(path)))?;
        Ok((content.len() as u64 <= limit).then_some(content))
    }

    /// Whether a directory of the upper tree hides what is below it.
    pub(super) fn is_opaque(&self, path: &Path) -> bool {
        let mut value = [0_u8; 1];
        let whole = self.path.join(path);
        matches!(rustix::fs::lgetxattr(&whole, OPAQUE, &mut value), Ok(1) if value[0] == b'y')
    }

    /// The names in a directory, sorted.
    ///
    /// # Errors
    /// [`RebaseError::Io`].
    pub(super) fn names(&self, path: &Path) -> Result<Vec<OsString>, RebaseError> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW;
        let Some(directory) = self.reach(path, flags)? else { return Ok(Vec::new()) };
        let failed = |errno: Errno| RebaseError::io("list", &self.path.join(path))(errno.into());
        let mut names = Vec::new();
        for item in Dir::read_from(directory.as_fd()).map_err(failed)? {
            let name = item.map_err(failed)?.file_name().to_bytes().to_vec();
            if name != b"." && name != b".." {
                names.push(OsString::from_vec(name));
            }
        }
        names.sort();
        Ok(names)
    }

    /// Opens a path below the root; no component may be a link.
    fn reach(&self, path: &Path, flags: OFlags) -> Result<Option<OwnedFd>, RebaseError> {
        let path = if path.as_os_str().is_empty() { Path::new(".") } else { path };
        let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS | ResolveFlags::NO_SYMLINKS;
        // A link as the last component is opened as itself by PATH | NOFOLLOW, but not with NO_SYMLINKS: its parent is.
        let (parent, name) =
            (path.parent().filter(|parent| !parent.as_os_str().is_empty()), path.file_name());
        let failed = |errno: Errno| RebaseError::io("open", &self.path.join(path))(errno.into());
        let absent = |errno: Errno| matches!(errno, Errno::NOENT | Errno::NOTDIR | Errno::LOOP);
        let opened = parent
            .map(|parent| {
                let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
                rustix::fs::openat2(&self.root, parent, flags, Mode::empty(), resolve)
            })
            .transpose();
        let directory = match opened {
            Ok(directory) => directory,
            Err(errno) if absent(errno) => return Ok(None),
            Err(errno) => return Err(failed(errno)),
        };
        let directory = directory.as_ref().unwrap_or(&self.root);
        let name = name.map_or(Path::new("."), Path::new);
        match rustix::fs::openat(directory, name, flags | OFlags::CLOEXEC, Mode::empty()) {
            Ok(file) => Ok(Some(file)),
            Err(errno) if absent(errno) => Ok(None),
            Err(errno) => Err(failed(errno)),
        }
    }
}

/// Whether two trees have the same at a path: kind, permissions, owner, content.
///
/// # Errors
/// [`RebaseError::Io`].
pub(super) fn same(
    path: &Path,
    (first_tree, first): (&Tree, &Entry),
    (second_tree, second): (&Tree, &Entry),
) -> Result<bool, RebaseError> {
    if first != second {
        return Ok(false);
    }
    if first.kind != Kind::File {
        return Ok(true);
    }
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK;
    let (Some(first), Some(second)) = (first_tree.reach(path, flags)?, second_tree.reach(path, flags)?)
    else {
        return Ok(false);
    };
    equal(first.into(), second.into()).map_err(RebaseError::io("compare", path))
}

fn equal(mut first: File, mut second: File) -> io::Result<bool> {
    let (mut one, mut other) = (vec![0; 1 << 16], vec![0; 1 << 16]);
    loop {
        let read = first.read(&mut one)?;
        if read == 0 {
            return Ok(second.read(&mut other)? == 0);
        }
        match second.read_exact(&mut other[..read]) {
            Ok(()) if one[..read] == other[..read] => {}
            Ok(()) => return Ok(false),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(false),
            Err(error) => return Err(error),
        }
    }
}

/// Of directories and links the size says nothing that the kind doesn't.
fn size_of_contents(stat: &Stat) -> u64 {
    match FileType::from_raw_mode(stat.st_mode) {
        FileType::RegularFile => u64::try_from(stat.st_size).unwrap_or_default(),
        _ => 0,
    }
}
