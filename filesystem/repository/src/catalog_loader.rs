//! Turns references to catalogs into opened ones: fetched, verified, indexed once per cache, and kept while in use.
//!
//! Finding a catalog that is kept takes no lock. Of several threads that need the same missing catalog one loads it, the
//! others wait for it at its gate, each until its own deadline. Catalogs of different hashes never wait for each other.

mod gates;
mod kept;

use std::sync::{Arc, OnceLock};

use varve_content::{Compression, CompressionError, ContentHash, ObjectKind, ObjectName, decompress};
use varve_store::{Cache, Deadline, ObjectSource, StoreError};

use self::gates::Gates;
use self::kept::Kept;
use crate::index::CACHE_KIND;
use crate::{Bundles, CatalogError, CatalogIndex, CatalogReader, CatalogReference, RepositoryError};

/// How many catalogs are kept open.
const MOST_KEPT: usize = 4096;

/// The most stored bytes of a catalog whose size is not recorded.
const STORED_LIMIT: u64 = 1 << 30;

/// The most bytes of a catalog.
const PLAIN_LIMIT: u64 = 4 << 30;

/// A verified catalog, ready for lookups.
pub struct Catalog {
    reference: CatalogReference,
    index: CatalogIndex,
    bundles: OnceLock<Bundles>,
}

impl Catalog {
    /// What it was loaded by: its path and its hash.
    pub fn reference(&self) -> &CatalogReference {
        &self.reference
    }

    /// Its content.
    pub fn index(&self) -> &CatalogIndex {
        &self.index
    }

    /// Which of its files are fetched together; found out when it is first asked for.
    pub fn bundles(&self) -> &Bundles {
        self.bundles.get_or_init(|| Bundles::of(&self.index))
    }
}

/// Loads the catalogs of one repository, of any revision, and keeps the most recently used.
pub struct CatalogLoader {
    source: Arc<dyn ObjectSource>,
    cache: Arc<Cache>,
    kept: Kept,
    gates: Gates,
}

impl CatalogLoader {
    /// A loader from `source` that keeps indexes in `cache`.
    pub fn new(source: Arc<dyn ObjectSource>, cache: Arc<Cache>) -> Self {
        Self { source, cache, kept: Kept::new(MOST_KEPT), gates: Gates::default() }
    }

    /// Where objects come from.
    pub fn source(&self) -> &Arc<dyn ObjectSource> {
        &self.source
    }

    /// Where objects are kept.
    pub fn cache(&self) -> &Arc<Cache> {
        &self.cache
    }

    /// The catalog that is referred to.
    ///
    /// # Errors
    /// [`RepositoryError::Store`] if it can't be had, [`RepositoryError::Catalog`] if it is malformed or the catalog of
    /// another directory.
    pub fn load(
        &self,
        reference: &CatalogReference,
        deadline: Deadline,
    ) -> Result<Arc<Catalog>, RepositoryError> {
        if let Some(catalog) = self.kept.get(&reference.hash) {
            return checked(catalog, reference);
        }
        let late = || StoreError::TimedOut {
            name: object_name(&reference.hash).to_string(),
            place: self.source.place(),
        };
        let catalog = self.gates.pass(
            reference,
            deadline,
            || RepositoryError::Store(late()),
            || self.kept.get(&reference.hash),
            || self.open(reference, deadline).inspect(|catalog| self.kept.insert(catalog)),
        )?;
        checked(catalog, reference)
    }

    /// Whether a catalog is kept open, without loading it.
    pub fn loaded(&self, hash: &ContentHash) -> Option<Arc<Catalog>> {
        self.kept.get(hash)
    }

    /// Keeps a catalog open no longer; it ends with its last user, and is loaded anew when it is needed again.
    pub fn release(&self, hash: &ContentHash) {
        self.kept.remove(hash);
    }

    /// How many catalogs are kept open.
    pub fn kept(&self) -> usize {
        self.kept.len()
    }

    /// Tells the cache which indexes are still in use, so that eviction takes other files first. Call it every few minutes.
    pub fn mark_used(&self) {
        self.kept.for_each(|catalog| catalog.index.mark_used());
    }

