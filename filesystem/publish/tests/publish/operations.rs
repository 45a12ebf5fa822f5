//! Every operation, one after the other, as a maintainer would.

use std::time::Duration;

use varve_publish::{
    PublishError, PublishRequest, SettingsFile, Silent, add_tag, info, list_tags, move_tag, publish,
    remove_tags, resign, roll_back,
};
use varve_repository::{HistoryError, RepositoryPath, SignedManifest, TagName};
use varve_testkit::TreeBuilder;

use crate::workshop::{START, Workshop, at, request};

fn tag(name: &str) -> TagName {
    name.parse().expect("a tag")
}

fn tags(workshop: &Workshop) -> Vec<(String, u64)> {
    let mut tags: Vec<_> = list_tags(&workshop.local, at(0))
        .expect("listable")
        .into_iter()
        .map(|tag| (tag.name.to_string(), tag.revision))
        .collect();
    tags.sort();
    tags
}

fn plain() -> SettingsFile {
    SettingsFile { auto_tags: Some(false), ..SettingsFile::default() }
}

fn owned(pairs: &[(&str, u64)]) -> Vec<(String, u64)> {
    pairs.iter().map(|(name, revision)| ((*name).to_owned(), *revision)).collect()
}

#[test]
fn a_new_repository_has_everything_and_is_made_once() {
    let workshop = Workshop::with_repository(SettingsFile::default());
    for file in [".cvmfspublished", ".cvmfswhitelist", ".cvmfsreflog", ".cvmfs_master_replica"] {
        assert!(!workshop.served(file).is_empty(), "{file}");
    }
    let manifest = SignedManifest::parse(&workshop.served(".cvmfspublished")).expect("a manifest");
    let claims = manifest.claims();
    assert_eq!((claims.revision, claims.published, claims.ttl.as_secs()), (1, START, 240));
    assert!(claims.history.is_some() && claims.certificate.is_some() && claims.meta_info.is_some());
    let reflog = workshop.served(".cvmfsreflog");
    assert_eq!(claims.reflog, Some(varve_repository::Reflog::hash(&reflog, Default::default())));
    let reflog = varve_repository::Reflog::read(&reflog).expect("a reflog");
    assert_eq!(reflog.objects().len(), 4);
    assert_eq!(tags(&workshop), owned(&[("generic-2036-07-18T13:20:00Z", 1), ("trunk", 1)]));
    let info = info(&workshop.local, at(0)).expect("readable");
    assert_eq!((info.revision, info.counters.directories, info.counters.entries()), (1, 1, 1));
    let again = workshop.create(SettingsFile::default());
    assert!(matches!(again, Err(PublishError::Exists { .. })));
}

#[test]
fn keys_are_made_where_there_are_none() {
    let workshop = Workshop::new();
    std::fs::remove_dir_all(&workshop.local.keys).expect("removable");
    workshop.create(plain()).expect("creatable");
    assert_eq!(info(&workshop.local, at(0)).expect("readable").revision, 1);
    let names: Vec<_> = std::fs::read_dir(&workshop.local.keys)
        .expect("listable")
        .map(|entry| entry.expect("listable").path().extension().expect("an extension").to_owned())
        .collect();
    assert_eq!(names.len(), 4, "{names:?}");
}

#[test]
fn revisions_follow_changes_only() {
    let workshop = Workshop::with_repository(plain());
    let mut tree = TreeBuilder::new(&workshop.tree);
    tree.file("a", "1").file("b/c", "2").finish();
    let first = workshop.publish(100);
    assert_eq!((first.revision, first.is_new, first.statistics.files_read), (2, true, 2));
    let manifest = workshop.served(".cvmfspublished");
    let same = workshop.publish(200);
    assert_eq!((same.revision, same.is_new, same.statistics.files_read), (2, false, 0));
    assert_eq!(workshop.served(".cvmfspublished"), manifest);
    // A tag is worth a new manifest, but no revision.
    let tagged = PublishRequest { tag: Some((tag("v1"), "one".to_owned())), ..request(&workshop.tree, 300) };
    let named = publish(&workshop.local, &tagged, &Silent).expect("publishable");
    assert_eq!((named.revision, named.is_new), (2, false));
    let refused = publish(&workshop.local, &tagged, &Silent);
    assert!(matches!(refused, Err(PublishError::History(HistoryError::Exists { .. }))));
    tree.file("a", "3").mtime("a", 5, 0).finish();
    let second = workshop.publish(400);
    assert_eq!((second.revision, second.statistics.files_read), (3, 1));
    assert_eq!(tags(&workshop), owned(&[("trunk", 3), ("trunk-previous", 2), ("v1", 2)]));
    // Other settings of the root catalog are a change too.
    std::fs::write(&workshop.local.settings, "auto-tags = true\nttl = 60\n").expect("writable");
    let third = workshop.publish(500);
    assert_eq!((third.revision, third.is_new, third.statistics.files_read), (4, true, 0));
    assert!(tags(&workshop).contains(&("generic-2036-07-18T13:28:20Z".to_owned(), 4)));
}

