//! Every catalog that CernVM-FS wrote is read, written again, and has the same schema and rows.

use std::collections::{BTreeMap, VecDeque};

use rusqlite::Connection;
use rusqlite::types::Value;
use varve_content::PathKey;
use varve_repository::{CatalogError, CatalogReader, CatalogWriter, Entry, RepositoryPath};

use crate::fixture;

const TABLES: [&str; 6] =
    ["properties", "catalog", "chunks", "nested_catalogs", "bind_mountpoints", "statistics"];

#[test]
fn catalogs_are_written_as_they_were_read() {
    for (name, bytes) in fixture::catalogs() {
        let again = rewrite(&bytes);
        let (before, after) = (open(&bytes), open(&again));
        assert_eq!(schema(&before), schema(&after), "schema of {name}");
        for table in TABLES {
            assert_eq!(rows(&before, table), rows(&after, table), "table {table} of {name}");
        }
        let check: String = after
            .query_row("PRAGMA integrity_check", [], |row| row.get(0))
            .expect("because the check always answers");
        assert_eq!(check, "ok");
        assert_eq!(again[16..18], bytes[16..18], "page size of {name}");
    }
}

#[test]
fn the_same_rows_give_the_same_bytes() {
    for (_, bytes) in fixture::catalogs() {
        let first = rewrite(&bytes);
        // Memory that was used in between must not show in the second one.
        drop(vec![0xa5_u8; 1 << 20]);
        assert_eq!(first, rewrite(&bytes));
        assert_eq!(first, rewrite(&first));
    }
}

/// Reads a catalog into entries and references, and writes another one of them, directories before their content.
fn rewrite(bytes: &[u8]) -> Vec<u8> {
    let reader = CatalogReader::from_bytes(bytes.to_vec()).expect("a sound catalog");
    let mut children: BTreeMap<PathKey, Vec<Entry>> = BTreeMap::new();
    let mut root = None;
    let root_prefix = reader.root_prefix().clone();
    reader
        .for_each_entry(|key, parent, entry| {
            if key == root_prefix.key() {
                root = Some(entry);
            } else {
                children.entry(parent).or_default().push(entry);
            }
            Ok::<_, CatalogError>(())
        })
        .expect("sound rows");
    let mut writer = CatalogWriter::new(reader.properties().clone()).expect("because memory suffices");
    let mut queue: VecDeque<(RepositoryPath, Entry)> =
        VecDeque::from([(root_prefix, root.expect("a row of the root"))]);
    while let Some((path, entry)) = queue.pop_front() {
        writer.add(&path, &entry).expect("a valid entry");
        let mut below = children.remove(&path.key()).unwrap_or_default();
        below.sort_by(|left, right| left.name.cmp(&right.name));
        for child in below {
            queue.push_back((path.join(child.name.as_ref().expect("only the root has none")), child));
        }
    }
    assert!(children.is_empty(), "every row has a parent");
    for nested in reader.nested().expect("sound references") {
        writer.add_nested(&nested).expect("a valid reference");
    }
    for bind in reader.bind_mount_points().expect("sound references") {
        writer.add_bind_mount_point(&bind).expect("a valid reference");
    }
    let counters = reader.counters().expect("sound statistics");
    let (written, bytes) = writer.finish(counters.subtree).expect("because memory suffices");
    assert_eq!(written, counters);
    bytes
}

fn open(bytes: &[u8]) -> Connection {
    let mut database = Connection::open_in_memory().expect("because memory suffices");
    database.deserialize_read_exact("main", bytes, bytes.len(), true).expect("a database");
    database
}

fn schema(database: &Connection) -> Vec<Vec<Value>> {
    query(database, "SELECT type, name, tbl_name, sql FROM sqlite_master ORDER BY name")
}

/// The rows of a table in the order of all columns, with texts as bytes beside their type: some are no UTF-8.
fn rows(database: &Connection, table: &str) -> Vec<Vec<Value>> {
    let names = query(database, &format!("SELECT name FROM pragma_table_info('{table}')"));
    let columns: Vec<String> = names
        .iter()
        .map(|row| match &row[0] {
            Value::Text(name) => format!(
                "typeof({name}), CASE typeof({name}) WHEN 'text' THEN CAST({name} AS BLOB) ELSE {name} END"
            ),
            other => unreachable!("a column has the name {other:?}"),
        })
        .collect();
    let order: Vec<String> = (1..=2 * columns.len()).map(|index| index.to_string()).collect();
    query(database, &format!("SELECT {} FROM {table} ORDER BY {}", columns.join(", "), order.join(", ")))
}

fn query(database: &Connection, sql: &str) -> Vec<Vec<Value>> {
    let mut statement = database.prepare(sql).expect("a valid query");
    let columns = statement.column_count();
    statement
        .query_map([], |row| (0..columns).map(|index| row.get(index)).collect())
        .expect("a valid query")
        .collect::<rusqlite::Result<_>>()
        .expect("readable rows")
}
