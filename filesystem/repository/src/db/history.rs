//! The rows of the history: schema 1.0, all revisions read, revision 3 written.

use rusqlite::types::ValueRef;
use rusqlite::{Connection, Row, params};

use super::{
    CREATE_PROPERTIES, DatabaseError, INSERT_PROPERTY, bytes, create, open, property, schema_revision,
};
use crate::history::{Branch, History, Tag};

const KIND: &str = "history";

const CREATE: [&str; 3] = [
    "CREATE TABLE branches (branch TEXT, parent TEXT, initial_revision INTEGER, \
     CONSTRAINT pk_branch PRIMARY KEY (branch), \
     FOREIGN KEY (parent) REFERENCES branches (branch), \
     CHECK ((branch <> '') OR (parent IS NULL)), \
     CHECK ((branch = '') OR (parent IS NOT NULL)))",
    "CREATE TABLE tags (name TEXT, hash TEXT, revision INTEGER, timestamp INTEGER, channel INTEGER, \
     description TEXT, size INTEGER, branch TEXT, \
     CONSTRAINT pk_tags PRIMARY KEY (name), \
     FOREIGN KEY (branch) REFERENCES branches (branch))",
    "CREATE TABLE recycle_bin (hash TEXT, flags INTEGER, CONSTRAINT pk_hash PRIMARY KEY (hash))",
];

/// Reads a history, decompressed.
pub(crate) fn read(bytes: &[u8]) -> Result<History, DatabaseError> {
    let database = open(KIND, bytes)?;
    let revision = schema_revision(KIND, &database)?;
    let repository = text_property(&database, "fqrn")?.unwrap_or_default();
    let repository = repository.parse().map_err(|_| row_error("fqrn", "it is no name of a repository"))?;
    let previous = text_property(&database, "previous_revision")?
        .map(|text| text.parse().map_err(|_| row_error("previous_revision", "it is no hash")))
        .transpose()?;
    let columns = match revision {
        0 => "0, ''",
        1 | 2 => "size, ''",
        _ => "size, branch",
    };
    let select =
        format!("SELECT name, hash, revision, timestamp, description, {columns} FROM tags ORDER BY rowid");
    let tags = rows(&database, &select, tag)?;
    let branches = if revision < 3 {
        vec![Branch::trunk()]
    } else {
        rows(&database, "SELECT branch, parent, initial_revision FROM branches ORDER BY rowid", branch)?
    };
    Ok(History { repository, previous, tags, branches })
}

/// The bytes of a history: the same for the same tags in the same order.
pub(crate) fn write(history: &History) -> Result<Vec<u8>, DatabaseError> {
    write_rows(history).map_err(|source| DatabaseError::Sqlite { kind: KIND, source })
}

fn write_rows(history: &History) -> rusqlite::Result<Vec<u8>> {
    let mut database = create()?;
    let transaction = database.transaction()?;
    transaction.execute(CREATE_PROPERTIES, [])?;
    for table in CREATE {
        transaction.execute(table, [])?;
    }
    let previous = history.previous.map(|hash| ("previous_revision", hash.to_string()));
    let properties = [
        ("schema", "1.0".to_owned()),
        ("schema_revision", "3".to_owned()),
        ("fqrn", history.repository.to_string()),
    ];
    for (key, value) in properties.into_iter().chain(previous) {
        transaction.execute(INSERT_PROPERTY, [key, &value])?;
    }
    {
        let mut insert = transaction.prepare("INSERT INTO branches VALUES (?1, ?2, ?3)")?;
        for branch in &history.branches {
            insert.execute(params![branch.name, branch.parent, branch.initial_revision.cast_signed()])?;
        }
        let mut insert = transaction.prepare("INSERT INTO tags VALUES (?1, ?2, ?3, ?4, 0, ?5, ?6, ?7)")?;
        for tag in &history.tags {
            insert.execute(params![
                tag.name.as_str(),
                tag.root_catalog.to_string(),
                tag.revision.cast_signed(),
                tag.published.cast_signed(),
                tag.description,
                tag.root_catalog_size.cast_signed(),
                tag.branch,
            ])?;
        }
    }
    transaction.commit()?;
    bytes(database)
}

fn tag(row: &Row<'_>) -> Result<Tag, DatabaseError> {
    let name = text(row, 0)?;
    let problem = |problem| row_error(&name, problem);
    Ok(Tag {
        name: name.parse().map_err(|_| problem("its name is empty or holds control characters"))?,
        root_catalog: text(row, 1)?.parse().map_err(|_| problem("it names no catalog"))?,
        revision: number(row, 2, &name)?,
        published: number(row, 3, &name)?,
        description: text(row, 4)?,
        root_catalog_size: number(row, 5, &name)?,
        branch: text(row, 6)?,
    })
}

fn branch(row: &Row<'_>) -> Result<Branch, DatabaseError> {
    let name = text(row, 0)?;
    let parent = match value(row, 1)? {
        ValueRef::Null => None,
        _ => Some(text(row, 1)?),
    };
    Ok(Branch { initial_revision: number(row, 2, &name)?, name, parent })
}

fn rows<T>(
    database: &Connection,
    select: &str,
    read: fn(&Row<'_>) -> Result<T, DatabaseError>,
) -> Result<Vec<T>, DatabaseError> {
    let mut select = database.prepare(select).map_err(sqlite)?;
    let mut rows = select.query([]).map_err(sqlite)?;
    let mut values = Vec::new();
    while let Some(row) = rows.next().map_err(sqlite)? {
        values.push(read(row)?);
    }
    Ok(values)
}

fn value<'a>(row: &'a Row<'_>, column: usize) -> Result<ValueRef<'a>, DatabaseError> {
    row.get_ref(column).map_err(sqlite)
}

/// A text, with a mark in place of bytes that are none; empty for NULL.
fn text(row: &Row<'_>, column: usize) -> Result<String, DatabaseError> {
    match value(row, column)? {
        ValueRef::Null => Ok(String::new()),
        ValueRef::Text(bytes) => Ok(String::from_utf8_lossy(bytes).into_owned()),
        _ => Err(row_error("?", "it holds a number or bytes in place of a text")),
    }
}

/// A number that can't be negative; 0 for NULL.
fn number(row: &Row<'_>, column: usize, name: &str) -> Result<u64, DatabaseError> {
    match value(row, column)? {
        ValueRef::Null => Ok(0),
        ValueRef::Integer(number) => {
            u64::try_from(number).map_err(|_| row_error(name, "it holds a negative number"))
        }
        _ => Err(row_error(name, "it holds something else in place of a number")),
    }
}

fn text_property(database: &Connection, key: &str) -> Result<Option<String>, DatabaseError> {
    property(database, key).map_err(sqlite)
}

fn sqlite(source: rusqlite::Error) -> DatabaseError {
    DatabaseError::Sqlite { kind: KIND, source }
}

fn row_error(row: &str, problem: &'static str) -> DatabaseError {
    DatabaseError::Row { kind: KIND, row: row.chars().take(60).collect(), problem }
}
