//! One revision of a repository as a tree: lookup, list and read across its catalogs, loaded on demand.
//!
//! A snapshot keeps no state of its own; a [`Location`] names a row of a catalog and keeps that catalog alive. Where two
//! catalogs meet, the directory has a row in both: [`Snapshot::enter`] goes from the parent's to the nested catalog's.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use varve_content::{Compression, ContentHash, ObjectKind, ObjectName};
use varve_store::{Deadline, ObjectRequest, PlainSize, StoreError};

use crate::{
    Catalog, CatalogLoader, CatalogReference, ContentView, EntryKind, EntryView, RepositoryError,
    RepositoryPath,
};

/// So many symbolic links are followed, as by the kernel.
const MOST_LINKS: usize = 40;

/// A revision, or a part of one, given by its root catalog.
#[derive(Clone)]
pub struct Snapshot {
    loader: Arc<CatalogLoader>,
    root: CatalogReference,
}

/// A row of a catalog.
#[derive(Clone)]
pub struct Location {
    catalog: Arc<Catalog>,
    row: u32,
}

/// The entries of a directory that listings show, sorted by name.
#[derive(Clone)]
pub struct Listing {
    catalog: Arc<Catalog>,
    rows: Range<u32>,
}

impl Snapshot {
    /// The tree whose root catalog is `root`.
    pub fn new(loader: Arc<CatalogLoader>, root: CatalogReference) -> Self {
        Self { loader, root }
    }

    /// What loads the catalogs.
    pub fn loader(&self) -> &Arc<CatalogLoader> {
        &self.loader
    }

    /// The root catalog.
    pub fn root_reference(&self) -> &CatalogReference {
        &self.root
    }

    /// The root directory.
    ///
    /// # Errors
    /// [`RepositoryError`] if its catalog can't be loaded.
    pub fn root(&self, deadline: Deadline) -> Result<Location, RepositoryError> {
        Ok(Location { catalog: self.loader.load(&self.root, deadline)?, row: 0 })
    }

    /// The row that has a directory's children: of a mount point the nested catalog's root, else the same one.
    ///
    /// # Errors
    /// [`RepositoryError`] if the nested catalog can't be loaded.
    pub fn enter(&self, location: &Location, deadline: Deadline) -> Result<Location, RepositoryError> {
        match location.mounted() {
            Some(reference) => Ok(Location { catalog: self.loader.load(&reference, deadline)?, row: 0 }),
            None => Ok(location.clone()),
        }
    }

    /// The entry of that name in a directory, hidden ones too; `None` if there is none.
    ///
    /// # Errors
    /// [`RepositoryError::NotADirectory`], or that a nested catalog can't be loaded.
    pub fn child(
        &self,
        directory: &Location,
        name: &[u8],
        deadline: Deadline,
    ) -> Result<Option<Location>, RepositoryError> {
        let directory = self.enter_directory(directory, deadline)?;
        let found = directory.catalog.index().find(directory.row, name);
        Ok(found.map(|row| Location { catalog: directory.catalog, row }))
    }

    /// The entry at a path; `None` if there is none. Symbolic links are not followed.
    ///
    /// # Errors
    /// [`RepositoryError`] if a catalog on the way can't be loaded.
    pub fn resolve(
        &self,
        path: &RepositoryPath,
        deadline: Deadline,
    ) -> Result<Option<Location>, RepositoryError> {
        let mut location = self.root(deadline)?;
        for name in path.components() {
            if !location.entry().is_directory() {
                return Ok(None);
            }
            match self.child(&location, name.as_bytes(), deadline)? {
                Some(child) => location = child,
                None => return Ok(None),
            }
        }
        Ok(Some(location))
    }

    /// The entry at a path, symbolic links followed as long as they are relative; `None` if there is none, or if links lead
    /// elsewhere or to themselves.
    ///
    /// # Errors
    /// [`RepositoryError`] if a catalog on the way can't be loaded.
    pub fn follow(
        &self,
        path: &RepositoryPath,
        deadline: Deadline,
    ) -> Result<Option<Location>, RepositoryError> {
        let reversed =
            |bytes: &[u8]| bytes.split(|&byte| byte == b'/').rev().map(<[u8]>::to_vec).collect::<Vec<_>>();
        let mut names = reversed(path.as_bytes());
        let mut way = vec![self.root(deadline)?];
        let mut links = 0;
        while let Some(name) = names.pop() {
            let Some(here) = way.last() else { break };
            match &name[..] {
                b"" | b"." => continue,
                b".." if way.len() == 1 => continue,
                b".." => {
                    way.pop();
                    continue;
                }
                _ if !here.entry().is_directory() => return Ok(None),
                _ => {}
            }
            let Some(child) = self.child(here, &name, deadline)? else { return Ok(None) };
            if child.entry().kind() == EntryKind::Symlink {
                links += 1;
                let target = child.entry().link_target();
                if links > MOST_LINKS || target.starts_with(b"/") {
                    return Ok(None);
                }
                names.extend(reversed(target));
                continue;
            }
            way.push(child);
        }
        Ok(way.pop())
    }

