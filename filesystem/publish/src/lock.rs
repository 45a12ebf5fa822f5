//! Only one process at a time changes a repository. The lock is `flock` on the repository's directory: it needs no file of
//! its own, is the same for everybody, and ends with the process, however it ends.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;

/// The right to change a repository, held until it is dropped.
#[derive(Debug)]
pub struct RepositoryLock {
    directory: File,
}

impl AsFd for RepositoryLock {
    /// Programs that inherit it hold the lock too.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.directory.as_fd()
    }
}

impl Drop for RepositoryLock {
    /// Closing alone would not do: a process that is just being started shares the open directory until it runs.
    fn drop(&mut self) {
        let _ = flock(&self.directory, FlockOperation::Unlock);
    }
}

/// Why the lock can't be had.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// Another process holds it.
    #[error("another process is changing the repository in {path}")]
    Held {
        /// The repository's directory.
        path: PathBuf,
    },
    /// The directory can't be used.
    #[error("cannot lock {path}")]
    Io {
        /// The repository's directory.
        path: PathBuf,
        /// What the operating system said.
        #[source]
        source: io::Error,
    },
}

impl RepositoryLock {
    /// Takes the lock, without waiting.
    ///
    /// # Errors
    /// [`LockError::Held`] if another process has it.
    pub fn take(directory: &Path) -> Result<Self, LockError> {
        let failed = |source| LockError::Io { path: directory.to_owned(), source };
        let file = File::open(directory).map_err(failed)?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Self { directory: file }),
            Err(Errno::WOULDBLOCK) => Err(LockError::Held { path: directory.to_owned() }),
            Err(errno) => Err(failed(errno.into())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_second_is_refused_until_the_first_ends() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let first = RepositoryLock::take(directory.path()).expect("nobody holds it");
        assert!(matches!(RepositoryLock::take(directory.path()), Err(LockError::Held { .. })));
        drop(first);
        RepositoryLock::take(directory.path()).expect("it was given back");
        let missing = directory.path().join("missing");
        assert!(matches!(RepositoryLock::take(&missing), Err(LockError::Io { .. })));
    }
}
