//! The archive: files of mirrors by their digest, kept for good. Nothing enters it unverified; what lies in it can be
//! used when the mirrors are gone.
//!
//! ```text
//! sha256/ab/cdef…      a file, whole, verified, on disk before it got this name
//! partial/abcdef…      the beginning of one, locked by whoever fetches it
//! ```

use std::fs::{self, File, TryLockError};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream;
use sha2::Digest as _;

use crate::digest::Sha256;
use crate::location::{MirrorUrl, PackagePath};
use crate::lock::Lock;
use crate::transfer::{Sink, TransferError, Transfers};

/// Between two looks whether somebody else is done with a file.
const LOCK_PAUSE: Duration = Duration::from_millis(100);

/// A directory of files by digest.
#[derive(Clone, Debug)]
pub struct Archive {
    root: PathBuf,
}

/// A file that the archive shall have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// Where it can be fetched.
    pub mirror: MirrorUrl,
    /// Relative to the mirror.
    pub path: PackagePath,
    /// In bytes.
    pub size: u64,
    /// As something signed gives it.
    pub sha256: Sha256,
}

/// Who wants to know how far a fetch is.
pub trait FetchProgress {
    /// So many bytes more are here, or were not needed.
    fn bytes(&self, count: u64);
    /// A file is whole.
    fn file(&self, path: &PackagePath);
}

/// Nobody does.
#[derive(Clone, Copy, Debug)]
pub struct SilentFetch;

impl FetchProgress for SilentFetch {
    fn bytes(&self, _count: u64) {}
    fn file(&self, _path: &PackagePath) {}
}

/// What a fetch did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Fetched {
    /// Files that came.
    pub files: usize,
    /// Their sizes together.
    pub bytes: u64,
    /// Files that were there before.
    pub present: usize,
}

