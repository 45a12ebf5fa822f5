//! The disk cache: decompressed, sealed, shared by threads and processes without a helper process.
//!
//! A hit takes no lock: open, read, compare checksums. A miss is fetched once per process, whoever else wants it waits
//! for the same transfer; across processes the later rename wins over equal content. Where nothing can be written the
//! cache serves what is there and keeps the rest in memory. It doesn't know what objects mean, nor where they come from.
//!
//! Invariants:
//! - A file under its final name was complete and verified when it was renamed; it is never written to again, only
//!   unlinked, so readers and maps of it stay valid.
//! - Nothing is synced: what a loss of power tears, its seal tells.

mod arrival;
mod bundle;
mod counters;
mod directory;
mod eviction;
mod fallback;
mod format;
mod kept;
mod ledger;
mod mapping;
mod name;
mod object;

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime};

use parking_lot::Mutex;
use varve_content::{Compression, ContentHash, ObjectName};

use self::arrival::{Arrival, Arrived};
use self::counters::{Counts, count};
use self::directory::{Directory, is_full, is_unwritable};
use self::eviction::{Evicted, Goal};
use self::fallback::Fallback;
use self::format::{ONE_BLOCK_FILE, Seal, content_size, file_length};
use self::kept::KeptFiles;
use self::ledger::Ledger;
use self::name::CacheName;
use self::object::SealedFile;
use crate::flight::Flights;
use crate::{ByteSize, Deadline, ObjectSource, RepositoryFile, StoreError};

pub use self::bundle::CachedBundle;
pub use self::counters::CacheCounters;
pub use self::mapping::MappedObject;
pub use self::object::CachedObject;

/// How old the recorded time of last use may be before a use records a new one.
const USE_RESOLUTION: Duration = Duration::from_secs(60);

/// How long no room is looked for on a full disk after none was found.
const FULL_PAUSE: Duration = Duration::from_secs(10);

/// Where a cache is and how large it may become.
#[derive(Clone)]
pub struct CacheConfig {
    /// The directory; made if it is missing. Private to one user, shared by any number of that user's processes.
    pub directory: PathBuf,
    /// Above this, the least recently used files are deleted. `None`: never.
    pub quota: Option<ByteSize>,
    /// The clock that times of last use are compared with.
    pub now: Clock,
}

/// Tells the time; `SystemTime::now` outside tests.
pub type Clock = Arc<dyn Fn() -> SystemTime + Send + Sync>;

impl CacheConfig {
    /// A cache without quota by the given clock, outside tests `SystemTime::now`.
    pub fn new(directory: impl Into<PathBuf>, now: impl Fn() -> SystemTime + Send + Sync + 'static) -> Self {
        Self { directory: directory.into(), quota: None, now: Arc::new(now) }
    }
}

/// An object as a catalog describes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ObjectRequest {
    /// Its name at the source.
    pub name: ObjectName,
    /// How it is stored there.
    pub compression: Compression,
    /// The size of its content.
    pub size: PlainSize,
}

/// What is known beforehand of the size of an object's content, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PlainSize {
    /// Recorded by a catalog; any other size is an error.
    Exact(u64),
    /// Not recorded; more than this is an error.
    AtMost(u64),
}

/// A disk cache of objects' contents.
pub struct Cache {
    inner: Arc<Inner>,
    flights: Flights<CacheName, CachedObject>,
}

/// What an object in a reader's hands still needs of the cache.
struct Inner {
    directory: Directory,
    counts: Counts,
    fallback: Fallback,
    kept: KeptFiles,
    /// Damaged files that could not be unlinked.
    known_damaged: Mutex<Vec<CacheName>>,
    quota: Option<u64>,
    ledger: Ledger,
    /// Whether a thread of this process is evicting.
    evicting: AtomicBool,
    /// When the disk was last found full with nothing to delete.
    hopelessly_full: Mutex<Option<Instant>>,
    now: Clock,
}

