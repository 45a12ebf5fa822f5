//! A store in a local directory, laid out as web servers serve it. Who may read it over HTTP is decided elsewhere.
//!
//! ```text
//! ROOT/.cvmfspublished  .cvmfswhitelist  …    files, replaced by rename
//! ROOT/data/ab/cdef…                          objects, 256 directories
//! ROOT/data/txn/                              what is being written; never served, never listed
//! ```
//!
//! An object appears under its name as a whole file: one without a name that is linked, or where the file system has no such
//! files, one that is renamed. It is not synced one by one: [`ObjectStore::sync`] does that once before a manifest that refers
//! to it is switched, and what it does is begun while objects are still put. A file of the wrong size, as a loss of power
//! before that may leave it, doesn't count as present and is written again.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use rustix::fs::{AtFlags, FileType, Mode, OFlags};
use rustix::io::Errno;
use varve_content::{Hasher, ObjectName};

use crate::{Deadline, Freshness, ObjectSink, ObjectSource, ObjectStore, RepositoryFile, StoreError};

mod unnamed;
mod write_back;

use unnamed::Linked;
use write_back::WriteBack;

/// How much is read at once from a large object.
const PIECE: usize = 256 << 10;

/// One repository in a local directory.
#[derive(Debug)]
pub struct DirectoryStore {
    root: PathBuf,
    data: PathBuf,
    /// `data`, open: objects are found relative to it, and a sync through it reports every failed write since.
    opened: Arc<OwnedFd>,
    temporary: PathBuf,
    counter: AtomicU64,
    /// Objects are linked; if not, renamed.
    links: AtomicBool,
    /// Whether the object that was put last was new: then the next one is written without looking whether it is there.
    expects_new: AtomicBool,
    write_back: WriteBack,
}

impl DirectoryStore {
    /// Opens a store, making what is missing of its directories.
    ///
    /// # Errors
    /// [`StoreError::Io`] if a directory can't be made.
    pub fn create(root: impl Into<PathBuf>) -> Result<Self, StoreError> {
        let root = root.into();
        let data = root.join("data");
        for number in 0..=255_u8 {
            make_directory(&data.join(format!("{number:02x}")))?;
        }
        make_directory(&data.join("txn"))?;
        Self::open(root)
    }

    /// Opens a store that exists, for reading or writing.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] if there is no `data` directory.
    pub fn open(root: impl Into<PathBuf>) -> Result<Self, StoreError> {
        let root = root.into();
        let data = root.join("data");
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let opened = match rustix::fs::open(&data, flags, Mode::empty()) {
            Ok(opened) => Arc::new(opened),
            Err(Errno::NOENT | Errno::NOTDIR) => {
                return Err(StoreError::NotFound {
                    name: "data".to_owned(),
                    place: root.display().to_string(),
                });
            }
            Err(errno) => return Err(StoreError::io("open", &data, errno)),
        };
        Ok(Self {
            temporary: data.join("txn"),
            root,
            data,
            opened,
            counter: AtomicU64::new(0),
            links: AtomicBool::new(true),
            expects_new: AtomicBool::new(false),
            write_back: WriteBack::default(),
        })
    }

    /// The directory.
    pub fn root(&self) -> &Path {
        &self.root
    }

    fn object_path(&self, name: &ObjectName) -> PathBuf {
        self.data.join(name.path())
    }

    /// A file that nobody else writes, with its path.
    fn temporary_file(&self) -> Result<(PathBuf, File), StoreError> {
        loop {
            let number = self.counter.fetch_add(1, Ordering::Relaxed);
            let path = self.temporary.join(format!("{}-{number}", std::process::id()));
            match File::options().write(true).create_new(true).mode(0o644).open(&path) {
                Ok(file) => return Ok((path, file)),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) if error.kind() == io::ErrorKind::NotFound && !self.temporary.exists() => {
                    make_directory(&self.temporary)?;
                }
                Err(error) => return Err(StoreError::io("create", &path, error)),
            }
        }
    }

    /// Writes a temporary file and renames it to `target`.
    fn replace(&self, target: &Path, bytes: &[u8], durable: bool) -> Result<(), StoreError> {
        let (path, mut file) = self.temporary_file()?;
        let written = (|| {
            file.write_all(bytes)?;
            if durable {
                file.sync_all()?;
            }
            rename_into(&path, target)
        })();
        written.map_err(|error| {
            // The write has failed already; what is left behind in the temporary directory harms nobody.
            let _ = fs::remove_file(&path);
            StoreError::io("write", target, error)
        })
    }
}