/// Why a file is not in the archive.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    /// It was never fetched.
    #[error("the archive {archive} lacks {path} (sha256 {sha256})")]
    Missing {
        /// The archive.
        archive: String,
        /// The file.
        path: PackagePath,
        /// Its digest.
        sha256: Sha256,
    },
    /// What came, or what lies there, is something else.
    #[error("{place} is not what the signed index says: it has {actual} instead of {expected}")]
    Changed {
        /// Where it is.
        place: String,
        /// What it should have.
        expected: String,
        /// What it has.
        actual: String,
    },
    /// It did not come.
    #[error(transparent)]
    Transfer(#[from] TransferError),
    /// The archive's directory can't be used.
    #[error("cannot {action} {path}")]
    Io {
        /// What was tried.
        action: &'static str,
        /// With what.
        path: String,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// Several files are missing in the end; the others are there.
    #[error("{failed} of {total} files could not be fetched; the first")]
    Several {
        /// How many.
        failed: usize,
        /// How many were to be fetched.
        total: usize,
        /// What happened to the first.
        #[source]
        first: Box<ArchiveError>,
    },
}

impl ArchiveError {
    /// Whether bytes are not what they should be.
    #[must_use]
    pub fn is_integrity(&self) -> bool {
        match self {
            Self::Changed { .. } | Self::Transfer(TransferError::TooLarge { .. }) => true,
            Self::Several { first, .. } => first.is_integrity(),
            _ => false,
        }
    }

    /// Whether a mirror said that it doesn't have a file.
    #[must_use]
    pub fn is_absence(&self) -> bool {
        match self {
            Self::Missing { .. } => true,
            Self::Transfer(error) => error.is_absence(),
            Self::Several { first, .. } => first.is_absence(),
            _ => false,
        }
    }
}

impl Archive {
    /// Uses a directory, made if it is not there.
    ///
    /// # Errors
    /// If it can't be made.
    pub fn open(root: impl Into<PathBuf>) -> Result<Self, ArchiveError> {
        let root = root.into();
        for part in ["sha256", "partial"] {
            let path = root.join(part);
            fs::create_dir_all(&path).map_err(|error| failed("create", &path, error))?;
        }
        Ok(Self { root })
    }

    /// Where it lies.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Where the file of this digest is, or would be.
    #[must_use]
    pub fn path(&self, sha256: &Sha256) -> PathBuf {
        let digits = sha256.to_string();
        self.root.join("sha256").join(&digits[..2]).join(&digits[2..])
    }

    /// Whether the file is there, at its size. Its bytes were checked when it came.
    #[must_use]
    pub fn contains(&self, sha256: &Sha256, size: u64) -> bool {
        fs::symlink_metadata(self.path(sha256)).is_ok_and(|found| found.is_file() && found.len() == size)
    }

    /// Reads a file of at most `limit` bytes and checks it again.
    ///
    /// # Errors
    /// If it is missing, larger, or its bytes have changed since.
    pub fn read(&self, sha256: &Sha256, limit: u64) -> Result<Vec<u8>, ArchiveError> {
        let path = self.path(sha256);
        let file = File::open(&path).map_err(|error| failed("read", &path, error))?;
        let mut bytes = Vec::new();
        file.take(limit + 1).read_to_end(&mut bytes).map_err(|error| failed("read", &path, error))?;
        if bytes.len() as u64 > limit {
            return Err(changed(&path, &format!("at most {limit} bytes"), &"more"));
        }
        let actual = Sha256::of(&bytes);
        if actual == *sha256 { Ok(bytes) } else { Err(changed(&path, sha256, &actual)) }
    }

    /// Checks the bytes of a file that is to be used, and says where it is.
    ///
    /// # Errors
    /// If it is missing, or its bytes have changed since it came.
    pub fn verified(&self, wanted: &Wanted) -> Result<PathBuf, ArchiveError> {
        let path = self.path(&wanted.sha256);
        let mut file = match File::open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(ArchiveError::Missing {
                    archive: self.root.display().to_string(),
                    path: wanted.path.clone(),
                    sha256: wanted.sha256,
                });
            }
            Err(error) => return Err(failed("read", &path, error)),
        };
        let mut hasher = sha2::Sha256::new();
        io::copy(&mut file, &mut hasher).map_err(|error| failed("read", &path, error))?;
        let actual = Sha256::finish(hasher);
        if actual == wanted.sha256 { Ok(path) } else { Err(changed(&path, &wanted.sha256, &actual)) }
    }

    /// Keeps bytes that are verified by their caller, under their digest.
    ///
    /// # Errors
    /// If the directory can't be written to.
    pub fn keep(&self, bytes: &[u8]) -> Result<Sha256, ArchiveError> {
        let sha256 = Sha256::of(bytes);
        if !self.contains(&sha256, bytes.len() as u64) {
            let Some(mut part) = Part::open(self, &sha256)? else {
                // Whoever holds it puts the same bytes there.
                return self.keep_apart(bytes, sha256);
            };
            part.restart()
                .and_then(|()| part.take(bytes))
                .map_err(|error| failed("write", &part.path, error))?;
            part.place(self, &sha256)?;
        }
        Ok(sha256)
    }

    fn keep_apart(&self, bytes: &[u8], sha256: Sha256) -> Result<Sha256, ArchiveError> {
        let (directory, place) = (self.root.join("partial"), self.path(&sha256));
        let put = || {
            let mut file = tempfile::NamedTempFile::new_in(directory)?;
            file.write_all(bytes)?;
            file.as_file().sync_data()?;
            fs::create_dir_all(place.parent().unwrap_or(&self.root))?;
            file.persist(&place).map(drop).map_err(|error| error.error)
        };
        put().map(|()| sha256).map_err(|error| failed("write", &place, error))
    }

    /// What this archive lacks of a lock.
    #[must_use]
    pub fn missing(&self, lock: &Lock) -> Vec<Wanted> {
        let mut wanted = wanted(lock);
        wanted.retain(|file| !self.contains(&file.sha256, file.size));
        wanted
    }

    /// Fetches the packages of a lock that are not here yet, many at once. What came stays, also when others fail, and
    /// what came half is continued the next time.
    ///
    /// # Errors
    /// If a file didn't come or is not what the lock says, once all others were tried.
    pub fn fetch_lock(
        &self,
        lock: &Lock,
        transfers: &Transfers,
        progress: &dyn FetchProgress,
    ) -> Result<Fetched, ArchiveError> {
        self.fetch(&wanted(lock), transfers, progress)
    }

    /// As [`Self::fetch_lock`], for any files.
    ///
    /// # Errors
    /// As there.
    pub fn fetch(
        &self,
        files: &[Wanted],
        transfers: &Transfers,
        progress: &dyn FetchProgress,
    ) -> Result<Fetched, ArchiveError> {
        let mut seen = std::collections::HashSet::new();
        let files: Vec<&Wanted> = files.iter().filter(|file| seen.insert(file.sha256)).collect();
        let jobs = files.iter().map(|file| self.fetch_one(file, transfers, progress));
        let results: Vec<_> = transfers.wait(stream::iter(jobs).buffered(transfers.parallel()).collect());
        let (mut fetched, mut first, mut broken) = (Fetched::default(), None, 0);
        for (file, result) in files.iter().zip(results) {
            match result {
                Ok(true) => (fetched.files, fetched.bytes) = (fetched.files + 1, fetched.bytes + file.size),
                Ok(false) => fetched.present += 1,
                Err(error) => (first, broken) = (first.or(Some(error)), broken + 1),
            }
        }
        match (first, broken) {
            (None, _) => Ok(fetched),
            (Some(error), 1) => Err(error),
            (Some(first), failed) => {
                Err(ArchiveError::Several { failed, total: files.len(), first: Box::new(first) })
            }
        }
    }

    /// Whether it had to be fetched.
    async fn fetch_one(
        &self,
        file: &Wanted,
        transfers: &Transfers,
        progress: &dyn FetchProgress,
    ) -> Result<bool, ArchiveError> {
        let present = |_: &Wanted| {
            progress.bytes(file.size);
            progress.file(&file.path);
            Ok(false)
        };
        if self.contains(&file.sha256, file.size) {
            return present(file);
        }
        let mut part = loop {
            // Not waited for in the kernel: other transfers of this thread may be what the other side waits for.
            match Part::open(self, &file.sha256)? {
                Some(part) => break part,
                None => tokio::time::sleep(LOCK_PAUSE).await,
            }
        };
        // Somebody else may have brought it while this waited for the lock.
        if self.contains(&file.sha256, file.size) {
            return present(file);
        }
        loop {
            let resumed = part.position() > 0;
            if part.position() > file.size {
                part.restart().map_err(|error| failed("write", &part.path, error))?;
            }
            let begun = part.position();
            let mut watched = Watched { part: &mut part, progress };
            progress.bytes(begun);
            let copied = transfers.copy(&file.mirror, &file.path, file.size, &mut watched).await;
            let verdict = match copied {
                Ok(()) => part.verdict(file),
                // It is not the file of this size; keeping its beginning would not help.
                Err(error @ TransferError::TooLarge { .. }) => Err(error.into()),
                Err(error) => return Err(error.into()),
            };
            match verdict {
                Ok(()) => break,
                // The beginning may have been of another time: once more from there.
                Err(_) if resumed => part.restart().map_err(|error| failed("write", &part.path, error))?,
                Err(error) => {
                    part.discard();
                    return Err(error);
                }
            }
        }
        let (archive, sha256) = (self.clone(), file.sha256);
        let placed = tokio::task::spawn_blocking(move || part.place(&archive, &sha256)).await;
        placed.map_err(|error| failed("write", &self.path(&file.sha256), io::Error::other(error)))??;
        progress.file(&file.path);
        Ok(true)
    }
}

