//! The compact form of one catalog that lookups use: built once, kept in the disk cache, mapped into memory.
//!
//! Entries are *rows*, numbered breadth first from the catalog's root, which is row 0. The children of a directory are
//! neighbours, sorted by name, so a lookup is a binary search and a listing a walk over an array. Everything that a
//! catalog holds is in the index, nothing needs the SQLite file again. Nothing is copied or allocated to look at a row,
//! and nothing is locked.
//!
//! Building refuses what is no tree: see [`CatalogIndex::build`]. The bytes are laid out as `layout` says; they are
//! made by this program only, but a damaged file must not crash it either: every access is checked.

mod build;
mod entry_view;
mod layout;
mod rows;
mod view;

pub use entry_view::{ChunksView, ContentView, EntryView};
pub(crate) use layout::CACHE_KIND;
pub use view::{CatalogIndex, IndexBytes};
