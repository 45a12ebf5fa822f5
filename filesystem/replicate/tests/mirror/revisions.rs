//! What a replication costs and what it ends with while revisions come and go at the source.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use varve_content::{ObjectKind, ObjectName};
use varve_publish::resign;
use varve_replicate::{MirrorError, MirrorRequest};
use varve_store::{Deadline, Freshness, ObjectSource as _, ObjectStore as _, RepositoryFile};

use crate::workshop::{Original, at, request};

/// A tree of several nested catalogs.
fn grown() -> Original {
    let original = Original::new();
    for directory in 0..6 {
        for file in 0..12 {
            original.write(&format!("d{directory}/f{file}"), format!("{directory} {file}").repeat(50));
        }
    }
    original.publish(10, "v1");
    original
}

#[test]
fn nothing_changed_costs_one_request() {
    let original = grown();
    let (source, replica) = (original.source(), original.replica("replica"));
    let first = original.mirror(&source, &replica, &request()).expect("replicated");
    assert!(first.is_new && first.catalogs > 3, "{first:?}");
    original.check(&replica);
    source.taken();
    let second = original.mirror(&source, &replica, &request()).expect("replicated");
    assert!(!second.is_new && second.revision == first.revision);
    assert_eq!(source.taken(), 1);
}

#[test]
fn a_change_costs_what_it_touches() {
    let original = grown();
    let (source, replica) = (original.source(), original.replica("replica"));
    let first = original.mirror(&source, &replica, &request()).expect("replicated");
    original.write("d3/f3", "changed");
    original.publish(20, "v2");
    let second = original.mirror(&source, &replica, &request()).expect("replicated");
    // Root catalog, the nested one, the file; history, certificate and description.
    assert!(second.is_new && second.objects <= 6, "{second:?}");
    assert!(second.present < first.objects / 2, "{second:?}");
    original.check(&replica);
}

#[test]
fn a_whitelist_that_expires_is_renewed_while_the_manifest_stays() {
    let original = grown();
    let (source, replica) = (original.source(), original.replica("replica"));
    original.mirror(&source, &replica, &request()).expect("replicated");
    let whitelist = || {
        let bytes = replica.fetch_file(
            RepositoryFile::Whitelist,
            Freshness::Cached,
            Deadline::after(std::time::Duration::from_secs(60)),
        );
        bytes.expect("it is there")
    };
    let (before, days) = (whitelist(), 24 * 3600);
    // CernVM-FS signs the whitelist alone; Varve the manifest, too, which is put back.
    let path = original.local.directory.join(".cvmfspublished");
    let manifest = std::fs::read(&path).expect("readable");
    resign(&original.local, None, at(10 * days)).expect("signed");
    std::fs::write(&path, manifest).expect("writable");
    source.taken();
    original.mirror(&source, &replica, &MirrorRequest { now: at(10 * days), ..request() }).expect("held");
    assert_eq!((source.taken(), whitelist() == before), (1, true), "there is time");
    original.mirror(&source, &replica, &MirrorRequest { now: at(25 * days), ..request() }).expect("held");
    assert_ne!(whitelist(), before);
}

#[test]
fn what_was_collected_at_the_source_is_told_as_gone() {
    let original = grown();
    original.write("d1/f1", "newer");
    original.write("d9/only", "here");
    original.publish(20, "v2");
    original.write("d1/f1", "newest");
    original.publish(30, "v3");
    let (source, replica) = (original.source(), original.replica("replica"));
    let tags = varve_publish::list_tags(&original.local, at(30)).expect("readable");
    let root = tags.iter().find(|tag| tag.name.as_str() == "v1").expect("it was made").root_catalog;
    let root = ObjectName::new(root, ObjectKind::Catalog);
    source.missing.lock().insert(root);
    let mirrored = original.mirror(&source, &replica, &request()).expect("replicated");
    let gone: Vec<&str> = mirrored.gone.iter().map(|gone| gone.name.as_str()).collect();
    assert!(gone.contains(&"v1") && !gone.contains(&"v2"), "{gone:?}");
    assert!(mirrored.gone[0].reason.contains("does not exist"), "{mirrored:?}");
    assert!(!replica.contains(&root).expect("readable"));
}

#[test]
fn an_older_revision_that_lost_an_object_is_not_stored_as_complete() {
    let original = grown();
    original.write("d1/f1", "of v2 alone");
    original.publish(20, "v2");
    original.write("d1/f1", "newest");
    original.publish(30, "v3");
    let (source, replica) = (original.source(), original.replica("replica"));
    // Whatever the newest revision has not.
    let newest = original.replica("newest");
    let alone = MirrorRequest { tags: varve_replicate::TagSelection::None, ..request() };
    original.mirror(&original.source(), &newest, &alone).expect("replicated");
    let mut lost = Vec::new();
    let mut note = |name: ObjectName, _| {
        if name.kind == ObjectKind::File && !newest.contains(&name)? {
            lost.push(name);
        }
        Ok(())
    };
    varve_store::DirectoryStore::open(&original.local.directory)
        .expect("there")
        .list(&mut note)
        .expect("listed");
    source.missing.lock().extend(lost);
    let mirrored = original.mirror(&source, &replica, &request()).expect("replicated");
    assert!(mirrored.gone.iter().any(|gone| gone.name == "v2"), "{mirrored:?}");
    let tags = varve_publish::list_tags(&original.local, at(30)).expect("readable");
    let root = tags.iter().find(|tag| tag.name.as_str() == "v2").expect("it was made").root_catalog;
    assert!(!replica.contains(&ObjectName::new(root, ObjectKind::Catalog)).expect("readable"));
    // Once they are there again, the next change brings it.
    source.missing.lock().clear();
    original.write("d1/f1", "once more");
    original.publish(40, "v4");
    let mirrored = original.mirror(&source, &replica, &request()).expect("replicated");
    assert!(mirrored.gone.is_empty(), "{mirrored:?}");
    original.check(&replica);
}

#[test]
fn a_source_that_moves_on_is_followed() {
    let original = Arc::new(grown());
    let (source, replica) = (original.source(), original.replica("replica"));
    let moved = Arc::new(AtomicBool::new(false));
    // In the middle of the copy the next revision is published, and the one before collected at once.
    let next = {
        let (original, moved) = (Arc::clone(&original), Arc::clone(&moved));
        move |number| {
            if number == 8 && !moved.swap(true, Ordering::Relaxed) {
                original.write("d0/f0", "moved on");
                original.publish(20, "v2");
            }
        }
    };
    *source.before.lock() = Some(Box::new(next));
    let tags = varve_publish::list_tags(&original.local, at(10)).expect("readable");
    let old = tags.iter().find(|tag| tag.name.as_str() == "v1").expect("it was made").root_catalog;
    source.missing.lock().insert(ObjectName::new(old, ObjectKind::Catalog));
    let mirrored = original.mirror(&source, &replica, &request());
    // The root catalog of the first was missing from the beginning: whether it was asked for before or after the move.
    match mirrored {
        Ok(mirrored) => assert_eq!(mirrored.revision, 3),
        Err(MirrorError::Incomplete { revision, .. }) => assert_eq!(revision, 2),
        Err(error) => panic!("{error}"),
    }
    let mirrored = original.mirror(&source, &replica, &request()).expect("replicated");
    assert_eq!(mirrored.revision, 3);
}
