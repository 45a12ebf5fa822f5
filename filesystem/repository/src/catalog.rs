//! Catalogs: the SQLite files that list a repository's directories, as values. Reading, writing, counting.
//!
//! How a catalog is found and verified is the loader's matter, how entries are looked up fast is the index's. The
//! schema and the meaning of its columns are described in `docs/formats/catalog.md`.

mod counters;
mod database;
mod error;
mod flags;
mod properties;
mod reader;
mod row;
mod schema;
mod writer;

pub use counters::{Counters, TreeCounters};
pub use error::CatalogError;
pub(crate) use error::shown;
pub use properties::{CatalogProperties, CatalogReference, SchemaVersion};
pub use reader::CatalogReader;
pub(crate) use reader::ChunkTable;
pub(crate) use row::Row;
pub use writer::{CatalogWriteError, CatalogWriter};
