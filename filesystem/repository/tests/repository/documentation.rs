//! The page `docs/formats/trust.md` shows what is in the fixtures.

use rusqlite::Connection;
use varve_repository::{History, Reflog};

use crate::fixture::Fixture;

const PAGE: &str = include_str!("../../../../docs/formats/trust.md");

/// The content of the fenced block with this mark.
fn block(mark: &str) -> &'static str {
    let (_, rest) = PAGE.split_once(&format!("```{mark}\n")).expect("a block of this mark");
    rest.split_once("```").expect("the end of the block").0
}

fn tables(bytes: &[u8]) -> String {
    let mut database = Connection::open_in_memory().expect("memory");
    database.deserialize_read_exact("main", bytes, bytes.len(), true).expect("a database");
    let mut tables = database
        .prepare("SELECT sql || char(10) FROM sqlite_schema WHERE type = 'table' ORDER BY name")
        .expect("sql");
    let texts = tables.query_map([], |row| row.get::<_, String>(0)).expect("rows");
    texts.map(|text| text.expect("a row")).collect()
}

#[test]
fn examples_are_the_beginnings_of_the_originals_files() {
    for (mark, name, file) in [
        ("manifest", "fix2-rmd160.lab.example", "served/.cvmfspublished"),
        ("whitelist", "fix1.lab.example", "served/.cvmfswhitelist"),
    ] {
        let bytes = Fixture::new(name).file(file);
        let (text, signature) = bytes.split_at(bytes.len() - 256);
        assert_eq!(String::from_utf8_lossy(text), block(mark));
        assert_eq!(signature.len(), 256, "an RSA signature of 2048 bits");
    }
}

#[test]
fn tables_are_those_that_are_written() {
    let name = || "a.example".parse().expect("a repository's name");
    let history = History::new(name()).to_bytes().expect("a database");
    assert_eq!(tables(&history), block("sql history"));
    let reflog = Reflog::new(name()).to_bytes().expect("a database");
    assert_eq!(tables(&reflog), block("sql reflog"));
}
