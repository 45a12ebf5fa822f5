//! The engine SQLite: a file in write-ahead mode, one connection that writes and some that read.

use std::fs;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{ErrorCode, OpenFlags, Statement, ToSql};

use super::engine;
use super::error::{DatabaseError, EngineError, Fault};
use super::value::{Row, Value};

/// How long another process may write.
const BUSY: Duration = Duration::from_secs(10);
/// Statements that are kept ready.
const STATEMENTS: usize = 256;

/// Opens the file.
pub(super) struct Connector {
    path: PathBuf,
    writes: bool,
}

impl Connector {
    pub(super) fn writer(path: &Path) -> Self {
        Self { path: path.to_owned(), writes: true }
    }

    pub(super) fn reader(path: &Path) -> Self {
        Self { path: path.to_owned(), writes: false }
    }

    /// Nobody else may read what is in it: passwords' hashes, secrets.
    fn create(&self) -> std::io::Result<()> {
        if let Some(directory) = self.path.parent() {
            fs::DirBuilder::new().recursive(true).mode(0o700).create(directory)?;
        }
        let file = fs::OpenOptions::new().append(true).create_new(true).mode(0o600).open(&self.path);
        match file {
            Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => Err(error),
            _ => Ok(()),
        }
    }
}

impl engine::Connector for Connector {
    fn connect(&self) -> Result<Box<dyn engine::Connection>, EngineError> {
        let unavailable = |reason: String| {
            let place = format!("sqlite:{}", self.path.display());
            EngineError { error: DatabaseError::Unavailable { place, reason }, fault: Fault::Lost }
        };
        if self.writes {
            self.create().map_err(|error| unavailable(error.to_string()))?;
        }
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let open = || -> rusqlite::Result<rusqlite::Connection> {
            let connection = rusqlite::Connection::open_with_flags(&self.path, flags)?;
            connection.busy_timeout(BUSY)?;
            connection.set_prepared_statement_cache_capacity(STATEMENTS);
            connection.pragma_update(None, "journal_mode", "wal")?;
            connection.pragma_update(None, "synchronous", "full")?;
            connection.pragma_update(None, "foreign_keys", true)?;
            connection.pragma_update(None, "query_only", !self.writes)?;
            Ok(connection)
        };
        let connection = open().map_err(|error| unavailable(error.to_string()))?;
        Ok(Box::new(Connection { connection }))
    }
}

struct Connection {
    connection: rusqlite::Connection,
}

impl engine::Connection for Connection {
    fn begin(&mut self, writes: bool) -> Result<(), EngineError> {
        self.batch(if writes { "BEGIN IMMEDIATE" } else { "BEGIN" })
    }

    fn commit(&mut self) -> Result<(), EngineError> {
        self.batch("COMMIT")
    }

    fn rollback(&mut self) -> Result<(), EngineError> {
        if self.connection.is_autocommit() { Ok(()) } else { self.batch("ROLLBACK") }
    }

    fn execute(&mut self, sql: &'static str, values: &[Value]) -> Result<u64, EngineError> {
        self.insert(sql, values)
    }

    fn query(&mut self, sql: &str, values: &[Value], each: &mut dyn FnMut(Row)) -> Result<(), EngineError> {
        let mut statement = self.connection.prepare_cached(sql).map_err(|error| failed(&error))?;
        bind(&mut statement, values).map_err(|error| failed(&error))?;
        let columns = statement.column_count();
        let mut rows = statement.raw_query();
        while let Some(row) = rows.next().map_err(|error| failed(&error))? {
            let value = |column| row.get_ref(column).map(value_of);
            let values = (0..columns).map(value).collect::<rusqlite::Result<_>>();
            each(Row(values.map_err(|error| failed(&error))?));
        }
        Ok(())
    }

    fn batch(&mut self, sql: &str) -> Result<(), EngineError> {
        self.connection.execute_batch(sql).map_err(|error| failed(&error))
    }

    fn lock_schema(&mut self) -> Result<(), EngineError> {
        // Whoever writes is alone.
        Ok(())
    }

    fn columns(&mut self, table: &str) -> Result<Vec<String>, EngineError> {
        let mut names = Vec::new();
        self.query("SELECT name FROM pragma_table_info($1)", &[Value::from(table)], &mut |mut row| {
            names.extend(row.take::<String>(0));
        })?;
        Ok(names)
    }

    fn insert(&mut self, sql: &str, values: &[Value]) -> Result<u64, EngineError> {
        let mut statement = self.connection.prepare_cached(sql).map_err(|error| failed(&error))?;
        bind(&mut statement, values).map_err(|error| failed(&error))?;
        statement.raw_execute().map(|rows| rows as u64).map_err(|error| failed(&error))
    }

    fn groups(&self) -> bool {
        true
    }
}

impl ToSql for Value {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(match self {
            Self::Null => ValueRef::Null,
            Self::Integer(value) => ValueRef::Integer(*value),
            Self::Real(value) => ValueRef::Real(*value),
            Self::Text(value) => ValueRef::Text(value.as_bytes()),
            Self::Bytes(value) => ValueRef::Blob(value),
        }))
    }
}

/// `$1` is a name for SQLite: it is not always the first.
fn bind(statement: &mut Statement<'_>, values: &[Value]) -> rusqlite::Result<()> {
    for (number, value) in values.iter().enumerate() {
        let name = format!("${}", number + 1);
        if let Some(index) = statement.parameter_index(&name)? {
            statement.raw_bind_parameter(index, value)?;
        }
    }
    Ok(())
}

fn value_of(value: ValueRef<'_>) -> Value {
    match value {
        ValueRef::Null => Value::Null,
        ValueRef::Integer(value) => Value::Integer(value),
        ValueRef::Real(value) => Value::Real(value),
        ValueRef::Text(value) => Value::Text(String::from_utf8_lossy(value).into_owned()),
        ValueRef::Blob(value) => Value::Bytes(value.to_vec()),
    }
}

fn failed(error: &rusqlite::Error) -> EngineError {
    let reason = error.to_string();
    let refused = || EngineError::lasting(DatabaseError::Refused { reason: reason.clone() });
    let rusqlite::Error::SqliteFailure(failure, message) = error else { return refused() };
    match failure.code {
        ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked => {
            EngineError { error: DatabaseError::Busy, fault: Fault::Conflict }
        }
        ErrorCode::ConstraintViolation
            if matches!(
                failure.extended_code,
                rusqlite::ffi::SQLITE_CONSTRAINT_UNIQUE | rusqlite::ffi::SQLITE_CONSTRAINT_PRIMARYKEY
            ) =>
        {
            let constraint = message.clone().unwrap_or_default();
            EngineError::lasting(DatabaseError::Duplicate { constraint })
        }
        _ => refused(),
    }
}
