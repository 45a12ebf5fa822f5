//! The revision that a publish starts from, catalog by catalog, as far as it is needed.
//!
//! Publishing reads whole catalogs, since a touched one is written again as a whole: it takes them from the store and
//! not through the index that mounts use. What is loaded is kept for the rest of the publish within a bound.

use std::cell::RefCell;
use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use varve_content::{Compression, CompressionError, ObjectKind, ObjectName, PathKey, decompress};
use varve_repository::{
    CatalogError, CatalogProperties, CatalogReader, CatalogReference, Counters, Entry, FileContent, FileData,
    NestedRole, RepositoryPath,
};
use varve_store::{Deadline, ObjectSource, StoreError};

/// The most bytes that a catalog may have, decompressed.
const CATALOG_LIMIT: u64 = 2 << 30;

/// Entries of loaded catalogs that are kept before the oldest catalogs are forgotten.
const ENTRIES_KEPT: usize = 1_000_000;

/// How long one object may take to arrive.
const PATIENCE: Duration = Duration::from_secs(300);

/// Why a catalog or file of the base revision can't be read.
#[derive(Debug, thiserror::Error)]
pub enum BaseError {
    /// The object can't be had.
    #[error("cannot load the catalog of '{path}'")]
    Store {
        /// The catalog's directory.
        path: RepositoryPath,
        /// Why.
        #[source]
        source: StoreError,
    },
    /// The object does not decompress.
    #[error("the catalog of '{path}' is damaged")]
    Compression {
        /// The catalog's directory.
        path: RepositoryPath,
        /// Why.
        #[source]
        source: CompressionError,
    },
    /// The catalog can't be used.
    #[error("cannot use the catalog of '{path}'")]
    Catalog {
        /// The catalog's directory.
        path: RepositoryPath,
        /// Why.
        #[source]
        source: CatalogError,
    },
    /// A nested catalog is mounted where the parent has no reference to it, or lists another directory.
    #[error("the catalog of '{path}' does not fit to its parent")]
    Reference {
        /// The catalog's directory.
        path: RepositoryPath,
    },
}

/// The base revision; empty before the first publish.
pub(crate) struct Base<'a> {
    source: &'a dyn ObjectSource,
    root: Option<CatalogReference>,
    loaded: RefCell<Loaded>,
}

#[derive(Default)]
struct Loaded {
    catalogs: Vec<Arc<BaseCatalog>>,
    entries: usize,
}

/// One catalog with everything in it.
pub(crate) struct BaseCatalog {
    pub(crate) reference: CatalogReference,
    pub(crate) properties: CatalogProperties,
    pub(crate) counters: Counters,
    pub(crate) nested: HashMap<RepositoryPath, CatalogReference>,
    pub(crate) bind_mount_points: HashMap<RepositoryPath, CatalogReference>,
    /// Sorted by parent and name, so that the content of a directory stands together, in order.
    rows: Vec<(PathKey, Entry)>,
    /// Where the content of a directory stands.
    children: HashMap<PathKey, Range<usize>>,
    root: Entry,
}

/// A directory of the base revision, in the catalog that lists its content.
#[derive(Clone)]
pub(crate) struct BaseDirectory {
    pub(crate) catalog: Arc<BaseCatalog>,
    pub(crate) path: RepositoryPath,
}

impl<'a> Base<'a> {
    pub(crate) fn new(source: &'a dyn ObjectSource, root: Option<CatalogReference>) -> Self {
        Self { source, root, loaded: RefCell::default() }
    }

    /// The root directory and its entry.
    pub(crate) fn root(&self) -> Result<Option<BaseDirectory>, BaseError> {
        self.root
            .as_ref()
            .map(|reference| Ok(BaseDirectory { catalog: self.load(reference)?, path: RepositoryPath::ROOT }))
            .transpose()
    }

    /// Goes into the directory `entry` of `directory`, into the nested catalog if one is mounted there.
    pub(crate) fn enter(&self, directory: &BaseDirectory, entry: &Entry) -> Result<BaseDirectory, BaseError> {
        let name = entry.name.as_ref().expect("because every entry in a directory has a name");
        let path = directory.path.join(name);
        let catalog = match directory.nested(entry)? {
            Some(reference) => self.load(&reference)?,
            None => directory.catalog.clone(),
        };
        Ok(BaseDirectory { catalog, path })
    }

    /// The directory at `path`, if there is one.
    pub(crate) fn find(&self, path: &RepositoryPath) -> Result<Option<BaseDirectory>, BaseError> {
        let Some(mut directory) = self.root()? else { return Ok(None) };
        for name in path.components() {
            let Some(entry) = directory.child(name.as_bytes()) else { return Ok(None) };
            if !matches!(entry.node, varve_repository::Node::Directory { .. }) {
                return Ok(None);
            }
            directory = self.enter(&directory, &entry.clone())?;
        }
        Ok(Some(directory))
    }

    /// What a catalog counts.
    pub(crate) fn counters(&self, reference: &CatalogReference) -> Result<Counters, BaseError> {
        Ok(self.load(reference)?.counters)
    }

    /// The bytes of a file, at most `limit`; `None` if it is larger or lies outside the repository.
    pub(crate) fn read(&self, content: &FileContent, limit: u64) -> Result<Option<Vec<u8>>, BaseError> {
        if content.size > limit || content.external {
            return Ok(None);
        }
        let parts: Vec<_> = match &content.data {
            FileData::Whole(hash) => vec![(*hash, ObjectKind::File, content.size)],
            FileData::Chunked { chunks, .. } => {
                chunks.iter().map(|chunk| (chunk.hash, ObjectKind::Chunk, chunk.size)).collect()
            }
        };
        let mut bytes = Vec::new();
        for (hash, kind, size) in parts {
            let name = ObjectName::new(hash, kind);
            bytes.extend(self.object(&name, content.compression, size, &RepositoryPath::ROOT)?);
        }
        Ok(Some(bytes))
    }

