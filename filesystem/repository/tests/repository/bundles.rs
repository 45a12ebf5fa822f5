//! Bundles: every small file is in one, they stay within their limits, and a change of the tree changes few of them.

use std::collections::{BTreeSet, HashSet};

use varve_content::{Algorithm, ContentHash};
use varve_repository::{Bundle, Bundles, CatalogIndex, ContentView, FileContent, FileData, NestedRole, Node};
use varve_store::PlainSize;

use crate::catalog_index::Tree;

/// A tree of a thousand files in twenty directories, whose content depends on their names, but for what `change` does to
/// one; `None` leaves it out.
fn tree(change: impl Fn(u32) -> Option<u64>) -> CatalogIndex {
    let mut tree = Tree::new();
    for directory in 0..20 {
        tree = tree.directory(&format!("/d{directory:02}"), NestedRole::Plain);
    }
    for number in 0..1000_u32 {
        let Some(content) = change(number) else { continue };
        let file = FileContent {
            size: 1 + content % 40_000,
            compression: Default::default(),
            data: FileData::Whole(Algorithm::Sha1.hash(&content.to_le_bytes())),
            external: false,
            direct_io: false,
        };
        let path = format!("/d{:02}/f{number:04}", number / 50);
        tree = tree.file(&path, |entry| entry.node = Node::File(file));
    }
    tree.index().expect("a sound tree")
}

fn usual(number: u32) -> u64 {
    u64::from(number).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 8
}

fn bundles(index: &CatalogIndex) -> Vec<Bundle> {
    let bundles = Bundles::of(index);
    let (mut found, mut row) = (Vec::new(), 0);
    while let Some(rows) = bundles.around(row) {
        assert!(rows.contains(&row));
        assert_eq!(bundles.around(rows.end - 1), Some(rows.clone()));
        row = rows.end;
        found.extend(Bundle::of(index, rows));
    }
    assert_eq!(row, index.len());
    found
}

fn keys(index: &CatalogIndex) -> HashSet<ContentHash> {
    bundles(index).iter().map(|bundle| bundle.key).collect()
}

#[test]
fn every_small_file_is_in_one_bundle_and_found_there() {
    let index = tree(|number| Some(usual(number)));
    let mut seen = BTreeSet::new();
    for bundle in bundles(&index) {
        assert!((2..=128).contains(&bundle.requests.len()));
        let mut size = 0;
        for (position, (row, request)) in bundle.rows().iter().zip(&bundle.requests).enumerate() {
            let entry = index.entry(*row).expect("a row of the bundle");
            assert!(Bundle::may_hold(&entry));
            assert_eq!(bundle.position(*row), Some(position));
            assert!(matches!(entry.content(), Some(ContentView::Whole(hash)) if hash == request.name.hash));
            assert_eq!(request.size, PlainSize::Exact(entry.size()));
            size += entry.size();
            assert!(seen.insert(*row));
        }
        assert!(size <= Bundle::MOST_BYTES);
        assert_eq!(bundle.position(u32::MAX), None);
    }
    // Only files that stand alone between two ends may be left out.
    assert!(seen.len() > 950, "{}", seen.len());
}

#[test]
fn a_changed_a_new_and_a_missing_file_change_few_bundles() {
    let before = keys(&tree(|number| Some(usual(number))));
    assert!(before.len() > 25, "{}", before.len());
    for odd in [3, 400, 997] {
        let changed = keys(&tree(|number| Some(if number == odd { 77 } else { usual(number) })));
        let missing = keys(&tree(|number| (number != odd).then(|| usual(number))));
        for after in [changed, missing] {
            let other = before.difference(&after).count();
            assert!((1..=5).contains(&other), "{other} of {} bundles changed", before.len());
        }
    }
}

#[test]
fn large_empty_and_external_files_are_in_none() {
    let index = Tree::new()
        .file("/a", |_| ())
        .file("/b", |entry| set(entry, |file| file.size = 0))
        .file("/c", |entry| set(entry, |file| file.size = 1 << 20))
        .file("/d", |entry| set(entry, |file| file.external = true))
        .file("/e", |_| ())
        .index()
        .expect("a sound tree");
    let held: Vec<_> = (0..index.len())
        .filter_map(|row| index.entry(row))
        .filter(Bundle::may_hold)
        .map(|entry| entry.name().to_vec())
        .collect();
    assert_eq!(held, [b"a", b"e"]);
}

fn set(entry: &mut varve_repository::Entry, change: impl FnOnce(&mut FileContent)) {
    if let Node::File(file) = &mut entry.node {
        change(file);
    }
}