impl Cache {
    /// Opens a cache directory.
    ///
    /// # Errors
    /// [`StoreError::Io`] if it is neither there nor can be made. One that can't be written to is no error.
    pub fn open(config: &CacheConfig) -> Result<Self, StoreError> {
        let quota = config.quota.map(ByteSize::get);
        let inner = Inner {
            directory: Directory::open(&config.directory)?,
            quota,
            ledger: Ledger::open(&config.directory, quota),
            evicting: AtomicBool::new(false),
            hopelessly_full: Mutex::default(),
            counts: Counts::default(),
            fallback: Fallback::new(),
            kept: KeptFiles::new(&config.directory),
            known_damaged: Mutex::default(),
            now: Arc::clone(&config.now),
        };
        let inner = Arc::new(inner);
        inner.scan_if_due();
        Ok(Self { inner, flights: Flights::new() })
    }

    /// The content of an object, from here or, once, from `source`.
    ///
    /// # Errors
    /// What the source fails with; [`StoreError::Content`] if the object doesn't decompress to its recorded size.
    pub fn get(
        &self,
        request: &ObjectRequest,
        source: &dyn ObjectSource,
        deadline: Deadline,
    ) -> Result<CachedObject, StoreError> {
        let name = CacheName::content(&request.name.hash, request.compression);
        let found = match self.inner.find(&name)? {
            Some(object) => {
                count(&self.inner.counts.hits, 1);
                object
            }
            None => {
                let timed_out =
                    || StoreError::TimedOut { name: request.name.to_string(), place: source.place() };
                self.flights.run(&name, deadline, &timed_out, || {
                    // Another thread's flight may have landed since the first look.
                    match self.inner.find(&name)? {
                        Some(object) => Ok(object),
                        None => self.inner.fetch(&name, request, source, deadline),
                    }
                })?
            }
        };
        // Also what others asked for, or once asked for, has to have the size that this request says.
        request.check_size(found.len())?;
        Ok(found)
    }

    /// The content of an object if it is here, without asking anyone.
    ///
    /// # Errors
    /// [`StoreError::Io`] if the cache can't be read, [`StoreError::Content`] if the size is not the recorded one.
    pub fn peek(&self, request: &ObjectRequest) -> Result<Option<CachedObject>, StoreError> {
        let found = self.inner.find(&CacheName::content(&request.name.hash, request.compression))?;
        if let Some(object) = &found {
            request.check_size(object.len())?;
        }
        Ok(found)
    }

    /// Something computed from the object with this hash, kept as a file of its own: `build` is called if it isn't here.
    /// `kind` is a short lower-case word for what it is, with a number that changes when its form does.
    ///
    /// # Errors
    /// What `build` fails with, or a [`StoreError::Io`] turned into it if the kernel refuses memory.
    pub fn derived<E: From<StoreError>>(
        &self,
        hash: &ContentHash,
        kind: &'static str,
        build: &mut dyn FnMut() -> Result<Vec<u8>, E>,
    ) -> Result<MappedObject, E> {
        let name = CacheName::derived(hash, kind);
        if let Some(object) = self.inner.find(&name)? {
            match object.map() {
                Ok(map) => return Ok(map),
                Err(StoreError::DamagedCopy { .. }) => {}
                Err(error) => return Err(error.into()),
            }
        }
        let content = build()?;
        Ok(self.inner.keep(&name, content).map()?)
    }

    /// Keeps a file of the repository `scope` for starts without a network.
    ///
    /// # Errors
    /// [`StoreError::Io`]; a read-only or full disk is none, the file is then kept for the life of the process.
    pub fn keep_file(&self, scope: &str, file: RepositoryFile, bytes: &[u8]) -> Result<(), StoreError> {
        self.inner.kept.keep(scope, file, bytes)
    }

    /// What [`Self::keep_file`] kept last, in this process or another. Unverified.
    pub fn kept_file(&self, scope: &str, file: RepositoryFile) -> Option<Vec<u8>> {
        self.inner.kept.kept(scope, file)
    }

    /// Deletes the least recently used files until at most this much is left, and leftovers of writers that are gone.
    /// Says how much is left; `None` if another process is deleting, or the directory is read-only.
    pub fn shrink_to(&self, most: ByteSize) -> Option<ByteSize> {
        self.inner.evict(Goal::Bytes(most.get())).map(|evicted| ByteSize::bytes(evicted.remaining))
    }

    /// What the files of all processes take of the disk, nearly; `None` before that was first counted.
    pub fn usage(&self) -> Option<ByteSize> {
        self.inner.ledger.total().map(ByteSize::bytes)
    }

