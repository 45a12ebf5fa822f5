//! What the bytes of a repository mean: names, entries, catalogs, signatures, tags, and the verified [`Snapshot`].

mod catalog;
mod entry;
mod index;
mod name;

pub use catalog::{
    CatalogError, CatalogProperties, CatalogReader, CatalogReference, CatalogWriteError, CatalogWriter,
    Counters, SchemaVersion, TreeCounters,
};
pub use entry::{
    Chunk, Entry, EntryKind, FileContent, FileData, HardLink, Metadata, Mtime, NestedRole, Node, Xattrs,
    XattrsError,
};
pub use index::{CatalogIndex, ChunksView, ContentView, EntryView, IndexBytes};
pub use name::{EntryName, NameError, RepositoryName, RepositoryPath};