impl ObjectSource for DirectoryStore {
    fn fetch(
        &self,
        name: &ObjectName,
        limit: u64,
        sink: &mut dyn ObjectSink,
        _deadline: Deadline,
    ) -> Result<(), StoreError> {
        let path = self.object_path(name);
        let mut file = File::open(&path).map_err(|error| self.absent_or(name.to_string(), &path, error))?;
        let read_error = |error| StoreError::io("read", &path, error);
        let size = file.metadata().map_err(read_error)?.len();
        if size > limit {
            return Err(StoreError::TooLarge { name: name.to_string(), place: self.place(), limit });
        }
        let mut buffer = vec![0; PIECE.min(size as usize + 1)];
        let mut hasher = Hasher::new(name.hash.algorithm());
        let mut total = 0;
        loop {
            let length = read_full(&mut file, &mut buffer).map_err(read_error)?;
            total += length as u64;
            if total > limit {
                return Err(StoreError::TooLarge { name: name.to_string(), place: self.place(), limit });
            }
            hasher.update(&buffer[..length]);
            sink.write(&buffer[..length]).map_err(|source| StoreError::Io {
                action: "pass on",
                path: name.to_string(),
                source,
            })?;
            if length < buffer.len() {
                break;
            }
        }
        let actual = hasher.finish();
        if actual != name.hash {
            let (name, place, actual) = (name.to_string(), self.place(), actual.to_string());
            return Err(StoreError::WrongHash { name, place, actual });
        }
        Ok(())
    }

    fn fetch_file(
        &self,
        file: RepositoryFile,
        _freshness: Freshness,
        _deadline: Deadline,
    ) -> Result<Vec<u8>, StoreError> {
        let path = self.root.join(file.name());
        let opened = File::open(&path).map_err(|error| self.absent_or(file.to_string(), &path, error))?;
        let mut bytes = Vec::new();
        opened
            .take(file.limit() + 1)
            .read_to_end(&mut bytes)
            .map_err(|error| StoreError::io("read", &path, error))?;
        if bytes.len() as u64 > file.limit() {
            let (name, place) = (file.to_string(), self.place());
            return Err(StoreError::TooLarge { name, place, limit: file.limit() });
        }
        Ok(bytes)
    }

    fn place(&self) -> String {
        self.root.display().to_string()
    }
}

impl ObjectStore for DirectoryStore {
    fn put(&self, name: &ObjectName, stored: &[u8]) -> Result<(), StoreError> {
        self.put_absent(name, stored).map(drop)
    }

    fn put_absent(&self, name: &ObjectName, stored: &[u8]) -> Result<bool, StoreError> {
        let present = || {
            self.expects_new.store(false, Ordering::Relaxed);
            Ok(false)
        };
        let straight = self.expects_new.load(Ordering::Relaxed) && self.links.load(Ordering::Relaxed);
        let size = if straight { None } else { self.stored_size(name)? };
        if size == Some(stored.len() as u64) {
            return present();
        }
        let linked = if size.is_none() && self.links.load(Ordering::Relaxed) {
            unnamed::write(&self.opened, &name.path(), stored)
                .map_err(|error| StoreError::io("write", &self.object_path(name), error))?
        } else {
            Linked::NoDirectory
        };
        match linked {
            Linked::Taken if self.stored_size(name)? == Some(stored.len() as u64) => return present(),
            Linked::New => {}
            Linked::Taken | Linked::NoDirectory => self.replace(&self.object_path(name), stored, false)?,
            Linked::Unsupported => {
                self.links.store(false, Ordering::Relaxed);
                self.replace(&self.object_path(name), stored, false)?;
            }
        }
        self.expects_new.store(true, Ordering::Relaxed);
        self.write_back.stored(&self.opened, stored.len() as u64);
        Ok(true)
    }

