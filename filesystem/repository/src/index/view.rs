//! An index that can be asked: rows by number, by name and by path.

use std::ops::Range;
use std::time::Duration;

use varve_store::MappedObject;
use zerocopy::FromBytes as _;

use super::entry_view::EntryView;
use super::layout::{ChunkRecord, EntryRecord, Header, MAGIC, ReferenceRecord, TextRange};
use super::rows::Rows;
use crate::catalog::{
    CatalogError, CatalogProperties, CatalogReference, Counters, SchemaVersion, TreeCounters,
};
use crate::{EntryKind, EntryName, RepositoryPath};

/// Where the bytes of an index are.
pub enum IndexBytes {
    /// In memory.
    Memory(Vec<u8>),
    /// In a file of the cache.
    Mapped(MappedObject),
}

impl IndexBytes {
    fn as_slice(&self) -> &[u8] {
        match self {
            Self::Memory(bytes) => bytes,
            Self::Mapped(mapped) => mapped,
        }
    }
}

impl From<MappedObject> for IndexBytes {
    fn from(mapped: MappedObject) -> Self {
        Self::Mapped(mapped)
    }
}

impl From<Vec<u8>> for IndexBytes {
    fn from(bytes: Vec<u8>) -> Self {
        Self::Memory(bytes)
    }
}

/// The index of one catalog.
pub struct CatalogIndex {
    bytes: IndexBytes,
    sections: Sections,
    properties: CatalogProperties,
    counters: Counters,
    schema_version: SchemaVersion,
}

/// Where the sections lie; all in the file.
#[derive(Clone, Debug)]
struct Sections {
    entries: Range<usize>,
    chunks: Range<usize>,
    references: Range<usize>,
    names: Range<usize>,
    texts: Range<usize>,
}

impl CatalogIndex {
    /// Opens an index.
    ///
    /// # Errors
    /// [`CatalogError::Index`] if the bytes are of another version, cut short or damaged in their first part.
    pub fn open(bytes: impl Into<IndexBytes>) -> Result<Self, CatalogError> {
        let bytes = bytes.into();
        let damaged = |problem| CatalogError::Index { problem };
        let all: &[u8] = bytes.as_slice();
        let (header, _) = Header::read_from_prefix(all).map_err(|_| damaged("it is too short"))?;
        if header.magic != MAGIC {
            return Err(damaged("it has another magic number"));
        }
        let sections = Sections::new(&header, all.len()).ok_or_else(|| damaged("its sections do not fit"))?;
        if sections.entries.is_empty() {
            return Err(damaged("it has no rows"));
        }
        let text = |range: TextRange| {
            let start = range.offset.get() as usize;
            let texts = &all[sections.texts.clone()];
            texts
                .get(start..start + range.length.get() as usize)
                .ok_or_else(|| damaged("a text lies outside"))
        };
        let authorization = std::str::from_utf8(text(header.authorization)?)
            .map_err(|_| damaged("its authorization is no text"))?;
        let properties = CatalogProperties {
            root_prefix: RepositoryPath::new(text(header.root_prefix)?)
                .map_err(|_| damaged("its root is no path"))?,
            revision: header.revision.get(),
            last_modified: header.last_modified.get(),
            previous: header.previous.get(),
            time_to_live: (header.has_time_to_live != 0)
                .then(|| Duration::from_secs(header.time_to_live.get())),
            volatile: header.volatile != 0,
            authorization: (header.has_authorization != 0).then(|| authorization.to_owned()),
        };
        let counters = Counters {
            self_: TreeCounters::from_values(header.own_counters.map(u64::from)),
            subtree: TreeCounters::from_values(header.subtree_counters.map(u64::from)),
        };
        let schema_version = SchemaVersion {
            hundredths: header.schema_hundredths.get(),
            revision: header.schema_revision.get(),
        };
        Ok(Self { sections, properties, counters, schema_version, bytes })
    }

    /// What the catalog says of itself.
    pub fn properties(&self) -> &CatalogProperties {
        &self.properties
    }

    /// The catalog's statistics as recorded.
    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    /// The version of the catalog's schema.
    pub fn schema_version(&self) -> SchemaVersion {
        self.schema_version
    }

    /// The directory whose content the catalog lists.
    pub fn root_prefix(&self) -> &RepositoryPath {
        &self.properties.root_prefix
    }

    /// How many rows there are, at least 1.
    #[expect(clippy::len_without_is_empty, reason = "there always is the root")]
    pub fn len(&self) -> u32 {
        (self.sections.entries.len() / size_of::<EntryRecord>()) as u32
    }

    /// How many bytes the index has.
    pub fn size(&self) -> u64 {
        self.all().len() as u64
    }

    /// Whether the index is mapped from a file of the cache, so that it can be had again without the network.
    pub fn lies_in_cache(&self) -> bool {
        matches!(&self.bytes, IndexBytes::Mapped(mapped) if !mapped.is_memory_only())
    }

    /// Tells the cache, if the index lies in one, that it is still in use.
    pub fn mark_used(&self) {
        if let IndexBytes::Mapped(mapped) = &self.bytes {
            mapped.mark_used();
        }
    }