    /// What the usage is kept below, roughly: it is exceeded until an eviction in the background has ended.
    pub fn quota(&self) -> Option<ByteSize> {
        self.inner.quota.map(ByteSize::bytes)
    }

    /// Whether nothing can be written, so that new objects are kept in memory only.
    pub fn is_read_only(&self) -> bool {
        self.inner.directory.is_read_only()
    }

    /// What has been counted since this process opened the cache.
    pub fn counters(&self) -> CacheCounters {
        self.inner.counts.snapshot()
    }
}

impl Inner {
    /// Opens what is here under a name. A damaged file is dropped and counts as absent.
    fn find(self: &Arc<Self>, name: &CacheName) -> Result<Option<CachedObject>, StoreError> {
        let Some(file) = self.directory.open_file(name)? else { return Ok(self.fallback.get(name)) };
        if self.directory.is_read_only() && self.known_damaged.lock().contains(name) {
            return Ok(self.fallback.get(name));
        }
        let metadata = file.metadata();
        let sealed = metadata.as_ref().map_err(io::Error::kind).ok().and_then(|metadata| {
            self.note_use(&file, metadata);
            let length = metadata.len();
            if length <= ONE_BLOCK_FILE {
                read_one_block(name, &file, length).map(Ok)
            } else {
                read_seal(name, &file, length).map(Err)
            }
        });
        match sealed {
            Some(Ok(content)) => Ok(Some(CachedObject::in_memory(content))),
            Some(Err(seal)) => {
                let cache = Arc::clone(self);
                Ok(Some(CachedObject::in_file(SealedFile { file, seal, name: name.clone(), cache })))
            }
            None => {
                count(&self.counts.damaged, 1);
                self.drop_damaged(name);
                Ok(self.fallback.get(name))
            }
        }
    }

