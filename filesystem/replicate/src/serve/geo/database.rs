//! Where addresses are: a database file in MaxMind's format, read whole, and again when it was replaced.

use std::fs::Metadata;
use std::io;
use std::net::IpAddr;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use maxminddb::{MaxMindDbError, Reader};
use parking_lot::Mutex;
use serde::Deserialize;

use super::order::Point;

/// How often it is looked whether the file was replaced.
const LOOK: Duration = Duration::from_secs(2);

/// The most bytes of a database; those of the world's cities have 60 MB.
const LIMIT: u64 = 1 << 30;

/// A database that follows its file.
#[derive(Debug)]
pub(crate) struct Database {
    path: PathBuf,
    reader: ArcSwap<Reader<Vec<u8>>>,
    looked: Mutex<Looked>,
}

#[derive(Debug)]
struct Looked {
    at: Instant,
    file: FileState,
}

/// What changes when a file is replaced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct FileState {
    device: u64,
    inode: u64,
    size: u64,
    modified: (i64, i64),
}

/// The part of an address's record that counts.
#[derive(Deserialize)]
struct Record {
    location: Option<Location>,
}

#[derive(Deserialize)]
struct Location {
    latitude: Option<f64>,
    longitude: Option<f64>,
}

impl Database {
    /// Reads a database.
    ///
    /// # Errors
    /// [`GeoError`] if it can't be read or is none.
    pub(crate) fn open(path: PathBuf) -> Result<Self, GeoError> {
        let (reader, file) = load(&path)?;
        let looked = Mutex::new(Looked { at: Instant::now(), file });
        Ok(Self { path, reader: ArcSwap::from_pointee(reader), looked })
    }

    /// Where an address is, if that is known.
    pub(crate) fn place(&self, address: IpAddr) -> Option<Point> {
        let reader = self.reader.load();
        let record: Record = reader.lookup(address.to_canonical()).ok()?.decode().ok()??;
        let location = record.location?;
        let (latitude, longitude) = (location.latitude?, location.longitude?);
        (latitude.is_finite() && longitude.is_finite()).then_some(Point { latitude, longitude })
    }

    /// Whether it is time to look at the file; then nobody else is told so for a while.
    pub(crate) fn look_is_due(&self) -> bool {
        let mut looked = self.looked.lock();
        let due = looked.at.elapsed() >= LOOK;
        if due {
            looked.at = Instant::now();
        }
        due
    }

    /// Reads the file again if it was replaced; one that can't be read changes nothing. Waits for the disk.
    pub(crate) fn follow(&self) {
        let Ok(metadata) = std::fs::metadata(&self.path) else { return };
        let file = FileState::of(&metadata);
        // A broken one is not tried again either, until it changes.
        if std::mem::replace(&mut self.looked.lock().file, file) == file {
            return;
        }
        match load(&self.path) {
            Ok((reader, file)) => {
                self.reader.store(Arc::new(reader));
                self.looked.lock().file = file;
                tracing::info!(path = %self.path.display(), "read the new geo database");
            }
            Err(error) => tracing::warn!(%error, "keeping the old geo database"),
        }
    }
}

fn load(path: &Path) -> Result<(Reader<Vec<u8>>, FileState), GeoError> {
    let read = |source| GeoError::Read { path: path.to_owned(), source };
    let metadata = std::fs::metadata(path).map_err(read)?;
    if !metadata.is_file() || metadata.len() > LIMIT {
        return Err(read(io::Error::other("no regular file of reasonable size")));
    }
    let bytes = std::fs::read(path).map_err(read)?;
    let reader = Reader::from_source(bytes)
        .map_err(|source| GeoError::Malformed { path: path.to_owned(), source: Box::new(source) })?;
    Ok((reader, FileState::of(&metadata)))
}

impl FileState {
    fn of(metadata: &Metadata) -> Self {
        Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            size: metadata.size(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
        }
    }
}

/// Why there is no database.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum GeoError {
    /// The file can't be read.
    #[error("cannot read geo database {path}", path = path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The file is something else.
    #[error("{path} is no database in MaxMind's format", path = path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What the reader found.
        #[source]
        source: Box<MaxMindDbError>,
    },
}
