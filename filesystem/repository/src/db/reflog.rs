//! The rows of the reflog: schema 1.0 revision 0.

use rusqlite::params;
use rusqlite::types::ValueRef;
use varve_content::{ContentHash, ObjectKind, ObjectName};

use super::{
    CREATE_PROPERTIES, DatabaseError, INSERT_PROPERTY, bytes, create, open, property, schema_revision,
};
use crate::reflog::{LoggedObject, Reflog};

const KIND: &str = "reflog";

const CREATE: &str =
    "CREATE TABLE refs (hash TEXT, type INTEGER, timestamp INTEGER, CONSTRAINT pk_refs PRIMARY KEY (hash))";

/// The kinds of objects, in the order of their numbers.
const KINDS: [ObjectKind; 4] =
    [ObjectKind::Catalog, ObjectKind::Certificate, ObjectKind::History, ObjectKind::MetaInfo];

/// Reads a reflog.
pub(crate) fn read(bytes: &[u8]) -> Result<Reflog, DatabaseError> {
    let database = open(KIND, bytes)?;
    schema_revision(KIND, &database)?;
    let repository = property(&database, "fqrn").map_err(sqlite)?.unwrap_or_default();
    let repository = repository.parse().map_err(|_| row_error("fqrn", "it is no name of a repository"))?;
    let mut reflog = Reflog::new(repository);
    let mut select =
        database.prepare("SELECT hash, type, timestamp FROM refs ORDER BY rowid").map_err(sqlite)?;
    let mut rows = select.query([]).map_err(sqlite)?;
    while let Some(row) = rows.next().map_err(sqlite)? {
        let column = |at| row.get_ref(at).map_err(sqlite);
        let (ValueRef::Text(hash), ValueRef::Integer(kind), ValueRef::Integer(logged)) =
            (column(0)?, column(1)?, column(2)?)
        else {
            return Err(row_error("?", "its columns have the wrong types"));
        };
        let text = String::from_utf8_lossy(hash);
        let hash: ContentHash = text.parse().map_err(|_| row_error(&text, "it is no hash"))?;
        let kind = usize::try_from(kind)
            .ok()
            .and_then(|kind| KINDS.get(kind))
            .ok_or_else(|| row_error(&text, "its type is not known"))?;
        let logged = u64::try_from(logged).map_err(|_| row_error(&text, "its time is negative"))?;
        reflog.insert(LoggedObject { name: ObjectName::new(hash, *kind), logged });
    }
    Ok(reflog)
}

/// The bytes of a reflog: the same for the same objects in the same order.
pub(crate) fn write(reflog: &Reflog) -> Result<Vec<u8>, DatabaseError> {
    write_rows(reflog).map_err(sqlite)
}

fn write_rows(reflog: &Reflog) -> rusqlite::Result<Vec<u8>> {
    let mut database = create()?;
    let transaction = database.transaction()?;
    transaction.execute(CREATE_PROPERTIES, [])?;
    transaction.execute(CREATE, [])?;
    let repository = reflog.repository().to_string();
    for property in [["schema", "1.0"], ["schema_revision", "0"], ["fqrn", &repository]] {
        transaction.execute(INSERT_PROPERTY, property)?;
    }
    {
        let mut insert = transaction.prepare("INSERT INTO refs VALUES (?1, ?2, ?3)")?;
        for object in reflog.objects() {
            let kind = KINDS.iter().position(|kind| *kind == object.name.kind);
            let kind = i64::try_from(kind.unwrap_or_default()).unwrap_or_default();
            insert.execute(params![object.name.hash.to_string(), kind, object.logged.cast_signed()])?;
        }
    }
    transaction.commit()?;
    bytes(database)
}

fn sqlite(source: rusqlite::Error) -> DatabaseError {
    DatabaseError::Sqlite { kind: KIND, source }
}

fn row_error(row: &str, problem: &'static str) -> DatabaseError {
    DatabaseError::Row { kind: KIND, row: row.chars().take(60).collect(), problem }
}

/// Whether objects of this kind are logged.
pub(crate) fn is_logged(kind: ObjectKind) -> bool {
    KINDS.contains(&kind)
}
