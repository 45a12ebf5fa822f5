//! Opening foreign bytes as an SQLite database that can do nothing but be scanned, within bounds.

use std::io::Cursor;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use rusqlite::config::DbConfig;
use rusqlite::limits::Limit;
use rusqlite::{Connection, OpenFlags};

use super::CatalogError;

/// The most bytes of a catalog that is opened: 4 GiB.
const LARGEST: u64 = 4 << 30;

/// The most bytes of one row or value: a name, a link target, the extended attributes and some numbers.
const LONGEST_ROW: i32 = 256 << 10;

/// How many virtual machine steps lie between two looks at the budget.
const STEPS_PER_LOOK: u64 = 10_000;

/// A catalog opened read-only in memory.
pub(super) struct Database {
    connection: Connection,
    size: u64,
    /// What is left of the steps of the current scan.
    steps_left: Arc<AtomicU64>,
}

impl Database {
    /// Opens the bytes of a catalog.
    pub(super) fn open(bytes: &[u8]) -> Result<Self, CatalogError> {
        check_header(bytes)?;
        let mut connection = Connection::open_in_memory_with_flags(
            OpenFlags::SQLITE_OPEN_READ_WRITE
                | OpenFlags::SQLITE_OPEN_NO_MUTEX
                | OpenFlags::SQLITE_OPEN_MEMORY,
        )?;
        connection.deserialize_read_exact("main", Cursor::new(bytes), bytes.len(), true)?;
        connection.set_db_config(DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true)?;
        connection.set_db_config(DbConfig::SQLITE_DBCONFIG_TRUSTED_SCHEMA, false)?;
        connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_VIEW, false)?;
        connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_TRIGGER, false)?;
        connection.set_limit(Limit::SQLITE_LIMIT_LENGTH, LONGEST_ROW)?;
        connection.set_limit(Limit::SQLITE_LIMIT_ATTACHED, 0)?;
        let size = bytes.len() as u64;
        let steps_left = Arc::new(AtomicU64::new(most_steps(size)));
        let counted = Arc::clone(&steps_left);
        connection.progress_handler(
            STEPS_PER_LOOK as i32,
            Some(move || {
                let left = counted.load(Ordering::Relaxed).saturating_sub(STEPS_PER_LOOK);
                counted.store(left, Ordering::Relaxed);
                left == 0
            }),
        )?;
        connection.pragma_update(None, "cell_size_check", true)?;
        Ok(Self { connection, size, steps_left })
    }

    /// For questions about the schema.
    pub(super) fn connection(&self) -> &Connection {
        &self.connection
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
        let mut room = self.size;
        self.steps_left.store(most_steps(self.size), Ordering::Relaxed);
        let mut statement = self.connection.prepare(query).map_err(CatalogError::from)?;
        let mut rows = statement.query([]).map_err(CatalogError::from)?;
        while let Some(row) = rows.next().map_err(CatalogError::from)? {
            let taken = overhead + visit(row)? as u64;
            room = room.checked_sub(taken).ok_or(CatalogError::Bomb { size: self.size })?;
        }
        Ok(())
    }
}

/// How many steps of SQLite's virtual machine one scan of a file of that size may take: a row takes about twenty, and more
/// than a hundred bytes.
fn most_steps(size: u64) -> u64 {
    1_000_000 + 8 * size
}

/// Looks at the 100-byte header of <https://www.sqlite.org/fileformat2.html> for what SQLite would read in another way.
fn check_header(bytes: &[u8]) -> Result<(), CatalogError> {
    let refuse = |reason| Err(CatalogError::Header { reason });
    let Some(header) = bytes.first_chunk::<100>() else { return refuse("it is too short") };
    if !header.starts_with(b"SQLite format 3\0") {
        return refuse("it is no SQLite 3 file");
    }
    if bytes.len() as u64 > LARGEST {
        return refuse("it is larger than 4 GiB");
    }
    if header[18..20] != [1, 1] {
        return refuse("it has a write-ahead log");
    }
    if header[56..60] != [0, 0, 0, 1] {
        return refuse("its text is not UTF-8");
    }
    Ok(())
}
