//! The differences between revisions are those between what the original's client shows of them.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use varve_content::ContentHash;
use varve_publish::{Aspect, Change, Difference, diff};
use varve_repository::{CatalogLoader, CatalogReference, RepositoryError, RepositoryPath, Snapshot};
use varve_store::{Cache, CacheConfig, Deadline, DirectoryStore};
use varve_testkit::{ExpectedEntry, Fixture, Scratch};

fn loader(fixture: &Fixture, scratch: &Scratch) -> Arc<CatalogLoader> {
    let store = DirectoryStore::open(fixture.served()).expect("because it is there");
    let cache = Cache::open(&CacheConfig::new(scratch.directory("cache"), crate::fixture::now))
        .expect("because it is writable");
    Arc::new(CatalogLoader::new(Arc::new(store), Arc::new(cache)))
}

fn root(fixture: &Fixture, tag: &str) -> ContentHash {
    let magic = fixture.magic(Some(tag)).expect("because it is there").root;
    let hash = magic.iter().find(|(name, _)| name == "root_hash").expect("because it was recorded");
    hash.1.parse().expect("because it is a hash")
}

fn differences(fixture: &Fixture, old: &str, new: &str) -> Vec<Difference> {
    let scratch = Scratch::new();
    let loader = loader(fixture, &scratch);
    let snapshot = |tag| {
        let reference = CatalogReference { path: RepositoryPath::ROOT, hash: root(fixture, tag), size: None };
        Snapshot::new(Arc::clone(&loader), reference)
    };
    let mut found = Vec::new();
    let deadline = Deadline::after(Duration::from_secs(60));
    diff::<RepositoryError>(&snapshot(old), &snapshot(new), deadline, &mut |difference| {
        found.push(difference);
        Ok(())
    })
    .expect("because the fixture is sound");
    found
}

/// A path as listings write it.
fn shown(path: &RepositoryPath) -> Vec<u8> {
    if path.is_root() { b"/".to_vec() } else { path.as_bytes().to_vec() }
}

#[test]
fn differences_are_those_of_the_listings() {
    let fixture = Fixture::sha1();
    for (old, new) in [("v1", "v2"), ("v2", "v3"), ("v3", "v1"), ("v1-nohl", "v1"), ("v1", "v2-none")] {
        let list = |tag| -> BTreeMap<Vec<u8>, ExpectedEntry> {
            let entries = fixture.expected(Some(tag)).expect("because it is there");
            entries.into_iter().map(|entry| (entry.path.clone(), entry)).collect()
        };
        let (before, after) = (list(old), list(new));
        let mut told = BTreeMap::new();
        for difference in differences(&fixture, old, new) {
            let kind = match &difference.change {
                Change::Added(_) => 'A',
                Change::Removed(_) => 'R',
                Change::Modified { .. } => 'M',
            };
            assert!(told.insert(shown(&difference.path), kind).is_none(), "{} twice", difference.path);
        }
        for (path, entry) in &before {
            match after.get(path) {
                None => assert_eq!(told.remove(path), Some('R'), "{entry:?}"),
                Some(other) => {
                    // The number of directories in a directory is no difference of its own.
                    let differs = ExpectedEntry { nlink: 0, ..entry.clone() }
                        != ExpectedEntry { nlink: 0, ..other.clone() };
                    let modified = told.remove(path);
                    // How bytes are stored is a difference that the listing does not show.
                    assert!(!differs || modified == Some('M'), "{entry:?} {other:?}");
                    assert!(differs || modified.is_none() || entry.kind == 'f', "{entry:?} {other:?}");
                }
            }
        }
        for path in after.keys().filter(|path| !before.contains_key(*path)) {
            assert_eq!(told.remove(path), Some('A'), "{}", String::from_utf8_lossy(path));
        }
        assert!(told.is_empty(), "{old} to {new}: {told:?}");
    }
}

#[test]
fn a_revision_does_not_differ_from_itself() {
    let fixture = Fixture::sha1();
    assert_eq!(differences(&fixture, "v3", "v3"), []);
}

#[test]
fn what_is_stored_otherwise_differs_in_content_only() {
    let fixture = Fixture::sha1();
    let found = differences(&fixture, "v1", "v2-none");
    assert!(found.iter().any(|difference| matches!(&difference.change, Change::Added(_))));
    let forth = differences(&fixture, "v2", "v3");
    let back = differences(&fixture, "v3", "v2");
    assert_eq!(forth.len(), back.len());
    let renamed = forth.iter().any(|difference| {
        matches!(&difference.change, Change::Modified { aspects, .. } if aspects.contains(&Aspect::Content))
    });
    assert!(renamed);
}