    fn load(&self, reference: &CatalogReference) -> Result<Arc<BaseCatalog>, BaseError> {
        let known = self.loaded.borrow().catalogs.iter().find(|known| known.reference == *reference).cloned();
        if let Some(known) = known {
            return Ok(known);
        }
        let name = ObjectName::new(reference.hash, ObjectKind::Catalog);
        let size = reference.size.unwrap_or(CATALOG_LIMIT).min(CATALOG_LIMIT);
        let database = self.object(&name, Compression::Zlib, size, &reference.path)?;
        let catalog = BaseCatalog::read(reference, database)
            .map_err(|source| BaseError::Catalog { path: reference.path.clone(), source })?;
        if catalog.properties.root_prefix != reference.path {
            return Err(BaseError::Reference { path: reference.path.clone() });
        }
        let catalog = Arc::new(catalog);
        let mut loaded = self.loaded.borrow_mut();
        loaded.entries += catalog.rows.len();
        loaded.catalogs.push(catalog.clone());
        while loaded.entries > ENTRIES_KEPT && loaded.catalogs.len() > 1 {
            let oldest = loaded.catalogs.remove(0);
            loaded.entries -= oldest.rows.len();
        }
        Ok(catalog)
    }

    fn object(
        &self,
        name: &ObjectName,
        compression: Compression,
        size: u64,
        path: &RepositoryPath,
    ) -> Result<Vec<u8>, BaseError> {
        let stored = self
            .source
            .fetch_to_memory(name, compression.stored_bound(size), Deadline::after(PATIENCE))
            .map_err(|source| BaseError::Store { path: path.clone(), source })?;
        let limit = usize::try_from(size).unwrap_or(usize::MAX);
        decompress(&stored, compression, limit)
            .map_err(|source| BaseError::Compression { path: path.clone(), source })
    }
}

impl BaseCatalog {
    fn read(reference: &CatalogReference, database: Vec<u8>) -> Result<Self, CatalogError> {
        let reader = CatalogReader::from_bytes(database)?;
        let mut root = None;
        let mut rows = Vec::new();
        let root_key = reference.path.key();
        reader.for_each_entry::<CatalogError>(|key, parent, entry| {
            if key == root_key {
                root = Some(entry);
            } else {
                rows.push((parent, entry));
            }
            Ok(())
        })?;
        rows.sort_unstable_by(|(left_parent, left), (right_parent, right)| {
            (left_parent, &left.name).cmp(&(right_parent, &right.name))
        });
        let mut children = HashMap::new();
        let mut start = 0;
        for group in rows.chunk_by(|left, right| left.0 == right.0) {
            children.insert(group[0].0, start..start + group.len());
            start += group.len();
        }
        let by_path = |references: Vec<CatalogReference>| {
            references.into_iter().map(|reference| (reference.path.clone(), reference)).collect()
        };
        Ok(Self {
            reference: reference.clone(),
            properties: reader.properties().clone(),
            counters: reader.counters()?,
            nested: by_path(reader.nested()?),
            bind_mount_points: by_path(reader.bind_mount_points()?),
            rows,
            children,
            root: root.ok_or(CatalogError::Schema { table: "catalog", column: "the root's row" })?,
        })
    }
}

impl BaseDirectory {
    /// The directory's own entry, as the catalog that lists its content has it.
    pub(crate) fn entry(&self) -> Option<&Entry> {
        if self.path == self.catalog.reference.path {
            return Some(&self.catalog.root);
        }
        let (parent, name) = self.path.split_last()?;
        self.catalog
            .content(&parent.key())
            .binary_search_by(|(_, entry)| entry.name.as_ref().cmp(&Some(&name)))
            .ok()
            .map(|at| &self.catalog.content(&parent.key())[at].1)
    }

    /// What is in the directory, sorted by name, hidden entries too.
    pub(crate) fn children(&self) -> impl Iterator<Item = &Entry> {
        self.catalog.content(&self.path.key()).iter().map(|(_, entry)| entry)
    }

    /// The entry called `name`.
    pub(crate) fn child(&self, name: &[u8]) -> Option<&Entry> {
        let content = self.catalog.content(&self.path.key());
        let at = content
            .binary_search_by(|(_, entry)| entry.name.as_ref().map(|name| name.as_bytes()).cmp(&Some(name)))
            .ok()?;
        Some(&content[at].1)
    }

    /// The nested catalog that is mounted at the directory `entry` in this one.
    pub(crate) fn nested(&self, entry: &Entry) -> Result<Option<CatalogReference>, BaseError> {
        let name = entry.name.as_ref().expect("because every entry in a directory has a name");
        let path = self.path.join(name);
        if entry.nested != NestedRole::MountPoint {
            return Ok(None);
        }
        match self.catalog.nested.get(&path) {
            Some(reference) => Ok(Some(reference.clone())),
            None => Err(BaseError::Reference { path }),
        }
    }
}

impl BaseCatalog {
    /// Every entry, the root first.
    #[cfg(test)]
    pub(crate) fn everything(&self) -> Vec<&Entry> {
        std::iter::once(&self.root).chain(self.rows.iter().map(|(_, entry)| entry)).collect()
    }

    fn content(&self, directory: &PathKey) -> &[(PathKey, Entry)] {
        self.children.get(directory).map_or(&[], |range| &self.rows[range.clone()])
    }
}