#[test]
fn young_files_are_read_again() {
    let workshop = Workshop::with_repository(plain());
    let mut tree = TreeBuilder::new(&workshop.tree);
    tree.file("old", "1").mtime("old", START as i64, 0);
    tree.file("young", "2").mtime("young", START as i64 + 99, 0).finish();
    assert_eq!(workshop.publish(100).statistics.files_read, 2);
    // Written within the clock's tick after the publish read it.
    tree.file("young", "3").mtime("young", START as i64 + 99, 0).finish();
    let second = workshop.publish(200);
    assert_eq!((second.statistics.files_read, second.is_new), (1, true));
    assert_eq!(workshop.publish(300).statistics.files_read, 0);
    // Without the memory everything is read; the result is the same.
    std::fs::remove_file(&workshop.local.state).expect("removable");
    let third = workshop.publish(400);
    assert_eq!((third.statistics.files_read, third.is_new), (2, false));
    let everything = PublishRequest { read_everything: true, ..request(&workshop.tree, 500) };
    let fourth = publish(&workshop.local, &everything, &Silent).expect("publishable");
    assert_eq!((fourth.statistics.files_read, fourth.is_new), (2, false));
}

#[test]
fn a_roll_back_is_a_new_revision_of_the_old_tree() {
    let workshop = Workshop::with_repository(plain());
    let mut tree = TreeBuilder::new(&workshop.tree);
    tree.file("n/.cvmfscatalog", "").file("a", "1").finish();
    let one = PublishRequest { tag: Some((tag("one"), String::new())), ..request(&workshop.tree, 100) };
    publish(&workshop.local, &one, &Silent).expect("publishable");
    tree.file("a", "2").mtime("a", 5, 0).file("b", "3").finish();
    let two = PublishRequest { tag: Some((tag("two"), String::new())), ..request(&workshop.tree, 200) };
    publish(&workshop.local, &two, &Silent).expect("publishable");
    let rolled = roll_back(&workshop.local, Some("one"), at(300)).expect("possible");
    assert_eq!(rolled.revision, 4);
    assert!(rolled.removed.iter().any(|tag| tag.name.as_str() == "two"));
    assert_eq!(info(&workshop.local, at(300)).expect("readable").counters.regular_files, 2);
    assert!(tags(&workshop).contains(&("one".to_owned(), 4)));
    assert!(!tags(&workshop).iter().any(|(name, _)| name == "two"));
    let again = roll_back(&workshop.local, Some("one"), at(300));
    assert!(matches!(again, Err(PublishError::AlreadyThere { .. })));
    let unknown = roll_back(&workshop.local, Some("two"), at(300));
    assert!(matches!(unknown, Err(PublishError::History(HistoryError::Unknown { .. }))));
    // The tree is published over it as if nothing had been.
    let next = workshop.publish(400);
    assert_eq!((next.revision, next.is_new), (5, true));
    assert_eq!(info(&workshop.local, at(400)).expect("readable").counters.regular_files, 3);
}

#[test]
fn tags_come_and_go() {
    let workshop = Workshop::with_repository(plain());
    add_tag(&workshop.local, &tag("first"), "text", None, at(1)).expect("possible");
    TreeBuilder::new(&workshop.tree).file("a", "1").finish();
    workshop.publish(100);
    add_tag(&workshop.local, &tag("again"), "", Some("first"), at(200)).expect("possible");
    let expected = owned(&[("again", 1), ("first", 1), ("trunk", 2), ("trunk-previous", 1)]);
    assert_eq!(tags(&workshop), expected);
    assert!(add_tag(&workshop.local, &tag("again"), "", None, at(300)).is_err());
    assert!(add_tag(&workshop.local, &tag("trunk"), "", None, at(300)).is_err());
    assert!(remove_tags(&workshop.local, &[tag("again"), tag("none")], at(300)).is_err());
    assert_eq!(tags(&workshop), expected);
    assert!(remove_tags(&workshop.local, &[tag("trunk")], at(300)).is_err());
    remove_tags(&workshop.local, &[tag("again"), tag("first")], at(300)).expect("possible");
    assert_eq!(tags(&workshop), owned(&[("trunk", 2), ("trunk-previous", 1)]));
}