    /// The entries of a directory.
    ///
    /// # Errors
    /// [`RepositoryError::NotADirectory`], or that a nested catalog can't be loaded.
    pub fn list(&self, directory: &Location, deadline: Deadline) -> Result<Listing, RepositoryError> {
        let directory = self.enter_directory(directory, deadline)?;
        let rows = directory.catalog.index().children(directory.row);
        Ok(Listing { catalog: directory.catalog, rows })
    }

    /// Fills `buffer` from `offset` of a file on, and says how far: less than its length at the end of the file only.
    ///
    /// # Errors
    /// [`RepositoryError::NotAFile`], [`RepositoryError::External`], or that an object can't be had.
    pub fn read(
        &self,
        file: &Location,
        offset: u64,
        buffer: &mut [u8],
        deadline: Deadline,
    ) -> Result<usize, RepositoryError> {
        let entry = file.entry();
        let content =
            entry.content().ok_or_else(|| RepositoryError::NotAFile { path: file.path().to_string() })?;
        if entry.is_external() {
            return Err(RepositoryError::External { path: file.path().to_string() });
        }
        match content {
            ContentView::Whole(hash) => {
                let object = request(hash, ObjectKind::File, entry.compression(), entry.size());
                Ok(self.read_object(&object, offset, buffer, deadline)?)
            }
            ContentView::Chunks(chunks) => {
                let mut filled = 0;
                while filled < buffer.len() {
                    let position = offset.saturating_add(filled as u64);
                    let Some(chunk) = chunks.at(position) else { break };
                    let object = request(chunk.hash, ObjectKind::Chunk, entry.compression(), chunk.size);
                    let rest = &mut buffer[filled..];
                    filled += self.read_object(&object, position - chunk.offset, rest, deadline)?;
                }
                Ok(filled)
            }
        }
    }

    /// Reads from an object; a copy that turns out to be damaged is fetched again, once.
    fn read_object(
        &self,
        object: &ObjectRequest,
        offset: u64,
        buffer: &mut [u8],
        deadline: Deadline,
    ) -> Result<usize, StoreError> {
        let cached = || self.loader.cache().get(object, &**self.loader.source(), deadline);
        match cached()?.read_at(offset, buffer) {
            Err(StoreError::DamagedCopy { .. }) => cached()?.read_at(offset, buffer),
            result => result,
        }
    }

    fn enter_directory(&self, location: &Location, deadline: Deadline) -> Result<Location, RepositoryError> {
        if location.entry().is_directory() {
            self.enter(location, deadline)
        } else {
            Err(RepositoryError::NotADirectory { path: location.path().to_string() })
        }
    }
}

impl Location {
    /// A row of a catalog, `None` if the catalog has fewer rows.
    pub fn new(catalog: Arc<Catalog>, row: u32) -> Option<Self> {
        (row < catalog.index().len()).then_some(Self { catalog, row })
    }

    /// The catalog.
    pub fn catalog(&self) -> &Arc<Catalog> {
        &self.catalog
    }

    /// The row's number.
    pub fn row(&self) -> u32 {
        self.row
    }

    /// What the catalog says of it.
    pub fn entry(&self) -> EntryView<'_> {
        self.catalog.index().entry(self.row).expect("because the row was checked when the location was made")
    }

    /// Its path in the repository.
    pub fn path(&self) -> RepositoryPath {
        self.catalog.index().path(self.row)
    }

    /// The catalog that holds the content of this directory, if it is another one.
    pub fn mounted(&self) -> Option<CatalogReference> {
        let index = self.catalog.index();
        index.nested_at(self.row).or_else(|| index.bind_mount_at(self.row))
    }

    /// The directory in the same catalog; `None` for its root, whose directory is known to the parent catalog only.
    #[must_use]
    pub fn parent(&self) -> Option<Self> {
        let row = self.catalog.index().parent(self.row)?;
        Some(Self { catalog: Arc::clone(&self.catalog), row })
    }
}

impl fmt::Debug for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Location").field("path", &self.path()).field("row", &self.row).finish_non_exhaustive()
    }
}

impl Listing {
    /// How many entries there are.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether the directory is empty.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// The rows of the entries in [`Self::catalog`].
    pub fn rows(&self) -> Range<u32> {
        self.rows.clone()
    }

    /// The catalog that lists them.
    pub fn catalog(&self) -> &Arc<Catalog> {
        &self.catalog
    }

    /// The entries.
    pub fn entries(&self) -> impl Iterator<Item = EntryView<'_>> {
        self.rows.clone().filter_map(|row| self.catalog.index().entry(row))
    }

    /// Where the entries are.
    pub fn locations(&self) -> impl Iterator<Item = Location> + '_ {
        self.rows.clone().map(|row| Location { catalog: Arc::clone(&self.catalog), row })
    }

    /// Whether an entry is a directory, by its row.
    pub fn is_directory(&self, row: u32) -> bool {
        self.catalog.index().entry(row).is_some_and(|entry| entry.kind() == EntryKind::Directory)
    }
}

fn request(hash: ContentHash, kind: ObjectKind, compression: Compression, size: u64) -> ObjectRequest {
    ObjectRequest { name: ObjectName::new(hash, kind), compression, size: PlainSize::Exact(size) }
}
