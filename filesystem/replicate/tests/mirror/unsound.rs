//! Sources that lie, lose, go back, or belong to somebody else: the replica stays as it was, and the error says why.

use std::fs;

use varve_content::{ObjectKind, ObjectName};
use varve_replicate::{MirrorError, MirrorRequest};
use varve_repository::RepositoryError;
use varve_store::{
    Deadline, DirectoryStore, Freshness, ObjectSource as _, ObjectStore as _, RepositoryFile, StoreError,
};
use varve_testkit::Fixture;

use crate::workshop::{Original, request};

fn published() -> Original {
    let original = Original::new();
    for file in 0..30 {
        original.write(&format!("d{}/f{file}", file % 3), format!("content {file}"));
    }
    original.publish(10, "v1");
    original
}

fn manifest(store: &DirectoryStore) -> Vec<u8> {
    let deadline = Deadline::after(std::time::Duration::from_secs(60));
    store.fetch_file(RepositoryFile::Manifest, Freshness::Cached, deadline).expect("it is there")
}

/// Some object of a file.
fn object(store: &DirectoryStore) -> ObjectName {
    let mut found = None;
    let mut note = |name: ObjectName, _| {
        found = found.or((name.kind == ObjectKind::File).then_some(name));
        Ok(())
    };
    store.list(&mut note).expect("readable");
    found.expect("files were published")
}

#[test]
fn an_object_with_other_bytes_is_refused_and_the_replica_stays() {
    let original = published();
    let replica = original.replica("replica");
    original.mirror(&original.source(), &replica, &request()).expect("replicated");
    let before = manifest(&replica);
    original.write("d0/new", "what is to be damaged");
    original.publish(20, "v2");
    let published = DirectoryStore::open(&original.local.directory).expect("there");
    let mut new = None;
    let mut note = |name: ObjectName, _| {
        if name.kind == ObjectKind::File && !replica.contains(&name)? {
            new = Some(name);
        }
        Ok(())
    };
    published.list(&mut note).expect("readable");
    let path = original.local.directory.join("data").join(new.expect("a new file").path());
    let mut bytes = fs::read(&path).expect("readable");
    let right = bytes.clone();
    bytes[0] ^= 1;
    fs::write(&path, bytes).expect("writable");
    let error = original.mirror(&original.source(), &replica, &request()).expect_err("refused");
    assert!(matches!(error, MirrorError::Source(StoreError::WrongHash { .. })), "{error}");
    assert_eq!(manifest(&replica), before);
    original.check(&replica);
    fs::write(&path, right).expect("writable");
    let again = original.mirror(&original.source(), &replica, &request()).expect("replicated");
    assert!(again.is_new);
    original.check(&replica);
}

#[test]
fn a_newest_revision_that_lacks_an_object_is_not_switched_to() {
    let original = published();
    let (source, replica) = (original.source(), original.replica("replica"));
    let missing = object(&DirectoryStore::open(&original.local.directory).expect("there"));
    source.missing.lock().insert(missing);
    let error = original.mirror(&source, &replica, &request()).expect_err("incomplete");
    let told = error.to_string();
    assert!(matches!(error, MirrorError::Incomplete { revision: 2, .. }), "{told}");
    assert!(told.contains(&missing.to_string()), "{told}");
    assert!(!replica.root().join(".cvmfspublished").exists());
    source.missing.lock().clear();
    original.mirror(&source, &replica, &request()).expect("replicated");
    original.check(&replica);
}

#[test]
fn a_source_that_was_set_back_is_refused() {
    let original = published();
    let old = original.scratch.path().join("old");
    let copied = std::process::Command::new("cp").arg("-r").arg(&original.local.directory).arg(&old).status();
    assert!(copied.expect("cp is there").success());
    original.write("d0/f0", "newer");
    original.publish(20, "v2");
    let replica = original.replica("replica");
    original.mirror(&original.source(), &replica, &request()).expect("replicated");
    let old = DirectoryStore::open(old).expect("there");
    let error = original.mirror(&old, &replica, &request()).expect_err("refused");
    assert!(
        matches!(error, MirrorError::Repository(RepositoryError::Downgrade { offered: 2, seen: 3, .. })),
        "{error}"
    );
    assert!(error.hint().is_some());
}

#[test]
fn the_wrong_place_is_refused() {
    let original = published();
    // Where the repository itself is published.
    let itself = DirectoryStore::open(&original.local.directory).expect("there");
    let error = original.mirror(&original.source(), &itself, &request()).expect_err("refused");
    assert!(matches!(error, MirrorError::Original { .. }), "{error}");
    // Where another repository is.
    let other = original.scratch.path().join("other");
    Fixture::rmd160().copy_served(&other).expect("copyable");
    fs::remove_file(other.join(".cvmfs_master_replica")).expect("it is there");
    let other = DirectoryStore::open(&other).expect("there");
    let error = original.mirror(&original.source(), &other, &request()).expect_err("refused");
    assert!(matches!(error, MirrorError::OtherRepository { .. }), "{error}");
}

#[test]
fn a_source_that_is_not_marked_is_copied_on_demand_only() {
    let original = published();
    fs::remove_file(original.local.directory.join(".cvmfs_master_replica")).expect("it is there");
    let replica = original.replica("replica");
    let error = original.mirror(&original.source(), &replica, &request()).expect_err("refused");
    assert!(matches!(error, MirrorError::NotReplicatable { .. }), "{error}");
    let unmarked = MirrorRequest { unmarked_source: true, ..request() };
    original.mirror(&original.source(), &replica, &unmarked).expect("replicated");
}

#[test]
fn a_manifest_that_nobody_signed_is_refused() {
    let original = published();
    let replica = original.replica("replica");
    let path = original.local.directory.join(".cvmfspublished");
    let mut bytes = fs::read(&path).expect("readable");
    let last = bytes.len() - 5;
    bytes[last] ^= 1;
    fs::write(&path, bytes).expect("writable");
    let error = original.mirror(&original.source(), &replica, &request()).expect_err("refused");
    assert!(matches!(error, MirrorError::Repository(RepositoryError::Trust(_))), "{error}");
    fs::write(&path, "<html>").expect("writable");
    let error = original.mirror(&original.source(), &replica, &request()).expect_err("refused");
    assert!(error.is_integrity(), "{error}");
    assert!(!replica.root().join(".cvmfs_status.json").exists(), "nothing was begun");
}