/// The files that a lock names.
#[must_use]
pub fn wanted(lock: &Lock) -> Vec<Wanted> {
    let of = |package: &crate::lock::LockedPackage| {
        let mirror = lock.index(&package.index)?.mirror.clone();
        Some(Wanted { mirror, path: package.path.clone(), size: package.size, sha256: package.sha256 })
    };
    lock.packages.iter().filter_map(of).collect()
}

/// The beginning of a file.
struct Part {
    file: File,
    path: PathBuf,
    hasher: sha2::Sha256,
    length: u64,
}

impl Part {
    /// Takes what is there already; `None` while somebody else fetches the same file.
    fn open(archive: &Archive, sha256: &Sha256) -> Result<Option<Self>, ArchiveError> {
        let path = archive.root.join("partial").join(sha256.to_string());
        let open = || -> io::Result<Option<(File, sha2::Sha256, u64)>> {
            let mut file = File::options().read(true).append(true).create(true).open(&path)?;
            match file.try_lock() {
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => return Ok(None),
                Err(TryLockError::Error(error)) => return Err(error),
            }
            // Thrown away between the two.
            if file.metadata()?.nlink() == 0 {
                return Ok(None);
            }
            let mut hasher = sha2::Sha256::new();
            let length = io::copy(&mut file, &mut hasher)?;
            Ok(Some((file, hasher, length)))
        };
        let opened = open().map_err(|error| failed("open", &path, error))?;
        Ok(opened.map(|(file, hasher, length)| Self { file, path, hasher, length }))
    }

