//! What was written over a tree, as an archive or a directory: layers as container images have them, with a file `.wh.NAME`
//! for what was removed and `.wh..wh..opq` in a directory that hides the one below it.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File, Metadata};
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, AsRawFd as _};
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, Mode, OFlags};
use rustix::io::Errno;

use crate::error::SandboxError;

const REMOVED: &str = ".wh.";
const OPAQUE: &str = ".wh..wh..opq";
/// The attribute of such a directory, for root and in user namespaces.
const OPAQUE_ATTRIBUTES: [&str; 2] = ["trusted.overlay.opaque", "user.overlay.opaque"];

/// Where what was written goes to. Looked at before the command is run, so that nothing is computed in vain.
#[derive(Debug)]
pub enum Collection {
    /// An archive that isn't there yet.
    Archive(PathBuf),
    /// An empty directory.
    Directory(PathBuf),
}

impl Collection {
    /// An archive if the name ends in `.tar`, else a directory. Neither may be there.
    ///
    /// # Errors
    /// [`SandboxError::Io`].
    pub fn create(path: &Path) -> Result<Self, SandboxError> {
        let path = std::path::absolute(path).map_err(SandboxError::io("create", path))?;
        if path.extension() != Some(OsStr::new("tar")) {
            fs::create_dir(&path).map_err(SandboxError::io("create", &path))?;
            return Ok(Self::Directory(path));
        }
        let created = if path.symlink_metadata().is_ok() {
            Err(io::ErrorKind::AlreadyExists.into())
        } else {
            open(&path).map(|(_, named)| if named { fs::remove_file(&path) } else { Ok(()) })
        };
        created.and_then(|removed| removed).map_err(SandboxError::io("create", &path))?;
        Ok(Self::Archive(path))
    }

    /// Takes in what lies in a directory. `owner` is who all of it belongs to, where only one user has a number.
    ///
    /// # Errors
    /// [`SandboxError::Io`]; then an archive isn't there.
    pub fn take(self, written: impl AsFd, owner: Option<(u32, u32)>) -> Result<(), SandboxError> {
        let from = PathBuf::from(format!("/proc/self/fd/{}/.", written.as_fd().as_raw_fd()));
        match self {
            Self::Directory(path) => {
                let mut sink = Copied { to: path.clone() };
                walk(&from, Path::new(""), &mut sink).map_err(SandboxError::io("collect in", &path))
            }
            Self::Archive(path) => {
                archive(&from, &path, owner).map_err(SandboxError::io("collect in", &path))
            }
        }
    }

    /// Takes in an archive as [`Running::send_written`](crate::Running::send_written) makes it, from whom nothing is believed.
    ///
    /// # Errors
    /// [`SandboxError::Io`]; then an archive isn't there.
    pub fn receive(self, mut archive: impl Read) -> Result<(), SandboxError> {
        match self {
            Self::Directory(path) => unpack(archive, &path).map_err(SandboxError::io("collect in", &path)),
            Self::Archive(path) => whole(&path, |file| io::copy(&mut archive, file).map(drop))
                .map_err(SandboxError::io("collect in", &path)),
        }
    }
}

/// Entries of other kinds mean nothing here.
fn unpack(archive: impl Read, to: &Path) -> io::Result<()> {
    let mut archive = tar::Archive::new(archive);
    archive.set_preserve_permissions(false);
    archive.set_overwrite(false);
    for entry in archive.entries()? {
        let mut entry = entry?;
        use tar::EntryType::{Directory, Regular, Symlink};
        if matches!(entry.header().entry_type(), Directory | Regular | Symlink) {
            // What would lead elsewhere is left out.
            entry.unpack_in(to)?;
        }
    }
    Ok(())
}

/// Writes what lies in a directory as an archive; `owner` as with [`Collection::take`].
pub(crate) fn send(written: impl AsFd, owner: Option<(u32, u32)>, to: impl Write) -> io::Result<()> {
    let from = PathBuf::from(format!("/proc/self/fd/{}/.", written.as_fd().as_raw_fd()));
    let mut sink = Archived { archive: tar::Builder::new(io::BufWriter::with_capacity(1 << 18, to)), owner };
    walk(&from, Path::new(""), &mut sink)?;
    sink.archive.into_inner()?.flush()
}