#[test]
fn a_tag_moves_from_revision_to_revision() {
    let workshop = Workshop::with_repository(plain());
    add_tag(&workshop.local, &tag("first"), "", None, at(1)).expect("possible");
    TreeBuilder::new(&workshop.tree).file("a", "1").finish();
    workshop.publish(100);
    add_tag(&workshop.local, &tag("second"), "", None, at(200)).expect("possible");
    for (of, revision) in [("first", 1), ("second", 2), ("second", 2)] {
        let moved = move_tag(&workshop.local, &tag("moving"), of, &tag(of), at(300)).expect("possible");
        assert_eq!((moved.revision, moved.description.as_str()), (revision, of));
        let expected =
            [("first", 1), ("moving", revision), ("second", 2), ("trunk", 2), ("trunk-previous", 1)];
        assert_eq!(tags(&workshop), owned(&expected));
    }
    assert!(move_tag(&workshop.local, &tag("moving"), "", &tag("none"), at(300)).is_err());
    assert!(move_tag(&workshop.local, &tag("trunk"), "", &tag("first"), at(300)).is_err());
}

#[test]
fn an_expired_whitelist_is_signed_again() {
    let workshop = Workshop::with_repository(plain());
    let month = 31 * 24 * 3600;
    let late = publish(&workshop.local, &request(&workshop.tree, month), &Silent);
    assert!(matches!(late, Err(PublishError::Trust(_))));
    assert!(info(&workshop.local, at(month)).expect("readable").whitelist_expired);
    resign(&workshop.local, Some(Duration::from_secs(7 * 24 * 3600)), at(month)).expect("possible");
    assert!(!info(&workshop.local, at(month)).expect("readable").whitelist_expired);
    workshop.publish(month);
}

#[test]
fn what_is_missing_or_wrong_is_named() {
    let workshop = Workshop::new();
    let unknown = publish(&workshop.local, &request(&workshop.tree, 0), &Silent);
    assert!(matches!(unknown, Err(PublishError::Unknown { .. })));
    workshop.create(plain()).expect("creatable");
    let missing = workshop.tree.join("missing");
    let tree = publish(&workshop.local, &request(&missing, 0), &Silent).expect_err("missing");
    assert!(tree.to_string().contains("missing"), "{tree}");
    // A forged manifest: another revision under the same signature.
    let manifest = workshop.served(".cvmfspublished");
    let text = String::from_utf8_lossy(&manifest).replace("\nS1\n", "\nS9\n");
    std::fs::write(workshop.local.directory.join(".cvmfspublished"), text.as_bytes()).expect("writable");
    let forged = publish(&workshop.local, &request(&workshop.tree, 0), &Silent);
    assert!(matches!(forged, Err(PublishError::Manifest { .. } | PublishError::Trust(_))));
}

#[test]
fn a_part_of_the_repository_is_published() {
    let workshop = Workshop::with_repository(plain());
    TreeBuilder::new(&workshop.tree).file("a", "1").finish();
    let below = |path: &str| RepositoryPath::new(path.as_bytes()).expect("a path");
    for (seconds, path) in [(100, "/x/y"), (200, "/x/z")] {
        let part = PublishRequest { at: below(path), ..request(&workshop.tree, seconds) };
        publish(&workshop.local, &part, &Silent).expect("publishable");
    }
    let info = info(&workshop.local, at(200)).expect("readable");
    assert_eq!((info.revision, info.counters.directories, info.counters.regular_files), (3, 4, 2));
    let part = PublishRequest { at: below("/x/y"), ..request(&workshop.tree, 300) };
    let same = publish(&workshop.local, &part, &Silent).expect("publishable");
    assert_eq!((same.is_new, same.statistics.files_read), (false, 0));
}

#[test]
fn the_same_tree_at_the_same_time_gives_the_same_root() {
    let roots: Vec<_> = (0..2)
        .map(|_| {
            let workshop = Workshop::with_repository(SettingsFile::default());
            let (_, refused) = TreeBuilder::odd(&workshop.tree);
            refused.iter().for_each(|refused| println!("not tested: {refused}"));
            std::fs::File::open(&workshop.tree)
                .and_then(|tree| tree.set_modified(at(0)))
                .expect("its time can be set");
            workshop.publish(100).root_catalog
        })
        .collect();
    assert_eq!(roots[0], roots[1]);
}
