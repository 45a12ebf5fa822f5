//! What is wrong although every hash and every signature is right: catalogs that contradict themselves or each other.

use varve_publish::{CheckReport, FindingKind};
use varve_repository::{FileData, HardLink, NestedRole, Node};

use crate::forged::{Plan, check_with, directory, entry, file};

/// Asserts that there is exactly one finding of this kind with these words, at this path.
fn assert_finds(change: impl FnOnce(&mut Plan), kind: FindingKind, path: &str, words: &str) {
    let report = check_with(change);
    let found = report.findings.iter().any(|finding| {
        finding.kind == kind && finding.path.as_deref() == Some(path) && finding.problem.contains(words)
    });
    assert!(found, "{kind:?} at {path} with '{words}' is not in {:#?}", report.findings);
}

fn is_sound(report: &CheckReport) -> bool {
    assert!(report.findings.is_empty(), "{:#?}", report.findings);
    report.is_sound()
}

#[test]
fn the_unchanged_repository_is_sound() {
    let report = check_with(|_| {});
    assert!(is_sound(&report));
    assert_eq!((report.catalogs, report.entries, report.referenced_objects, report.orphans), (2, 9, 3, 0));
    assert_eq!((report.hashed_objects, report.stored_objects, report.revision), (6, 6, Some(1)));
}

#[test]
fn stale_link_counts() {
    let gone = |plan: &mut Plan| plan.outer.retain(|(path, _)| *path != "/b");
    assert_finds(gone, FindingKind::LinkCount, "/a", "recorded as 2, it has 1 names");
    let directory = |plan: &mut Plan| entry(&mut plan.outer, "").hard_link.count = 7;
    assert_finds(directory, FindingKind::LinkCount, "/", "recorded as 7, with its directories it is 4");
    let alone =
        |plan: &mut Plan| entry(&mut plan.inner, "/nested/x").hard_link = HardLink { group: 0, count: 2 };
    assert_finds(alone, FindingKind::HardLink, "/nested/x", "belongs to no group");
}

#[test]
fn names_of_one_file_that_differ() {
    let mode = |plan: &mut Plan| entry(&mut plan.outer, "/b").metadata.permissions = 0o600;
    let report = check_with(mode);
    assert!(report.findings.iter().any(|finding| finding.kind == FindingKind::HardLink));
    let elsewhere = |plan: &mut Plan| {
        plan.outer.retain(|(path, _)| *path != "/b");
        let moved = file("/plain/b");
        plan.outer.push((
            "/plain/b",
            varve_repository::Entry { hard_link: HardLink { group: 1, count: 2 }, ..moved },
        ));
    };
    let report = check_with(elsewhere);
    let words: Vec<_> = report.findings.iter().map(|finding| finding.problem.as_str()).collect();
    assert!(words.iter().any(|words| words.contains("in another directory")), "{words:?}");
}

#[test]
fn nested_catalogs_that_are_not_what_they_should_be() {
    let unmarked = |plan: &mut Plan| plan.inner.retain(|(path, _)| !path.ends_with(".cvmfscatalog"));
    assert_finds(unmarked, FindingKind::Nested, "/nested", "has no marker file");
    let marker = |plan: &mut Plan| plan.outer.push(("/plain/.cvmfscatalog", file("/plain/.cvmfscatalog")));
    assert_finds(marker, FindingKind::Nested, "/plain/.cvmfscatalog", "that does not exist");
    let unregistered = |plan: &mut Plan| plan.registered = false;
    assert_finds(unregistered, FindingKind::Nested, "/nested", "but not registered");
    let unflagged = |plan: &mut Plan| entry(&mut plan.outer, "/nested").nested = NestedRole::Plain;
    assert_finds(unflagged, FindingKind::Nested, "/nested", "not flagged so");
    let no_root = |plan: &mut Plan| entry(&mut plan.inner, "/nested").nested = NestedRole::Plain;
    assert_finds(no_root, FindingKind::CatalogTree, "/nested", "root of a nested catalog is not flagged");
    let larger = |plan: &mut Plan| plan.nested_size = Some(1);
    assert_finds(larger, FindingKind::CatalogReference, "/nested", "1 are recorded");
    let mode = |plan: &mut Plan| entry(&mut plan.inner, "/nested").metadata.permissions = 0o700;
    assert_finds(mode, FindingKind::Transition, "/nested", "differ in permissions");
}

#[test]
fn statistics_that_do_not_count_what_is_there() {
    let own =
        |plan: &mut Plan| plan.sql = Some("UPDATE statistics SET value = 9 WHERE counter = 'self_regular'");
    assert_finds(own, FindingKind::Counters, "/", "'regular' is recorded as 9, there are 3");
    let below =
        |plan: &mut Plan| plan.sql = Some("UPDATE statistics SET value = 0 WHERE counter = 'subtree_dir'");
    assert_finds(
        below,
        FindingKind::Counters,
        "/",
        "of the catalogs below, 'dir' is recorded as 0, there are 1",
    );
}

#[test]
fn rows_that_are_no_tree() {
    let lost = |plan: &mut Plan| plan.outer.push(("/nowhere/x", file("/nowhere/x")));
    assert_finds(lost, FindingKind::CatalogTree, "/", "1 rows can't be reached");
    let renamed = |plan: &mut Plan| plan.sql = Some("UPDATE catalog SET name = 'other' WHERE name = 'a'");
    assert_finds(renamed, FindingKind::CatalogTree, "/other", "not found under its path");
    let cut = |plan: &mut Plan| plan.sql = Some("DELETE FROM chunks WHERE offset = 0");
    assert_finds(cut, FindingKind::Entry, "/chunked", "does not follow the one before");
}

#[test]
fn objects_that_are_not_what_the_catalog_says() {
    let longer = |plan: &mut Plan| {
        if let Node::File(content) = &mut entry(&mut plan.inner, "/nested/x").node {
            content.size += 1;
        }
        for path in ["/a", "/b"] {
            plan.outer.retain(|(other, _)| *other != path);
        }
        plan.inner.retain(|(path, _)| !path.ends_with(".cvmfscatalog"));
    };
    assert_finds(
        longer,
        FindingKind::ObjectSize,
        "/nested/x",
        "decompresses to 25 bytes, the catalog lists 26",
    );
    let disagreeing = |plan: &mut Plan| {
        if let Node::File(content) = &mut entry(&mut plan.inner, "/nested/x").node {
            content.size += 1;
        }
    };
    let report = check_with(disagreeing);
    assert!(report.findings.iter().any(|finding| finding.problem.contains("another size or compression")));
    let absent = |plan: &mut Plan| {
        if let Node::File(content) = &mut entry(&mut plan.inner, "/nested/x").node {
            content.data = FileData::Whole(varve_content::Algorithm::Sha1.hash(b"never stored"));
        }
    };
    assert_finds(absent, FindingKind::ObjectMissing, "/nested/x", "is not stored");
}

#[test]
fn a_manifest_of_another_revision_than_its_catalog() {
    let report = check_with(|plan| plan.revision = 2);
    assert_eq!(report.findings.len(), 1);
    assert_eq!(report.findings[0].kind, FindingKind::Manifest);
    let also = check_with(|plan| plan.outer.push(("/more", directory("/more", 2))));
    assert!(!also.is_sound(), "because the root has one directory more than its link count says");
}
