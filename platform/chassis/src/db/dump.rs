//! A backup: everything in the tables of services as lines of JSON, of one moment, for any engine.
//!
//! ```text
//! {"varve-backup": 1, "steps": {"portal": 3}}
//! {"table": "accounts", "columns": ["id", …]}
//! ["…", 5, null, {"base64": "…"}]            a row
//! …
//! {"rows": 1234, "sha256": "…"}              of all that is before
//! ```

use std::collections::BTreeMap;
use std::io::{self, BufRead, Write};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;
use sha2::{Digest as _, Sha256};

use super::engine::{Connection, Connector as _};
use super::error::DatabaseError;
use super::schema::{self, Schema, hex};
use super::value::Value;
use super::{Location, postgres, sqlite};

/// The longest line of a backup.
const LINE: u64 = 64 << 20;

/// Why a backup was not written or not read.
#[derive(Debug, thiserror::Error)]
pub enum DumpError {
    /// The database.
    #[error(transparent)]
    Database(#[from] DatabaseError),
    /// The file.
    #[error("the backup can't be read or written")]
    File(#[from] io::Error),
    /// It is none, or was cut or changed.
    #[error("line {line} of the backup: {reason}")]
    Unsound {
        /// Which line.
        line: u64,
        /// What is the matter.
        reason: String,
    },
    /// There is something in the database.
    #[error("the database {place} has something in it: a backup is restored into an empty one only")]
    NotEmpty {
        /// Which database.
        place: String,
    },
}

#[derive(Serialize, Deserialize)]
struct Head {
    #[serde(rename = "varve-backup")]
    version: u32,
    steps: BTreeMap<String, usize>,
}

#[derive(Serialize, Deserialize)]
struct Table {
    table: String,
    columns: Vec<String>,
}

#[derive(Serialize, Deserialize)]
struct Tail {
    rows: u64,
    sha256: String,
}

fn connect(location: &Location) -> Result<Box<dyn Connection>, DatabaseError> {
    Ok(match location {
        Location::Sqlite(path) => sqlite::Connector::writer(path).connect()?,
        Location::Postgres(address) => postgres::Connector::new(address)?.connect()?,
    })
}

/// Writes a backup while the database may be in use, and says how many rows it has.
///
/// # Errors
/// [`DumpError`].
pub fn dump(location: &Location, schemas: &[Schema], out: &mut dyn Write) -> Result<u64, DumpError> {
    let mut connection = connect(location)?;
    schema::apply(connection.as_mut(), schemas)?;
    connection.begin(false).map_err(DatabaseError::from)?;
    let mut out = Hashing { out, digest: Sha256::new() };
    let steps = schemas.iter().map(|schema| (schema.service.to_owned(), schema.migrations.len())).collect();
    out.line(&Head { version: 1, steps })?;
    let mut count = 0;
    for table in schemas.iter().flat_map(|schema| schema.tables) {
        let columns = connection.columns(table).map_err(DatabaseError::from)?;
        let sql = format!("SELECT {} FROM {table}", columns.join(", "));
        out.line(&Table { table: (*table).to_owned(), columns })?;
        let mut written = Ok(());
        let mut row = |row: super::Row| {
            count += 1;
            if written.is_ok() {
                written = out.line(&row.0.into_iter().map(to_json).collect::<Vec<_>>());
            }
        };
        connection.query(&sql, &[], &mut row).map_err(DatabaseError::from)?;
        written?;
    }
    connection.rollback().map_err(DatabaseError::from)?;
    let sha256 = hex(&out.digest.clone().finalize());
    out.line(&Tail { rows: count, sha256 })?;
    out.out.flush()?;
    Ok(count)
}

/// Reads a backup into an empty database, all of it or nothing, and says how many rows it had.
///
/// # Errors
/// [`DumpError`].
pub fn restore(location: &Location, schemas: &[Schema], input: &mut dyn BufRead) -> Result<u64, DumpError> {
    let mut connection = connect(location)?;
    schema::apply(connection.as_mut(), schemas)?;
    connection.begin(true).map_err(DatabaseError::from)?;
    let restored =
        Restoring { input, line: 0, digest: Sha256::new() }.all(connection.as_mut(), location, schemas);
    match restored {
        Ok(rows) => {
            connection.commit().map_err(DatabaseError::from)?;
            Ok(rows)
        }
        Err(error) => {
            let _ = connection.rollback();
            Err(error)
        }
    }
}

struct Restoring<'a> {
    input: &'a mut dyn BufRead,
    line: u64,
    digest: Sha256,
}

impl Restoring<'_> {
    fn all(
        mut self,
        connection: &mut dyn Connection,
        location: &Location,
        schemas: &[Schema],
    ) -> Result<u64, DumpError> {
        let head = self.next()?;
        let head: Head = serde_json::from_value(head).map_err(|_| self.unsound("no backup of Varve's"))?;
        let steps: BTreeMap<String, usize> =
            schemas.iter().map(|schema| (schema.service.to_owned(), schema.migrations.len())).collect();
        if head.version != 1 || head.steps != steps {
            return Err(self.unsound("it was made by another version of Varve: restore it with that one"));
        }
        let known: Vec<&str> = schemas.iter().flat_map(|schema| schema.tables).copied().collect();
        for table in &known {
            let mut any = false;
            let sql = format!("SELECT 1 FROM {table} LIMIT 1");
            connection.query(&sql, &[], &mut |_| any = true).map_err(DatabaseError::from)?;
            if any {
                return Err(DumpError::NotEmpty { place: location.to_string() });
            }
        }
        let mut insert: Option<(String, usize)> = None;
        let mut rows = 0;
        loop {
            let before = self.digest.clone();
            let line = self.next()?;
            match line {
                Json::Array(values) => {
                    let Some((sql, columns)) = &insert else { return Err(self.unsound("a row of no table")) };
                    let values = values.into_iter().map(from_json).collect::<Option<Vec<_>>>();
                    let values = values.filter(|values| values.len() == *columns);
                    let Some(values) = values else { return Err(self.unsound("no such row")) };
                    connection.insert(sql, &values).map_err(DatabaseError::from)?;
                    rows += 1;
                }
                other if other.get("table").is_some() => {
                    let table: Table = serde_json::from_value(other).map_err(|_| self.unsound("no table"))?;
                    let columns = connection.columns(&table.table).map_err(DatabaseError::from)?;
                    if !known.contains(&table.table.as_str())
                        || table.columns.is_empty()
                        || !table.columns.iter().all(|column| columns.contains(column))
                    {
                        return Err(self.unsound("a table that this version doesn't have"));
                    }
                    let places: Vec<String> =
                        (1..=table.columns.len()).map(|number| format!("${number}")).collect();
                    let (names, places) = (table.columns.join(", "), places.join(", "));
                    let sql = format!("INSERT INTO {} ({names}) VALUES ({places})", table.table);
                    insert = Some((sql, table.columns.len()));
                }
                other => {
                    let tail: Tail =
                        serde_json::from_value(other).map_err(|_| self.unsound("no such line"))?;
                    if tail.rows != rows || tail.sha256 != hex(&before.finalize()) {
                        return Err(self.unsound("the backup is not what was written"));
                    }
                    return Ok(rows);
                }
            }
        }
    }