    fn fetch(
        self: &Arc<Self>,
        name: &CacheName,
        request: &ObjectRequest,
        source: &dyn ObjectSource,
        deadline: Deadline,
    ) -> Result<CachedObject, StoreError> {
        count(&self.counts.misses, 1);
        let bound = request.compression.stored_bound(request.size.limit());
        let fetch_into = |mut arrival: Arrival<'_>| {
            source.fetch(&request.name, bound, &mut arrival, deadline)?;
            arrival.finish()
        };
        let (directory, on_disk) = (&self.directory, !self.directory.is_read_only());
        let without_disk = || fetch_into(Arrival::without_disk(directory, name, request));
        let arrived = match on_disk {
            true => fetch_into(Arrival::new(directory, name, request)),
            false => without_disk(),
        };
        let object = match arrived {
            // Only an object that is too large to be collected in memory first meets the disk while it arrives.
            Err(StoreError::Io { source, .. }) if on_disk && is_unwritable(&source) => {
                let again = match is_full(&source) && self.make_room() {
                    true => fetch_into(Arrival::new(directory, name, request)),
                    false => without_disk(),
                };
                match again {
                    Err(StoreError::Io { source, .. }) if is_unwritable(&source) => without_disk(),
                    other => other,
                }
            }
            other => other,
        };
        let object = match object? {
            Arrived::Memory(content) => self.keep(name, content),
            Arrived::File(file, seal) => {
                self.note_written(seal.size());
                let cache = Arc::clone(self);
                CachedObject::in_file(SealedFile { file, seal, name: name.clone(), cache })
            }
        };
        count(&self.counts.bytes_fetched, object.len());
        Ok(object)
    }

    /// Writes content to its file or, where that is impossible, keeps it in memory.
    fn keep(self: &Arc<Self>, name: &CacheName, content: Vec<u8>) -> CachedObject {
        let seal = Seal::over(&content);
        let mut written = self.write(name, &content, &seal);
        if written.as_ref().is_err_and(is_full) && self.make_room() {
            written = self.write(name, &content, &seal);
        }
        match written {
            Ok(file) => {
                self.note_written(seal.size());
                if content.len() <= format::BLOCK {
                    return CachedObject::in_memory(content);
                }
                let cache = Arc::clone(self);
                CachedObject::in_both(content, SealedFile { file, seal, name: name.clone(), cache })
            }
            Err(error) => {
                tracing::debug!(%error, path = name.path(), "keeping an object in memory");
                count(&self.counts.unwritable, 1);
                let object = CachedObject::in_memory(content);
                self.fallback.keep(name, &object);
                object
            }
        }
    }

    fn write(&self, name: &CacheName, content: &[u8], seal: &Seal) -> io::Result<File> {
        let mut temporary = self.directory.begin(name)?;
        temporary.write(content, &seal.to_bytes(name))?;
        temporary.finish(name)
    }

    /// Counts a new file, and has room made in the background if that was too much.
    fn note_written(self: &Arc<Self>, size: u64) {
        let Some(quota) = self.quota else { return };
        if self.ledger.add(file_length(size)).is_some_and(|total| total > quota) {
            self.evict_in_background();
        }
    }

    /// Looks through the directory in the background if nobody has for long, or the quota asks for it.
    fn scan_if_due(self: &Arc<Self>) {
        let is_over = |quota| self.ledger.total().is_none_or(|total| total > quota);
        if !self.directory.is_read_only()
            && (self.quota.is_some_and(is_over) || eviction::is_sweep_due(&self.directory, (self.now)()))
        {
            self.evict_in_background();
        }
    }

    /// Evicts on a thread of its own, so that no reader waits for it.
    fn evict_in_background(self: &Arc<Self>) {
        if self.evicting.swap(true, Ordering::AcqRel) {
            return;
        }
        let cache = Arc::clone(self);
        let started = std::thread::Builder::new().name("varve-evict".to_owned()).spawn(move || {
            cache.evict(Goal::Quota(cache.quota.unwrap_or(u64::MAX)));
            cache.evicting.store(false, Ordering::Release);
        });
        if started.is_err() {
            self.evicting.store(false, Ordering::Release);
        }
    }

    /// Deletes something from a full disk. Says whether trying again makes sense.
    fn make_room(&self) -> bool {
        let mut hopeless = self.hopelessly_full.lock();
        if hopeless.is_some_and(|since| since.elapsed() < FULL_PAUSE) {
            return false;
        }
        match self.evict(Goal::Fewer) {
            Some(Evicted { bytes: 0, .. }) => {
                *hopeless = Some(Instant::now());
                false
            }
            // Also if another process is just making room.
            Some(_) | None => {
                *hopeless = None;
                true
            }
        }
    }

    fn evict(&self, goal: Goal) -> Option<Evicted> {
        if self.directory.is_read_only() {
            return None;
        }
        let evicted = eviction::evict(&self.directory, &self.ledger, goal, (self.now)())?;
        count(&self.counts.evictions, evicted.files);
        Some(evicted)
    }

    /// Records that a file was used, at most once a minute.
    fn note_use(&self, file: &File, metadata: &std::fs::Metadata) {
        let stale = metadata
            .modified()
            .ok()
            .and_then(|used| (self.now)().duration_since(used).ok())
            .is_some_and(|age| age > USE_RESOLUTION);
        if stale && !self.directory.is_read_only() {
            directory::mark_used(file);
        }
    }

    /// Takes a damaged file out of service.
    fn drop_damaged(&self, name: &CacheName) {
        tracing::warn!(path = %self.directory.path_of(name).display(), "dropped a damaged file of the cache");
        if !self.directory.unlink(name) {
            self.known_damaged.lock().push(name.clone());
        }
    }
}

/// Reads a file of at most one block of content, checked; `None` if it is damaged.
fn read_one_block(name: &CacheName, file: &File, length: u64) -> Option<Vec<u8>> {
    let size = content_size(length)?;
    let mut bytes = Vec::with_capacity(length as usize);
    let read = rustix::io::pread(file, rustix::buffer::spare_capacity(&mut bytes), 0).ok()?;
    if read as u64 != length {
        return None;
    }
    let (content, seal) = bytes.split_at_checked(size as usize)?;
    let seal = Seal::parse(name, size, seal)?;
    if !seal.matches(0, content) {
        return None;
    }
    bytes.truncate(size as usize);
    Some(bytes)
}

/// Reads the seal of a larger file; `None` if it is damaged.
fn read_seal(name: &CacheName, file: &File, length: u64) -> Option<Seal> {
    let size = content_size(length)?;
    let mut bytes = vec![0; length.checked_sub(size)? as usize];
    file.read_exact_at(&mut bytes, size).ok()?;
    Seal::parse(name, size, &bytes)
}
