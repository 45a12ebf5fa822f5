//! A catalog's database: opened as any foreign one, and scanned for no more rows than its bytes can hold.

use rusqlite::Connection;

use super::CatalogError;
use crate::db::foreign::{Bounds, ForeignDatabase, OpenError};

/// What is accepted: 4 GiB, and in a row a name, a link target, the extended attributes and some numbers.
const BOUNDS: Bounds = Bounds { largest: 4 << 30, longest_row: 256 << 10 };

/// A catalog opened read-only in memory.
pub(super) struct Database(ForeignDatabase);

impl Database {
    /// Opens the bytes of a catalog.
    pub(super) fn open(bytes: &[u8]) -> Result<Self, CatalogError> {
        ForeignDatabase::open(bytes, BOUNDS).map(Self).map_err(|error| match error {
            OpenError::Header(reason) => CatalogError::Header { reason },
            OpenError::Sqlite(source) => CatalogError::Database(source),
        })
    }

    /// For questions about the schema.
    pub(super) fn connection(&self) -> &Connection {
        self.0.connection()
    }

    /// Calls `visit` with each row of a query. All rows have to lie in the file, so their sum is bounded by its size:
    /// `overhead` is what a row takes at least for its numbers and lengths, `visit` returns the length of its texts and
    /// blobs. The time is bounded too, for pages that lead to many others and these to no rows.
    pub(super) fn scan<E: From<CatalogError>>(
        &self,
        query: &str,
        overhead: u64,
        mut visit: impl FnMut(&rusqlite::Row<'_>) -> Result<usize, E>,
    ) -> Result<(), E> {
        let size = self.0.size();
        let mut room = size;
        self.0.renew_time();
        let mut statement = self.connection().prepare(query).map_err(CatalogError::from)?;
        let mut rows = statement.query([]).map_err(CatalogError::from)?;
        while let Some(row) = rows.next().map_err(CatalogError::from)? {
            let taken = overhead + visit(row)? as u64;
            room = room.checked_sub(taken).ok_or(CatalogError::Bomb { size })?;
        }
        Ok(())
    }
}