/// A new file, and whether it has its name already: where the file system can't hold files without names.
fn open(path: &Path) -> io::Result<(File, bool)> {
    let parent = path.parent().unwrap_or(Path::new("/"));
    let (flags, mode) = (OFlags::WRONLY | OFlags::CLOEXEC, Mode::from_raw_mode(0o644));
    let (file, named) = match rustix::fs::open(parent, flags | OFlags::TMPFILE, mode) {
        Err(Errno::OPNOTSUPP | Errno::ISDIR | Errno::INVAL) => {
            (rustix::fs::open(path, flags | OFlags::CREATE | OFlags::EXCL, mode)?, true)
        }
        result => (result?, false),
    };
    Ok((File::from(file), named))
}

fn archive(from: &Path, path: &Path, owner: Option<(u32, u32)>) -> io::Result<()> {
    whole(path, |file| {
        let mut sink = Archived { archive: tar::Builder::new(io::BufWriter::new(file)), owner };
        walk(from, Path::new(""), &mut sink)?;
        sink.archive.into_inner()?.flush()
    })
}

/// Makes a file that appears once it is filled.
fn whole(path: &Path, fill: impl FnOnce(&mut File) -> io::Result<()>) -> io::Result<()> {
    let (mut file, named) = open(path)?;
    let filled = fill(&mut file).and_then(|()| {
        file.sync_all()?;
        if !named {
            let itself = format!("/proc/self/fd/{}", file.as_raw_fd());
            rustix::fs::linkat(CWD, itself, CWD, path, AtFlags::SYMLINK_FOLLOW)?;
        }
        Ok(())
    });
    if filled.is_err() && named {
        // Half of it is of no use.
        let _ = fs::remove_file(path);
    }
    filled
}

/// What becomes of each entry; paths are relative.
trait Sink {
    fn directory(&mut self, path: &Path, status: &Metadata) -> io::Result<()>;
    fn file(&mut self, path: &Path, status: &Metadata, from: &Path) -> io::Result<()>;
    fn link(&mut self, path: &Path, status: &Metadata, target: &Path) -> io::Result<()>;
    /// An empty file that says something.
    fn mark(&mut self, path: &Path) -> io::Result<()>;
}

fn walk(from: &Path, at: &Path, sink: &mut dyn Sink) -> io::Result<()> {
    let mut names: Vec<OsString> =
        fs::read_dir(from)?.map(|entry| Ok(entry?.file_name())).collect::<io::Result<_>>()?;
    names.sort();
    for name in names {
        let (path, source) = (at.join(&name), from.join(&name));
        let status = fs::symlink_metadata(&source)?;
        let kind = status.file_type();
        if kind.is_dir() {
            sink.directory(&path, &status)?;
            if is_opaque(&source) {
                sink.mark(&path.join(OPAQUE))?;
            }
            walk(&source, &path, sink)?;
        } else if kind.is_symlink() {
            sink.link(&path, &status, &fs::read_link(&source)?)?;
        } else if kind.is_file() {
            sink.file(&path, &status, &source)?;
        } else if kind.is_char_device() && status.rdev() == 0 {
            let mut mark = OsString::from(REMOVED);
            mark.push(&name);
            sink.mark(&at.join(mark))?;
        }
        // Sockets and pipes mean nothing once their processes are gone.
    }
    Ok(())
}

fn is_opaque(directory: &Path) -> bool {
    OPAQUE_ATTRIBUTES.iter().any(|name| {
        let mut value = [0; 1];
        rustix::fs::lgetxattr(directory, *name, &mut value).is_ok_and(|length| value[..length] == *b"y")
    })
}

struct Archived<W: Write> {
    archive: tar::Builder<W>,
    owner: Option<(u32, u32)>,
}