    fn contains(&self, name: &ObjectName) -> Result<bool, StoreError> {
        Ok(self.stored_size(name)?.is_some())
    }

    fn stored_size(&self, name: &ObjectName) -> Result<Option<u64>, StoreError> {
        match rustix::fs::statat(&*self.opened, name.path(), AtFlags::empty()) {
            Ok(stat) => {
                let is_file = FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile;
                Ok(is_file.then_some(stat.st_size as u64))
            }
            Err(Errno::NOENT) => Ok(None),
            Err(errno) => Err(StoreError::io("look up", &self.object_path(name), errno)),
        }
    }

    fn remove(&self, name: &ObjectName) -> Result<(), StoreError> {
        let path = self.object_path(name);
        match fs::remove_file(&path) {
            Ok(()) => Ok(()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(StoreError::io("remove", &path, error)),
        }
    }

    fn list(
        &self,
        visit: &mut dyn FnMut(ObjectName, u64) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        for number in 0..=255_u8 {
            let prefix = format!("{number:02x}");
            let directory = self.data.join(&prefix);
            let entries = match fs::read_dir(&directory) {
                Ok(entries) => entries,
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => return Err(StoreError::io("list", &directory, error)),
            };
            for entry in entries {
                let entry = entry.map_err(|error| StoreError::io("list", &directory, error))?;
                let file_name = entry.file_name();
                let Some(name) = file_name
                    .to_str()
                    .and_then(|rest| ObjectName::from_path(&format!("{prefix}/{rest}")).ok())
                else {
                    continue;
                };
                match entry.metadata() {
                    Ok(metadata) => visit(name, metadata.len())?,
                    Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                    Err(error) => return Err(StoreError::io("look up", &entry.path(), error)),
                }
            }
        }
        Ok(())
    }

    fn put_file(&self, file: RepositoryFile, bytes: &[u8]) -> Result<(), StoreError> {
        self.replace(&self.root.join(file.name()), bytes, true)?;
        File::open(&self.root)
            .and_then(|directory| directory.sync_all())
            .map_err(|error| StoreError::io("sync", &self.root, error))
    }

    fn remove_leftovers(&self) -> Result<(), StoreError> {
        let entries = match fs::read_dir(&self.temporary) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(StoreError::io("list", &self.temporary, error)),
        };
        for entry in entries {
            let path = entry.map_err(|error| StoreError::io("list", &self.temporary, error))?.path();
            match fs::remove_file(&path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(StoreError::io("remove", &path, error));
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn begin_sync(&self) {
        self.write_back.begin(&self.opened);
    }

    fn sync(&self) -> Result<(), StoreError> {
        let synced = self.write_back.end().and_then(|()| Ok(rustix::fs::syncfs(&*self.opened)?));
        synced.map_err(|error| StoreError::io("sync", &self.data, error))
    }
}

impl DirectoryStore {
    fn absent_or(&self, name: String, path: &Path, error: io::Error) -> StoreError {
        match error.kind() {
            io::ErrorKind::NotFound => StoreError::NotFound { name, place: self.place() },
            _ => StoreError::io("open", path, error),
        }
    }
}

fn make_directory(path: &Path) -> Result<(), StoreError> {
    fs::create_dir_all(path).map_err(|error| StoreError::io("create", path, error))
}

/// Renames, making the target's directory if it is missing (stores that others began lack empty ones).
fn rename_into(from: &Path, to: &Path) -> io::Result<()> {
    match fs::rename(from, to) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            if let Some(directory) = to.parent() {
                fs::create_dir_all(directory)?;
            }
            fs::rename(from, to)
        }
        other => other,
    }
}

/// Fills the buffer, or as much of it as there is.
fn read_full(file: &mut File, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match file.read(&mut buffer[filled..]) {
            Ok(0) => break,
            Ok(length) => filled += length,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}
