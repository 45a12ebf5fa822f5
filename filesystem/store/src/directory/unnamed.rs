//! Writes an object into a file without a name and gives it one when it is whole: nothing is renamed, and a writer that is
//! killed leaves nothing behind. Not every file system can do that.

use std::fs::File;
use std::io::{self, Write as _};
use std::os::fd::OwnedFd;

use rustix::fs::{AtFlags, Mode, OFlags};
use rustix::io::Errno;

/// What became of an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Linked {
    /// It has its name.
    New,
    /// Somebody else gave the name to a file meanwhile.
    Taken,
    /// The directory is missing.
    NoDirectory,
    /// The file system can't, or this process may not.
    Unsupported,
}

/// Writes `bytes` as `path`, which is relative to `data` and inside a directory of it.
pub(super) fn write(data: &OwnedFd, path: &str, bytes: &[u8]) -> io::Result<Linked> {
    let Some((directory, _)) = path.rsplit_once('/') else { return Ok(Linked::Unsupported) };
    let flags = OFlags::WRONLY | OFlags::TMPFILE | OFlags::CLOEXEC;
    let mut file = match rustix::fs::openat(data, directory, flags, Mode::from_raw_mode(0o644)) {
        Ok(fd) => File::from(fd),
        Err(Errno::NOENT) => return Ok(Linked::NoDirectory),
        Err(Errno::OPNOTSUPP | Errno::ISDIR | Errno::INVAL | Errno::NOSYS) => return Ok(Linked::Unsupported),
        Err(errno) => return Err(errno.into()),
    };
    file.write_all(bytes)?;
    match rustix::fs::linkat(&file, "", data, path, AtFlags::EMPTY_PATH) {
        Ok(()) => Ok(Linked::New),
        Err(Errno::EXIST) => Ok(Linked::Taken),
        // Older kernels answer so where the process lacks a capability.
        Err(Errno::NOENT | Errno::PERM | Errno::OPNOTSUPP | Errno::INVAL) => Ok(Linked::Unsupported),
        Err(errno) => Err(errno.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_gets_its_name_once() {
        let place = tempfile::tempdir().expect("a temporary directory");
        std::fs::create_dir(place.path().join("ab")).expect("a writable directory");
        let data = OwnedFd::from(File::open(place.path()).expect("it is there"));
        let first = write(&data, "ab/cd", b"one").expect("a writable directory");
        if first == Linked::Unsupported {
            println!("skipped: files without names are not to be had in {}", place.path().display());
            return;
        }
        assert_eq!(first, Linked::New);
        assert_eq!(write(&data, "ab/cd", b"two").expect("a writable directory"), Linked::Taken);
        assert_eq!(write(&data, "ef/cd", b"two").expect("a writable directory"), Linked::NoDirectory);
        assert_eq!(std::fs::read(place.path().join("ab/cd")).expect("it is there"), b"one");
    }
}
