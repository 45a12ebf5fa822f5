//! The small databases of a repository as SQLite files in memory: opening foreign ones within bounds, making own ones.
//!
//! What their rows mean is not known here; catalogs have their own code in [`crate::catalog`], but are opened in the same way.

use rusqlite::{Connection, OpenFlags, OptionalExtension as _};

use self::foreign::{Bounds, ForeignDatabase, OpenError};

pub(crate) mod foreign;
pub(crate) mod history;
pub(crate) mod reflog;

/// The most bytes of a history or reflog that is opened: 4 GiB.
const LARGEST: u64 = 4 << 30;

/// The most bytes of one row or value.
const LONGEST_ROW: i32 = 1 << 20;

/// Opens foreign bytes read-only. The time that all reading together may take is bounded by their number.
fn open(kind: &'static str, bytes: &[u8]) -> Result<Connection, DatabaseError> {
    let bounds = Bounds { largest: LARGEST, longest_row: LONGEST_ROW };
    ForeignDatabase::open(bytes, bounds).map(ForeignDatabase::into_connection).map_err(|error| match error {
        OpenError::Header(reason) => DatabaseError::Header { kind, reason },
        OpenError::Sqlite(source) => DatabaseError::Sqlite { kind, source },
    })
}

/// An empty database with the page size that the original uses.
fn create() -> rusqlite::Result<Connection> {
    let database = in_memory()?;
    database.pragma_update(None, "page_size", 1024)?;
    Ok(database)
}

/// An empty database that never touches a disk.
pub(crate) fn in_memory() -> rusqlite::Result<Connection> {
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
