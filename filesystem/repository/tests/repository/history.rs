//! Tags: those of the fixtures as the original lists them, ours in the original's schema.

use proptest::prelude::*;
use rusqlite::Connection;
use rusqlite::types::ValueRef;
use varve_content::{Algorithm, ObjectKind};
use varve_repository::{DatabaseError, HEAD, History, HistoryError, PREVIOUS_HEAD, PublishedRoot, Tag};

use crate::fixture::Fixture;

fn bytes(fixture: &Fixture) -> Vec<u8> {
    let hash = fixture.signed_manifest().claims().history.expect("a history");
    fixture.object(hash, ObjectKind::History)
}

fn read(fixture: &Fixture) -> History {
    History::read(&bytes(fixture)).expect("a history")
}

fn root(revision: u64) -> PublishedRoot {
    PublishedRoot {
        root_catalog: Algorithm::Sha1.hash(&revision.to_le_bytes()),
        root_catalog_size: 1000 + revision,
        revision,
        published: 10 * revision,
    }
}

fn names(history: &History) -> Vec<&str> {
    history.tags().iter().map(|tag| tag.name.as_str()).collect()
}

/// Tables, columns and constraints of a database, as SQLite understands them and as they are written down.
pub(crate) fn schema(bytes: &[u8]) -> Vec<String> {
    let mut database = Connection::open_in_memory().expect("memory");
    database.deserialize_read_exact("main", bytes, bytes.len(), true).expect("a database");
    let mut texts = Vec::new();
    for query in [
        "SELECT name || ' ' || coalesce(sql, '') FROM sqlite_schema ORDER BY name",
        "SELECT t.name || ' ' || c.cid || ' ' || c.name || ' ' || c.type || ' ' || c.pk
         FROM sqlite_schema t, pragma_table_info(t.name) c ORDER BY t.name, c.cid",
        "SELECT t.name || ' ' || i.name || ' ' || i.\"unique\" || ' ' || i.origin
         FROM sqlite_schema t, pragma_index_list(t.name) i ORDER BY t.name, i.name",
        "SELECT key || CASE key WHEN 'previous_revision' THEN '' ELSE value END FROM properties ORDER BY key",
        "PRAGMA page_size",
    ] {
        let mut statement = database.prepare(query).expect("a statement");
        let rows = statement.query_map([], |row| match row.get_ref(0)? {
            ValueRef::Text(text) => Ok(String::from_utf8_lossy(text).into_owned()),
            other => Ok(format!("{other:?}")),
        });
        texts.extend(
            rows.expect("rows")
                .map(|row| row.expect("a row").split_whitespace().collect::<Vec<_>>().join(" ")),
        );
    }
    texts
}

#[test]
fn tags_are_those_that_the_original_lists() {
    for fixture in Fixture::all() {
        let history = read(&fixture);
        assert_eq!(*history.repository(), fixture.name);
        let line = |tag: &&Tag| {
            let Tag { name, root_catalog, root_catalog_size, revision, published, description, .. } = tag;
            format!(
                "{name} {root_catalog} {root_catalog_size} {revision} {published} (default) {description}\n"
            )
        };
        let listing: String = history.newest_first().iter().map(line).collect();
        assert_eq!(listing, fixture.text("tags.txt"));
    }
}

#[test]
fn our_database_has_the_originals_schema_and_rows() {
    for fixture in Fixture::all() {
        let history = read(&fixture);
        let written = history.to_bytes().expect("a database");
        assert_eq!(History::read(&written).expect("a history"), history);
        assert_eq!(schema(&written), schema(&bytes(&fixture)));
        assert_eq!(history.to_bytes().expect("a database"), written, "the same tags give the same bytes");
    }
}