    fn verdict(&self, file: &Wanted) -> Result<(), ArchiveError> {
        let place = || file.mirror.join(&file.path);
        let actual = Sha256::finish(self.hasher.clone());
        if self.length != file.size {
            let (expected, actual) = (format!("{} bytes", file.size), format!("{} bytes", self.length));
            return Err(ArchiveError::Changed { place: place(), expected, actual });
        }
        if actual != file.sha256 {
            let (expected, actual) = (file.sha256.to_string(), actual.to_string());
            return Err(ArchiveError::Changed { place: place(), expected, actual });
        }
        Ok(())
    }

    /// Gives the whole, verified file its name.
    fn place(self, archive: &Archive, sha256: &Sha256) -> Result<(), ArchiveError> {
        let place = archive.path(sha256);
        let directory = place.parent().unwrap_or(&archive.root);
        let put = || {
            fs::create_dir_all(directory)?;
            self.file.sync_data()?;
            fs::rename(&self.path, &place)?;
            File::open(directory)?.sync_all()
        };
        put().map_err(|error| failed("write", &place, error))
    }

    fn discard(self) {
        // What stays behind is checked like all else when it is continued.
        let _ = fs::remove_file(&self.path);
    }
}

impl Sink for Part {
    fn position(&self) -> u64 {
        self.length
    }

    fn take(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all(bytes)?;
        self.hasher.update(bytes);
        self.length += bytes.len() as u64;
        Ok(())
    }

    fn restart(&mut self) -> io::Result<()> {
        self.file.set_len(0)?;
        self.file.seek(SeekFrom::Start(0))?;
        (self.hasher, self.length) = (sha2::Sha256::new(), 0);
        Ok(())
    }
}

/// A part whose growth somebody watches.
struct Watched<'a> {
    part: &'a mut Part,
    progress: &'a dyn FetchProgress,
}

impl Sink for Watched<'_> {
    fn position(&self) -> u64 {
        self.part.position()
    }

    fn take(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.progress.bytes(bytes.len() as u64);
        self.part.take(bytes)
    }

    fn restart(&mut self) -> io::Result<()> {
        self.part.restart()
    }
}

fn failed(action: &'static str, path: &Path, source: io::Error) -> ArchiveError {
    ArchiveError::Io { action, path: path.display().to_string(), source }
}

fn changed(path: &Path, expected: &dyn ToString, actual: &dyn ToString) -> ArchiveError {
    ArchiveError::Changed {
        place: path.display().to_string(),
        expected: expected.to_string(),
        actual: actual.to_string(),
    }
}
