//! Opening foreign bytes as an SQLite database that can do nothing but be scanned, within bounds of memory and time.
//!
//! What the rows mean, and what is an error in them, is the matter of whoever asks for them.

use std::io::Cursor;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use rusqlite::Connection;
use rusqlite::config::DbConfig;
use rusqlite::limits::Limit;

use super::in_memory;

/// How many virtual machine steps lie between two looks at the budget.
const STEPS_PER_LOOK: u64 = 10_000;

/// What foreign bytes may ask for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
    /// The most bytes of the file.
    pub(crate) largest: u64,
    /// The most bytes of one row or value.
    pub(crate) longest_row: i32,
}

/// A foreign database, opened read-only in memory. The time that reading it takes is bounded by its size, since pages that
/// point to each other in circles would keep a scan busy for ever.
pub(crate) struct ForeignDatabase {
    connection: Connection,
    size: u64,
    steps_left: Arc<AtomicU64>,
}

/// Why bytes can't be opened.
#[derive(Debug)]
pub(crate) enum OpenError {
    /// The file's header shows that it can't be what it should be.
    Header(&'static str),
    /// What SQLite found.
    Sqlite(rusqlite::Error),
}

impl From<rusqlite::Error> for OpenError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sqlite(error)
    }
}

impl ForeignDatabase {
    /// Opens the bytes of a file.
    pub(crate) fn open(bytes: &[u8], bounds: Bounds) -> Result<Self, OpenError> {
        let size = bytes.len() as u64;
        check_header(bytes).map_err(OpenError::Header)?;
        if size > bounds.largest {
            return Err(OpenError::Header("it is too large"));
        }
        let mut connection = in_memory()?;
        connection.deserialize_read_exact("main", Cursor::new(bytes), bytes.len(), true)?;
        connection.set_db_config(DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true)?;
        connection.set_db_config(DbConfig::SQLITE_DBCONFIG_TRUSTED_SCHEMA, false)?;
        connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_VIEW, false)?;
        connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_TRIGGER, false)?;
        connection.set_limit(Limit::SQLITE_LIMIT_LENGTH, bounds.longest_row)?;
        connection.set_limit(Limit::SQLITE_LIMIT_ATTACHED, 0)?;
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

    /// For questions to the database.
    pub(crate) fn connection(&self) -> &Connection {
        &self.connection
    }

    /// The same; all that is still asked shares one budget of time.
    pub(crate) fn into_connection(self) -> Connection {
        self.connection
    }

    /// The size of the file in bytes.
    pub(crate) fn size(&self) -> u64 {
        self.size
    }

    /// Gives what is asked next the whole time that the size justifies.
    pub(crate) fn renew_time(&self) {
        self.steps_left.store(most_steps(self.size), Ordering::Relaxed);
    }
}

/// How many steps of SQLite's virtual machine a scan of a file of that size may take: a row takes about twenty, and more
/// than a hundred bytes.
fn most_steps(size: u64) -> u64 {
    1_000_000 + 8 * size
}

/// Looks at the 100-byte header of <https://www.sqlite.org/fileformat2.html> for what SQLite would read in another way.
fn check_header(bytes: &[u8]) -> Result<(), &'static str> {
    let Some(header) = bytes.first_chunk::<100>() else { return Err("it is too short") };
    if !header.starts_with(b"SQLite format 3\0") {
        return Err("it is no SQLite 3 file");
    }
    if header[18..20] != [1, 1] {
        return Err("it has a write-ahead log");
    }
    if header[56..60] != [0, 0, 0, 1] {
        return Err("its text is not UTF-8");
    }
    Ok(())
}