impl<W: Write> Archived<W> {
    fn header(&self, kind: tar::EntryType, status: &Metadata, size: u64) -> tar::Header {
        let mut header = tar::Header::new_gnu();
        let (user, group) = self.owner.unwrap_or((status.uid(), status.gid()));
        header.set_entry_type(kind);
        header.set_mode(status.mode() & 0o7777);
        header.set_uid(user.into());
        header.set_gid(group.into());
        header.set_mtime(status.mtime().max(0).unsigned_abs());
        header.set_size(size);
        header
    }
}

impl<W: Write> Sink for Archived<W> {
    fn directory(&mut self, path: &Path, status: &Metadata) -> io::Result<()> {
        let mut header = self.header(tar::EntryType::Directory, status, 0);
        self.archive.append_data(&mut header, path, io::empty())
    }

    fn file(&mut self, path: &Path, status: &Metadata, from: &Path) -> io::Result<()> {
        let mut header = self.header(tar::EntryType::Regular, status, status.len());
        self.archive.append_data(&mut header, path, Read::take(File::open(from)?, status.len()))
    }

    fn link(&mut self, path: &Path, status: &Metadata, target: &Path) -> io::Result<()> {
        let mut header = self.header(tar::EntryType::Symlink, status, 0);
        self.archive.append_link(&mut header, path, target)
    }

    fn mark(&mut self, path: &Path) -> io::Result<()> {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(tar::EntryType::Regular);
        header.set_mode(0o644);
        header.set_size(0);
        self.archive.append_data(&mut header, path, io::empty())
    }
}

struct Copied {
    to: PathBuf,
}

impl Sink for Copied {
    fn directory(&mut self, path: &Path, status: &Metadata) -> io::Result<()> {
        let to = self.to.join(path);
        fs::create_dir(&to)?;
        // Who collects must be able to go on.
        fs::set_permissions(&to, fs::Permissions::from_mode(status.mode() & 0o777 | 0o700))
    }

    fn file(&mut self, path: &Path, status: &Metadata, from: &Path) -> io::Result<()> {
        let mut to = File::options().write(true).create_new(true).open(self.to.join(path))?;
        io::copy(&mut File::open(from)?, &mut to)?;
        // What was written isn't trusted with another user's rights.
        to.set_permissions(fs::Permissions::from_mode(status.mode() & 0o777))?;
        to.set_modified(status.modified()?)
    }

    fn link(&mut self, path: &Path, _: &Metadata, target: &Path) -> io::Result<()> {
        symlink(target, self.to.join(path))
    }

    fn mark(&mut self, path: &Path) -> io::Result<()> {
        File::options().write(true).create_new(true).open(self.to.join(path)).map(drop)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(scratch: &varve_testkit::Scratch) -> File {
        let from = scratch.directory("from");
        fs::create_dir(from.join("sub")).unwrap();
        fs::write(from.join("sub/file"), "content").unwrap();
        symlink("sub/file", from.join("link")).unwrap();
        File::open(from).unwrap()
    }

    #[test]
    fn an_archive_appears_whole() {
        let scratch = varve_testkit::Scratch::new();
        let path = scratch.join("out.tar");
        let collection = Collection::create(&path).unwrap();
        assert!(!path.exists());
        collection.take(written(&scratch), Some((5, 6))).unwrap();
        let mut archive = tar::Archive::new(File::open(&path).unwrap());
        let mut seen = vec![];
        for entry in archive.entries().unwrap() {
            let mut entry = entry.unwrap();
            assert_eq!((entry.header().uid().unwrap(), entry.header().gid().unwrap()), (5, 6));
            let mut text = String::new();
            entry.read_to_string(&mut text).unwrap();
            seen.push((entry.path().unwrap().into_owned().display().to_string(), text));
        }
        let expected = [("link", ""), ("sub", ""), ("sub/file", "content")];
        assert_eq!(seen, expected.map(|(name, text)| (name.to_owned(), text.to_owned())));
        assert!(Collection::create(&path).is_err());
    }

    #[test]
    fn a_directory_has_the_same() {
        let scratch = varve_testkit::Scratch::new();
        let path = scratch.join("out");
        Collection::create(&path).unwrap().take(written(&scratch), None).unwrap();
        assert_eq!(fs::read_to_string(path.join("link")).unwrap(), "content");
    }
}
