//! The suite that every back end passes: what a store keeps, what a source gives.

use std::time::Duration;

use varve_content::{Algorithm, ContentHash, ObjectKind, ObjectName};
use varve_store::{
    Deadline, DirectoryStore, Freshness, MemoryStore, ObjectSource, ObjectStore, RepositoryFile, StoreError,
};

pub(crate) fn soon() -> Deadline {
    Deadline::after(Duration::from_secs(30))
}

pub(crate) fn name_of(stored: &[u8], algorithm: Algorithm, kind: ObjectKind) -> ObjectName {
    ObjectName::new(algorithm.hash(stored), kind)
}

/// Objects of every algorithm, kind and awkward size, with their names.
pub(crate) fn samples() -> Vec<(ObjectName, Vec<u8>)> {
    let mut samples = Vec::new();
    for algorithm in Algorithm::ALL {
        for (kind, size) in ObjectKind::ALL.into_iter().zip([0, 1, 100, 65_536, 262_144, 700_001]) {
            let stored: Vec<u8> = (0..size).map(|n: u32| (n % 251) as u8 ^ (n >> 9) as u8).collect();
            samples.push((name_of(&stored, algorithm, kind), stored));
        }
    }
    samples
}

/// What holds for every source that was filled with [`samples`] and a manifest `manifest 1`.
pub(crate) fn check_source(source: &dyn ObjectSource) {
    for (name, stored) in samples() {
        let size = stored.len() as u64;
        assert_eq!(source.fetch_to_memory(&name, size, soon()).expect("because it was put"), stored);
        assert_eq!(
            source.fetch_to_memory(&name, size + 100_000, soon()).expect("because it was put"),
            stored
        );
        if size > 0 {
            let refusal = source.fetch_to_memory(&name, size - 1, soon());
            assert!(matches!(refusal, Err(StoreError::TooLarge { .. })), "{name}: {refusal:?}");
        }
    }
    let absent = name_of(b"absent", Algorithm::Sha1, ObjectKind::File);
    assert!(source.fetch_to_memory(&absent, 100, soon()).expect_err("because it was not put").is_absence());
    for freshness in [Freshness::Cached, Freshness::Revalidated] {
        let manifest = source.fetch_file(RepositoryFile::Manifest, freshness, soon());
        assert_eq!(manifest.expect("because it was put"), b"manifest 1");
    }
    let absent = source.fetch_file(RepositoryFile::Reflog, Freshness::Cached, soon());
    assert!(absent.expect_err("because it was not put").is_absence());
    assert!(!source.place().is_empty());
}

/// What holds for every store, beginning with an empty one.
pub(crate) fn check_store(store: &dyn ObjectStore) {
    let samples = samples();
    for (name, stored) in &samples {
        assert!(!store.contains(name).expect("a readable store"));
        assert_eq!(store.stored_size(name).expect("a readable store"), None);
        store.put(name, stored).expect("a writable store");
        store.put(name, stored).expect("because keeping an object again is no error");
        assert!(store.contains(name).expect("a readable store"));
        assert_eq!(store.stored_size(name).expect("a readable store"), Some(stored.len() as u64));
    }
    store.put_file(RepositoryFile::Manifest, b"manifest 0, longer").expect("a writable store");
    store.put_file(RepositoryFile::Manifest, b"manifest 1").expect("a writable store");
    store.sync().expect("a writable store");
    check_source(store);

    let mut listed = Vec::new();
    store
        .list(&mut |name, size| {
            listed.push((name, size));
            Ok(())
        })
        .expect("a readable store");
    let mut expected: Vec<_> = samples.iter().map(|(name, stored)| (*name, stored.len() as u64)).collect();
    listed.sort();
    expected.sort();
    assert_eq!(listed, expected);
    let stopped = store.list(&mut |name, _| {
        Err(StoreError::NotFound { name: name.to_string(), place: "the visitor".into() })
    });
    assert!(stopped.expect_err("because the visitor fails").is_absence());

    let (first, stored) = &samples[2];
    store.remove(first).expect("a writable store");
    store.remove(first).expect("because removing what is not there is no error");
    assert!(!store.contains(first).expect("a readable store"));
    assert!(store.fetch_to_memory(first, 1 << 20, soon()).expect_err("because it was removed").is_absence());
    // The same bytes as another kind of object stay.
    store.put(first, stored).expect("a writable store");
    let chunk = ObjectName::new(first.hash, ObjectKind::Chunk);
    assert_eq!(store.contains(&chunk).expect("a readable store"), first.kind == ObjectKind::Chunk);

    let false_hash: ContentHash = Algorithm::Sha1.hash(b"something else");
    let false_name = ObjectName::new(false_hash, ObjectKind::File);
    store.put(&false_name, b"not what its name says").expect("because a store trusts who puts");
    let found = store.fetch_to_memory(&false_name, 1 << 20, soon());
    assert!(matches!(found, Err(StoreError::WrongHash { .. })), "{found:?}");
    check_threads(store);
}

/// Many threads put and fetch the same objects at once.
fn check_threads(store: &dyn ObjectStore) {
    std::thread::scope(|scope| {
        for thread in 0..8_u32 {
            scope.spawn(move || {
                for n in 0..100_u32 {
                    let stored = (n * (1 + thread % 2)).to_le_bytes().repeat(50);
                    let name = name_of(&stored, Algorithm::Sha1, ObjectKind::File);
                    store.put(&name, &stored).expect("a writable store");
                    let fetched = store.fetch_to_memory(&name, 200, soon());
                    assert_eq!(fetched.expect("because it was put"), stored);
                }
            });
        }
    });
}

#[test]
fn memory() {
    check_store(&MemoryStore::new());
}

#[test]
fn directory() {
    let place = tempfile::tempdir().expect("a temporary directory");
    check_store(&DirectoryStore::create(place.path().join("fix.lab.example")).expect("a writable directory"));
}

#[test]
fn directory_that_others_began() {
    let place = tempfile::tempdir().expect("a temporary directory");
    std::fs::create_dir(place.path().join("data")).expect("a writable directory");
    check_store(&DirectoryStore::open(place.path()).expect("because it has a data directory"));
}