    /// A row, `None` from [`Self::len`] on.
    pub fn entry(&self, row: u32) -> Option<EntryView<'_>> {
        self.rows().record(row).map(|record| EntryView::new(self, row, record))
    }

    /// The children of a directory, sorted by name, without hidden ones; none for anything else.
    pub fn children(&self, row: u32) -> Range<u32> {
        self.rows().children(row).map_or(0..0, |(children, _)| children)
    }

    /// The children of a directory that a listing does not show, sorted by name.
    pub fn hidden_children(&self, row: u32) -> Range<u32> {
        self.rows().children(row).map_or(0..0, |(_, hidden)| hidden)
    }

    /// The child of that name, hidden or not.
    pub fn find(&self, row: u32, name: &[u8]) -> Option<u32> {
        self.rows().find(row, name)
    }

    /// The directory that a row is in; `None` for the catalog's root and for rows that do not exist.
    pub fn parent(&self, row: u32) -> Option<u32> {
        self.rows().parent(row)
    }

    /// The path of a row in the repository.
    pub fn path(&self, row: u32) -> RepositoryPath {
        let mut names = Vec::new();
        let mut current = row;
        while let Some(parent) = self.parent(current) {
            names.extend(self.entry(current).and_then(|entry| EntryName::new(entry.name()).ok()));
            current = parent;
        }
        names.iter().rev().fold(self.root_prefix().clone(), |path, name| path.join(name))
    }

    /// The row at a path of the repository, if that lies in this catalog.
    pub fn find_path(&self, path: &RepositoryPath) -> Option<u32> {
        self.rows().find_path(path.as_bytes().strip_prefix(self.root_prefix().as_bytes())?)
    }

    /// The nested catalog that holds the content of a directory.
    pub fn nested_at(&self, row: u32) -> Option<CatalogReference> {
        self.reference_at(row, false)
    }

    /// The root catalog of another revision that holds the content of a directory; its path is the root, as it is in
    /// that catalog.
    pub fn bind_mount_at(&self, row: u32) -> Option<CatalogReference> {
        self.reference_at(row, true)
    }

    /// The references to nested catalogs with the rows of their directories, in the order of the rows.
    pub fn nested(&self) -> impl Iterator<Item = (u32, CatalogReference)> + '_ {
        self.references()
            .iter()
            .filter(|record| record.bind == 0)
            .filter_map(|record| Some((record.row.get(), self.reference(record)?)))
    }

    pub(super) fn rows(&self) -> Rows<'_> {
        let all = self.all();
        Rows {
            records: slice_of(&all[self.sections.entries.clone()]),
            names: &all[self.sections.names.clone()],
        }
    }

    pub(super) fn chunks(&self) -> &[ChunkRecord] {
        slice_of(&self.all()[self.sections.chunks.clone()])
    }

    pub(super) fn text(&self, offset: u32, length: u32) -> &[u8] {
        let texts = &self.all()[self.sections.texts.clone()];
        texts.get(offset as usize..offset as usize + length as usize).unwrap_or_default()
    }

    fn all(&self) -> &[u8] {
        self.bytes.as_slice()
    }

    fn references(&self) -> &[ReferenceRecord] {
        slice_of(&self.all()[self.sections.references.clone()])
    }

    fn reference_at(&self, row: u32, bind: bool) -> Option<CatalogReference> {
        let entry = self.entry(row)?;
        if entry.kind() != EntryKind::Directory || !entry.has_reference() {
            return None;
        }
        let references = self.references();
        let position = references.binary_search_by_key(&row, |record| record.row.get()).ok()?;
        let record = references.get(position).filter(|record| (record.bind != 0) == bind)?;
        self.reference(record)
    }

    fn reference(&self, record: &ReferenceRecord) -> Option<CatalogReference> {
        Some(CatalogReference {
            path: if record.bind == 0 { self.path(record.row.get()) } else { RepositoryPath::ROOT },
            hash: record.hash.get()?,
            size: Some(record.size.get()).filter(|&size| size != 0),
        })
    }
}

impl Sections {
    fn new(header: &Header, length: usize) -> Option<Self> {
        let mut start = size_of::<Header>();
        let mut next = |count: u32, size: usize| {
            let end = start.checked_add((count as usize).checked_mul(size)?)?;
            let section = start..end;
            start = end;
            Some(section)
        };
        let sections = Self {
            entries: next(header.entries.get(), size_of::<EntryRecord>())?,
            chunks: next(header.chunks.get(), size_of::<ChunkRecord>())?,
            references: next(header.references.get(), size_of::<ReferenceRecord>())?,
            names: next(header.names.get(), 1)?,
            texts: next(header.texts.get(), 1)?,
        };
        (start == length).then_some(sections)
    }
}

/// The records of a section, whose length is a multiple of theirs.
fn slice_of<T: zerocopy::FromBytes + zerocopy::KnownLayout + zerocopy::Immutable + zerocopy::Unaligned>(
    bytes: &[u8],
) -> &[T] {
    <[T]>::ref_from_bytes(bytes).unwrap_or_default()
}
