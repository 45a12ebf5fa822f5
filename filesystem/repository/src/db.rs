//! The small databases of a repository as SQLite files in memory: opening foreign ones within bounds, making own ones.
//!
//! What their rows mean is not known here; catalogs have their own code in [`crate::catalog`].

use std::io::Cursor;

use rusqlite::config::DbConfig;
use rusqlite::limits::Limit;
use rusqlite::{Connection, OpenFlags, OptionalExtension as _};

pub(crate) mod history;
pub(crate) mod reflog;

/// The most bytes of one row or value.
const LONGEST_ROW: i32 = 1 << 20;

/// How many virtual machine steps lie between two looks at the budget.
const STEPS_PER_LOOK: i32 = 10_000;

/// Opens foreign bytes read-only. The time that all reading together may take is bounded by their number, since pages
/// that point to each other in circles would keep a scan busy for ever.
fn open(kind: &'static str, bytes: &[u8]) -> Result<Connection, DatabaseError> {
    check_header(bytes).map_err(|reason| DatabaseError::Header { kind, reason })?;
    open_checked(bytes).map_err(|source| DatabaseError::Sqlite { kind, source })
}

fn open_checked(bytes: &[u8]) -> rusqlite::Result<Connection> {
    let mut database = new_connection()?;
    database.deserialize_read_exact("main", Cursor::new(bytes), bytes.len(), true)?;
    database.set_db_config(DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true)?;
    database.set_db_config(DbConfig::SQLITE_DBCONFIG_TRUSTED_SCHEMA, false)?;
    database.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_VIEW, false)?;
    database.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_TRIGGER, false)?;
    database.set_limit(Limit::SQLITE_LIMIT_LENGTH, LONGEST_ROW)?;
    database.set_limit(Limit::SQLITE_LIMIT_ATTACHED, 0)?;
    let mut looks_left = (1_000_000 + 8 * bytes.len() as u64) / STEPS_PER_LOOK as u64;
    database.progress_handler(
        STEPS_PER_LOOK,
        Some(move || {
            looks_left = looks_left.saturating_sub(1);
            looks_left == 0
        }),
    )?;
    database.pragma_update(None, "cell_size_check", true)?;
    Ok(database)
}

/// An empty database with the page size that the original uses.
fn create() -> rusqlite::Result<Connection> {
    let database = new_connection()?;
    database.pragma_update(None, "page_size", 1024)?;
    Ok(database)
}

fn new_connection() -> rusqlite::Result<Connection> {
    Connection::open_in_memory_with_flags(
        OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX | OpenFlags::SQLITE_OPEN_MEMORY,
    )
}

/// The file's bytes: the same for the same rows in the same order.
fn bytes(mut database: Connection) -> rusqlite::Result<Vec<u8>> {
    Ok(database.serialize("main")?.to_vec())
}

const CREATE_PROPERTIES: &str =
    "CREATE TABLE properties (key TEXT, value TEXT, CONSTRAINT pk_properties PRIMARY KEY (key))";

const INSERT_PROPERTY: &str = "INSERT INTO properties (key, value) VALUES (?1, ?2)";

/// One value of the table that all databases of a repository have.
fn property(database: &Connection, key: &str) -> rusqlite::Result<Option<String>> {
    // A database written by other means may hold numbers here.
    database
        .query_row("SELECT CAST(value AS TEXT) FROM properties WHERE key = ?1", [key], |row| row.get(0))
        .optional()
}

/// Checks that the schema is 1.0 and returns its revision.
fn schema_revision(kind: &'static str, database: &Connection) -> Result<u32, DatabaseError> {
    let sqlite = |source| DatabaseError::Sqlite { kind, source };
    let version = property(database, "schema").map_err(sqlite)?.unwrap_or_default();
    // Written as a floating point number: compared with some slack.
    let known = version.parse::<f64>().is_ok_and(|version| (version - 1.0).abs() < 0.0005);
    let revision = property(database, "schema_revision").map_err(sqlite)?;
    match revision.as_deref().unwrap_or("0").parse() {
        Ok(revision) if known => Ok(revision),
        _ => Err(DatabaseError::Schema { kind, version: version.chars().take(60).collect() }),
    }
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

/// Why bytes are no history or reflog.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DatabaseError {
    /// The file's header shows that it can't be one.
    #[error("{kind} is no database of the expected form: {reason}")]
    Header {
        /// What it should be.
        kind: &'static str,
        /// What is wrong.
        reason: &'static str,
    },
    /// Damaged, tables missing, or more work than its size justifies.
    #[error("{kind} is an unusable database")]
    Sqlite {
        /// What it should be.
        kind: &'static str,
        /// What SQLite found.
        #[source]
        source: rusqlite::Error,
    },
    /// A schema that this program does not know.
    #[error("{kind} has the schema '{version}', which is not supported")]
    Schema {
        /// What it should be.
        kind: &'static str,
        /// The value found, shortened.
        version: String,
    },
    /// A row that can't be.
    #[error("{kind} has a row '{row}' that can't be: {problem}")]
    Row {
        /// What it should be.
        kind: &'static str,
        /// The row's key, shortened.
        row: String,
        /// What is wrong with it.
        problem: &'static str,
    },
}
