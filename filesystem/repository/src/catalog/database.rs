//! Opening foreign bytes as an SQLite database that can do nothing but be scanned, within bounds.

use std::io::Cursor;

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

/// Opens a catalog read-only in memory.
///
/// Beyond what the flags say: the time is bounded by the size. Interior pages that point to each other in circles or
/// many times to the same page would keep a scan busy for ever.
pub(super) fn open(bytes: &[u8]) -> Result<Connection, CatalogError> {
    check_header(bytes)?;
    let mut database = Connection::open_in_memory_with_flags(
        OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX | OpenFlags::SQLITE_OPEN_MEMORY,
    )?;
    database.deserialize_read_exact("main", Cursor::new(bytes), bytes.len(), true)?;
    database.set_db_config(DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true)?;
    database.set_db_config(DbConfig::SQLITE_DBCONFIG_TRUSTED_SCHEMA, false)?;
    database.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_VIEW, false)?;
    database.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_TRIGGER, false)?;
    database.set_limit(Limit::SQLITE_LIMIT_LENGTH, LONGEST_ROW)?;
    database.set_limit(Limit::SQLITE_LIMIT_ATTACHED, 0)?;
    let mut steps_left = 1_000_000 + 8 * bytes.len() as u64;
    database.progress_handler(
        STEPS_PER_LOOK as i32,
        Some(move || {
            steps_left = steps_left.saturating_sub(STEPS_PER_LOOK);
            steps_left == 0
        }),
    )?;
    database.pragma_update(None, "cell_size_check", true)?;
    Ok(database)
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

/// Keeps count of the bytes of rows: all of them have to lie in the file, so their sum is bounded by its size.
pub(super) struct Budget {
    size: u64,
    left: u64,
}

impl Budget {
    /// A scan of one table of a database of `size` bytes.
    pub(super) fn new(size: u64) -> Self {
        Self { size, left: size }
    }

    /// Takes a row with `content` bytes of text and blobs and at least `overhead` bytes of numbers and lengths.
    pub(super) fn take(&mut self, overhead: u64, content: usize) -> Result<(), CatalogError> {
        self.left =
            self.left.checked_sub(overhead + content as u64).ok_or(CatalogError::Bomb { size: self.size })?;
        Ok(())
    }
}
