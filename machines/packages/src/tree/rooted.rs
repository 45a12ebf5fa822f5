//! Files of a tree that is the root of another system: links in it lead to places in it, never to this machine's.

use std::ffi::{OsStr, OsString};
use std::io::{self, Read as _, Write as _};
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, Dir, FileType, Mode, OFlags, ResolveFlags};
use rustix::io::Errno;

/// The top of a tree. All paths are relative to it.
#[derive(Debug)]
pub(crate) struct Root {
    top: OwnedFd,
    path: PathBuf,
}

impl Root {
    /// Opens a tree.
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let top = rustix::fs::openat(CWD, path, flags, Mode::empty())?;
        Ok(Self { top, path: path.to_owned() })
    }

    /// Where it is on this machine.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The content of a regular file, links followed; `None` if there is none. A larger one is an error.
    pub(crate) fn read(&self, path: &str, largest: u64) -> io::Result<Option<Vec<u8>>> {
        let file = match self.resolve(path, OFlags::RDONLY | OFlags::NONBLOCK) {
            Ok(fd) => std::fs::File::from(fd),
            Err(Errno::NOENT | Errno::NOTDIR) => return Ok(None),
            Err(errno) => return Err(errno.into()),
        };
        if !file.metadata()?.is_file() {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "not a regular file"));
        }
        let mut bytes = Vec::new();
        file.take(largest + 1).read_to_end(&mut bytes)?;
        if bytes.len() as u64 > largest {
            return Err(io::Error::new(io::ErrorKind::FileTooLarge, format!("larger than {largest} bytes")));
        }
        Ok(Some(bytes))
    }

    /// Whether something is there, links followed.
    pub(crate) fn has(&self, path: &str) -> bool {
        self.resolve(path, OFlags::PATH).is_ok()
    }

    /// Writes a file in place of whatever is there, and makes the directories on the way.
    pub(crate) fn write(&self, path: &str, content: &[u8], mode: u32) -> io::Result<()> {
        let (directory, name) = self.make_parent(path)?;
        self.remove(path)?;
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = rustix::fs::openat(&directory, name, flags, Mode::from_raw_mode(0o600))?;
        let mut file = std::fs::File::from(file);
        file.write_all(content)?;
        Ok(rustix::fs::fchmod(&file, Mode::from_raw_mode(mode))?)
    }

    /// Makes a symbolic link in place of whatever is there.
    pub(crate) fn link(&self, path: &str, target: &str) -> io::Result<()> {
        let (directory, name) = self.make_parent(path)?;
        self.remove(path)?;
        Ok(rustix::fs::symlinkat(target, &directory, name)?)
    }

    /// Makes a directory, if there is none, and those on the way.
    pub(crate) fn make_directory(&self, path: &str) -> io::Result<()> {
        self.make(path).map(|_| ())
    }

    /// The names in a directory, sorted; none if it is not there.
    pub(crate) fn names(&self, path: &str) -> io::Result<Vec<OsString>> {
        let directory = match self.resolve(path, OFlags::RDONLY | OFlags::DIRECTORY) {
            Ok(fd) => fd,
            Err(Errno::NOENT | Errno::NOTDIR) => return Ok(Vec::new()),
            Err(errno) => return Err(errno.into()),
        };
        let mut names = Vec::new();
        for entry in Dir::read_from(&directory)? {
            let name = entry?.file_name().to_bytes().to_vec();
            if name != b"." && name != b".." {
                names.push(OsStr::from_bytes(&name).to_owned());
            }
        }
        names.sort_unstable();
        Ok(names)
    }

    /// Removes what is there, a directory with everything below; links in the last place are not followed.
    pub(crate) fn remove(&self, path: &str) -> io::Result<()> {
        let (parent, name) = split(path);
        match self.resolve(parent, OFlags::RDONLY | OFlags::DIRECTORY) {
            Ok(directory) => remove_in(&directory, OsStr::new(name)),
            Err(Errno::NOENT | Errno::NOTDIR) => Ok(()),
            Err(errno) => Err(errno.into()),
        }
    }

    /// Removes everything in a directory.
    pub(crate) fn empty(&self, path: &str) -> io::Result<()> {
        for name in self.names(path)? {
            let directory = self.resolve(path, OFlags::RDONLY | OFlags::DIRECTORY)?;
            remove_in(&directory, &name)?;
        }
        Ok(())
    }

    /// Removes all below a directory that is not a directory itself.
    pub(crate) fn empty_files(&self, path: &str) -> io::Result<()> {
        for name in self.names(path)? {
            let directory = self.resolve(path, OFlags::RDONLY | OFlags::DIRECTORY)?;
            let stat = rustix::fs::statat(&directory, name.as_bytes(), AtFlags::SYMLINK_NOFOLLOW)?;
            if FileType::from_raw_mode(stat.st_mode) != FileType::Directory {
                remove_in(&directory, &name)?;
            } else if let Some(name) = name.to_str() {
                self.empty_files(&format!("{path}/{name}"))?;
            }
        }
        Ok(())
    }

    fn resolve(&self, path: &str, flags: OFlags) -> Result<OwnedFd, Errno> {
        let path = if path.is_empty() { "." } else { path };
        let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
        rustix::fs::openat2(&self.top, path, flags | OFlags::CLOEXEC, Mode::empty(), resolve)
    }

    /// The directory that a path's last part is in.
    fn make_parent<'a>(&self, path: &'a str) -> io::Result<(OwnedFd, &'a str)> {
        let (parent, name) = split(path);
        Ok((self.make(parent)?, name))
    }

    fn make(&self, path: &str) -> io::Result<OwnedFd> {
        match self.resolve(path, OFlags::RDONLY | OFlags::DIRECTORY) {
            Err(Errno::NOENT) => {}
            found => return Ok(found?),
        }
        let (parent, name) = split(path);
        let directory = self.make(parent)?;
        rustix::fs::mkdirat(&directory, name, Mode::from_raw_mode(0o755))?;
        Ok(self.resolve(path, OFlags::RDONLY | OFlags::DIRECTORY)?)
    }
}