#[test]
fn older_schemas_are_read() {
    let fixture = Fixture::new("fix1.lab.example");
    let original = bytes(&fixture);
    for (revision, changes) in [
        (
            1,
            "ALTER TABLE tags DROP COLUMN size; DROP TABLE branches; DROP TABLE recycle_bin;
             UPDATE properties SET value = '0' WHERE key = 'schema_revision'",
        ),
        (2, "DROP TABLE branches; UPDATE properties SET value = 2 WHERE key = 'schema_revision'"),
        (3, "UPDATE properties SET value = 1.00001 WHERE key = 'schema'"),
    ] {
        let mut database = Connection::open_in_memory().expect("memory");
        database.deserialize_read_exact("main", &original[..], original.len(), false).expect("a database");
        if revision < 3 {
            database.execute_batch("CREATE TABLE t AS SELECT name, hash, revision, timestamp, channel, description, size FROM tags;
                DROP TABLE tags; ALTER TABLE t RENAME TO tags").expect("a change");
        }
        database.execute_batch(changes).expect("a change");
        let older = database.serialize("main").expect("bytes").to_vec();
        let mut expected = read(&fixture);
        if revision == 1 {
            let tags: Vec<Tag> =
                expected.tags().iter().cloned().map(|tag| Tag { root_catalog_size: 0, ..tag }).collect();
            assert_eq!(History::read(&older).expect("a history").tags(), tags);
            expected = History::read(&older).expect("a history");
        }
        let history = History::read(&older).expect("a history");
        assert_eq!(history, expected);
        assert_eq!(
            schema(&history.to_bytes().expect("a database")),
            schema(&original),
            "written as the newest"
        );
    }
    let mut database = Connection::open_in_memory().expect("memory");
    database.deserialize_read_exact("main", &original[..], original.len(), false).expect("a database");
    database.execute("UPDATE properties SET value = '2.0' WHERE key = 'schema'", []).expect("a change");
    let newer = database.serialize("main").expect("bytes").to_vec();
    assert!(matches!(History::read(&newer), Err(DatabaseError::Schema { .. })));
}

#[test]
fn a_time_finds_the_revision_of_that_time() {
    let history = read(&Fixture::new("fix1.lab.example"));
    let at = |seconds| history.at(seconds).map(|tag| tag.revision);
    assert_eq!(at(1_795_221_368), None);
    assert_eq!(at(1_795_221_369), Some(1));
    assert_eq!(at(1_795_221_376), Some(3));
    assert_eq!(at(u64::MAX), Some(6));
}

#[test]
fn publishing_moves_the_two_tags_of_the_trunk() {
    let mut history = History::new("a.example".parse().expect("a name"));
    history.advance(&root(1));
    assert_eq!(names(&history), [HEAD]);
    history.insert(root(1).tag("first".parse().expect("a name"), "the first")).expect("a new tag");
    history.advance(&root(2));
    history.advance(&root(3));
    assert_eq!(names(&history), ["first", PREVIOUS_HEAD, HEAD]);
    assert_eq!(history.tag(HEAD).expect("a tag").revision, 3);
    assert_eq!(history.tag(PREVIOUS_HEAD).expect("a tag").revision, 2);
    assert_eq!(history.root_catalogs(), [1, 2, 3].map(|revision| root(revision).root_catalog));

    let twice = history.insert(root(3).tag("first".parse().expect("a name"), ""));
    assert!(matches!(twice, Err(HistoryError::Exists { .. })));
    let reserved = history.insert(root(3).tag(HEAD.parse().expect("a name"), ""));
    assert!(matches!(reserved, Err(HistoryError::Reserved { .. })));
    assert_eq!(history.remove("first").map(|tag| tag.revision), Some(1));
    assert_eq!(history.remove("first"), None);
}

#[test]
fn rolling_back_removes_later_tags() {
    let mut history = History::new("a.example".parse().expect("a name"));
    for revision in 1..=4 {
        history.advance(&root(revision));
        history
            .insert(root(revision).tag(format!("r{revision}").parse().expect("a name"), "text"))
            .expect("a new tag");
    }
    let unknown = history.roll_back("r9", &root(5));
    assert_eq!(unknown.expect_err("no such tag").to_string(), "there is no tag 'r9'");
    let gone = history.roll_back("r2", &PublishedRoot { root_catalog: root(2).root_catalog, ..root(5) });
    let gone: Vec<_> = gone.expect("a tag").into_iter().map(|tag| tag.name.to_string()).collect();
    assert_eq!(gone, ["r3", PREVIOUS_HEAD, "r4"]);
    assert_eq!(names(&history), ["r1", "r2", HEAD]);
    let back = history.tag("r2").expect("a tag");
    assert_eq!((back.revision, back.description.as_str()), (5, "text"));
    assert_eq!(back.root_catalog, root(2).root_catalog);
}

#[test]
fn automatic_names_are_free() {
    let mut history = History::new("a.example".parse().expect("a name"));
    for expected in ["generic-2026-11-21T00:36:09Z", "generic-2026-11-21T00:36:09Z_1"] {
        let name = history.automatic_name(1_795_221_369);
        assert_eq!(name.as_str(), expected);
        history.insert(root(1).tag(name, "")).expect("a new tag");
    }
}

#[test]
fn damaged_databases_are_refused() {
    let original = bytes(&Fixture::new("fix1.lab.example"));
    for bad in [&b""[..], b"<html>", &original[..99], &original[..2000]] {
        assert!(History::read(bad).is_err(), "{} bytes", bad.len());
    }
    let mut database = Connection::open_in_memory().expect("memory");
    database.execute_batch("CREATE TABLE properties (key TEXT, value TEXT);
        INSERT INTO properties VALUES ('schema', '1.0'), ('schema_revision', '3'), ('fqrn', 'a.example');
        CREATE TABLE branches (branch TEXT, parent TEXT, initial_revision INTEGER);
        CREATE VIEW tags AS WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n)
          SELECT 'x' || i AS name, '' AS hash, 1 AS revision, 1 AS timestamp, '' AS description, 1 AS size, '' AS branch FROM n")
        .expect("a hostile database");
    let hostile = database.serialize("main").expect("bytes").to_vec();
    assert!(matches!(History::read(&hostile), Err(DatabaseError::Sqlite { .. })), "a view without end");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn changed_bytes_never_panic(edits in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..12)) {
        let mut changed = bytes(&Fixture::new("fix1.lab.example"));
        for (at, value) in edits {
            *at.get_mut(&mut changed) = value;
        }
        if let Ok(history) = History::read(&changed) {
            let _ = history.to_bytes();
        }
    }
}