    fn open(
        &self,
        reference: &CatalogReference,
        deadline: Deadline,
    ) -> Result<Arc<Catalog>, RepositoryError> {
        let mut build = || self.build(reference, deadline);
        let mapped = self.cache.derived(&reference.hash, CACHE_KIND, &mut build)?;
        let index = match CatalogIndex::open(mapped) {
            Ok(index) => index,
            // Sealed and yet no index: made by a program with other ideas of this version. Do without the cache.
            Err(_) => CatalogIndex::open(self.build(reference, deadline)?)
                .map_err(|source| unusable(reference, source))?,
        };
        Ok(Arc::new(Catalog { reference: reference.clone(), index, bundles: OnceLock::new() }))
    }

    /// Fetches a catalog and builds its index.
    fn build(&self, reference: &CatalogReference, deadline: Deadline) -> Result<Vec<u8>, RepositoryError> {
        let plain = fetch_catalog(&*self.source, reference, deadline)?;
        CatalogReader::from_bytes(plain)
            .and_then(|reader| CatalogIndex::build(&reader, &reference.path))
            .map_err(|source| unusable(reference, source))
    }
}

/// The verified, decompressed bytes of a catalog, of the recorded size: what [`CatalogReader`] reads.
///
/// # Errors
/// [`RepositoryError::Store`].
pub fn fetch_catalog(
    source: &dyn ObjectSource,
    reference: &CatalogReference,
    deadline: Deadline,
) -> Result<Vec<u8>, RepositoryError> {
    unpack_catalog(&fetch_stored_catalog(source, reference, deadline)?, reference)
}

/// The verified bytes of a catalog as it is stored, as many as one of the recorded size may have.
///
/// # Errors
/// [`StoreError`].
pub fn fetch_stored_catalog(
    source: &dyn ObjectSource,
    reference: &CatalogReference,
    deadline: Deadline,
) -> Result<Vec<u8>, StoreError> {
    let limit = match reference.size {
        Some(size) => Compression::Zlib.stored_bound(size.min(PLAIN_LIMIT)),
        None => STORED_LIMIT,
    };
    source.fetch_to_memory(&object_name(&reference.hash), limit, deadline)
}

/// Decompresses a stored catalog to what [`CatalogReader`] reads, of the recorded size.
///
/// # Errors
/// [`RepositoryError::Store`] with [`StoreError::Content`].
pub fn unpack_catalog(stored: &[u8], reference: &CatalogReference) -> Result<Vec<u8>, RepositoryError> {
    let name = object_name(&reference.hash);
    let damaged = |source| RepositoryError::Store(StoreError::Content { name: name.to_string(), source });
    let limit = reference.size.unwrap_or(PLAIN_LIMIT).min(PLAIN_LIMIT);
    let compression = sniff(stored).ok_or_else(|| damaged(CompressionError::Damaged))?;
    let plain = decompress(stored, compression, limit as usize).map_err(damaged)?;
    match reference.size {
        Some(size) if plain.len() as u64 != size => Err(damaged(CompressionError::Damaged)),
        _ => Ok(plain),
    }
}

/// How a catalog is stored: its name doesn't say, its first bytes do.
fn sniff(stored: &[u8]) -> Option<Compression> {
    match stored {
        [0x78, ..] => Some(Compression::Zlib),
        [0x28, 0xb5, 0x2f, 0xfd, ..] => Some(Compression::Zstd),
        [b'S', b'Q', b'L', b'i', b't', b'e', b' ', ..] => Some(Compression::None),
        _ => None,
    }
}

fn object_name(hash: &ContentHash) -> ObjectName {
    ObjectName::new(*hash, ObjectKind::Catalog)
}

fn unusable(reference: &CatalogReference, source: CatalogError) -> RepositoryError {
    RepositoryError::Catalog { path: reference.path.to_string(), hash: reference.hash, source }
}

/// The catalog, if it is that of the directory in the reference: an index from the cache and a kept catalog may have been
/// made for another reference to the same hash.
fn checked(catalog: Arc<Catalog>, reference: &CatalogReference) -> Result<Arc<Catalog>, RepositoryError> {
    let actual = catalog.index.root_prefix();
    if *actual == reference.path {
        return Ok(catalog);
    }
    let wrong = CatalogError::WrongRoot { expected: reference.path.to_string(), actual: actual.to_string() };
    Err(unusable(reference, wrong))
}