    fn next(&mut self) -> Result<Json, DumpError> {
        let mut line = Vec::new();
        self.line += 1;
        io::Read::take(&mut *self.input, LINE).read_until(b'\n', &mut line)?;
        if line.pop() != Some(b'\n') {
            return Err(self.unsound("the backup ends too early"));
        }
        self.digest.update(&line);
        self.digest.update(b"\n");
        serde_json::from_slice(&line).map_err(|_| self.unsound("no JSON"))
    }

    fn unsound(&self, reason: &str) -> DumpError {
        DumpError::Unsound { line: self.line, reason: reason.to_owned() }
    }
}

struct Hashing<'a> {
    out: &'a mut dyn Write,
    digest: Sha256,
}

impl Hashing<'_> {
    fn line(&mut self, value: &impl Serialize) -> io::Result<()> {
        let mut line = serde_json::to_vec(value)?;
        line.push(b'\n');
        self.digest.update(&line);
        self.out.write_all(&line)
    }
}

fn to_json(value: Value) -> Json {
    match value {
        Value::Null => Json::Null,
        Value::Integer(value) => value.into(),
        Value::Real(value) => value.into(),
        Value::Text(value) => value.into(),
        Value::Bytes(value) => serde_json::json!({ "base64": STANDARD.encode(value) }),
    }
}

fn from_json(value: Json) -> Option<Value> {
    Some(match value {
        Json::Null => Value::Null,
        Json::Number(number) => match number.as_i64() {
            Some(value) => Value::Integer(value),
            None => Value::Real(number.as_f64()?),
        },
        Json::String(value) => Value::Text(value),
        Json::Object(object) => Value::Bytes(STANDARD.decode(object.get("base64")?.as_str()?).ok()?),
        Json::Bool(_) | Json::Array(_) => return None,
    })
}
