//! What is particular to a store in a directory.

use std::fs;

use varve_content::{Algorithm, ObjectKind};
use varve_store::{DirectoryStore, ObjectSource, ObjectStore, StoreError};

use crate::conformance::{name_of, soon};

#[test]
fn a_file_that_was_torn_is_written_again() {
    let place = tempfile::tempdir().expect("a temporary directory");
    let store = DirectoryStore::create(place.path()).expect("a writable directory");
    let name = name_of(b"content", Algorithm::Sha1, ObjectKind::File);
    fs::write(place.path().join("data").join(name.path()), b"cont").expect("a writable directory");
    assert!(matches!(store.fetch_to_memory(&name, 100, soon()), Err(StoreError::WrongHash { .. })));
    store.put(&name, b"content").expect("a writable store");
    assert_eq!(store.fetch_to_memory(&name, 100, soon()).expect("because it is whole now"), b"content");
}

#[test]
fn what_is_being_written_is_not_listed() {
    let place = tempfile::tempdir().expect("a temporary directory");
    let store = DirectoryStore::create(place.path()).expect("a writable directory");
    fs::write(place.path().join("data/txn/1-1"), b"half an object").expect("a writable directory");
    fs::write(place.path().join("data/aa/not-an-object"), b"").expect("a writable directory");
    let listed = store.list(&mut |name, _| panic!("{name} is no object"));
    listed.expect("a readable store");
}

#[test]
fn a_directory_without_data_is_no_store() {
    let place = tempfile::tempdir().expect("a temporary directory");
    assert!(DirectoryStore::open(place.path()).expect_err("because it is empty").is_absence());
}