fn split(path: &str) -> (&str, &str) {
    path.rsplit_once('/').unwrap_or(("", path))
}

fn remove_in(directory: &OwnedFd, name: &OsStr) -> io::Result<()> {
    match rustix::fs::unlinkat(directory, name, AtFlags::empty()) {
        Ok(()) | Err(Errno::NOENT) => Ok(()),
        Err(Errno::ISDIR | Errno::PERM) => {
            // The last part is not followed by the standard library either.
            let path = Path::new("/proc/self/fd").join(directory.as_raw_fd().to_string());
            std::fs::remove_dir_all(path.join(name))
        }
        Err(errno) => Err(errno.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_lead_to_places_in_the_tree() {
        let outside = tempfile::tempdir().expect("a directory");
        std::fs::write(outside.path().join("file"), "outside").expect("written");
        let tree = outside.path().join("tree");
        std::fs::create_dir_all(tree.join("etc")).expect("made");
        std::os::unix::fs::symlink(outside.path(), tree.join("etc/away")).expect("linked");
        std::os::unix::fs::symlink("../../file", tree.join("etc/up")).expect("linked");
        let root = Root::open(&tree).expect("opened");

        assert_eq!(root.read("etc/away/file", 99).expect("looked for"), None);
        assert_eq!(root.read("etc/up", 99).expect("looked for"), None);
        root.write("etc/up", b"inside", 0o644).expect("written");
        root.write("new/below/file", b"x", 0o600).expect("written");
        assert_eq!(root.read("etc/up", 99).expect("read"), Some(b"inside".to_vec()));
        assert!(root.read("etc/up", 3).is_err());
        root.remove("etc/away").expect("removed");
        root.empty("new").expect("emptied");
        assert!(root.has("new") && !root.has("new/below"));
        assert_eq!(std::fs::read(outside.path().join("file")).expect("read"), b"outside");
    }

    #[test]
    fn directories_can_outlive_their_files() {
        let tree = tempfile::tempdir().expect("a directory");
        let root = Root::open(tree.path()).expect("opened");
        root.write("var/log/apt/history.log", b"x", 0o644).expect("written");
        root.link("var/log/link", "apt").expect("linked");
        root.empty_files("var/log").expect("emptied");
        assert_eq!(root.names("var/log").expect("listed"), ["apt"]);
        assert!(root.names("var/log/apt").expect("listed").is_empty());
        assert!(root.names("nowhere").expect("looked for").is_empty());
    }
}
