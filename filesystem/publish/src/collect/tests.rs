//! Stopped at every step, a collection leaves a sound repository, and the next one ends as if nothing had happened.

use std::collections::BTreeSet;
use std::fs;
use std::num::NonZeroU64;
use std::path::Path;

use varve_repository::SigningKeys;
use varve_testkit::{Scratch, TreeBuilder};

use super::*;
use crate::failing::{assert_sound, at, copy, created, failing_after, local, stored};
use crate::head::Head;
use crate::publish::{PublishRequest, publish};

/// Up to this step, and then as seldom, a collection is stopped a second time.
const SECOND: u64 = 10;

/// Six revisions, each with something that no other has.
fn past(home: &Path) -> LocalRepository {
    let local = created(home);
    for step in 1..6 {
        publish_step(&local, home, step);
    }
    local
}

fn publish_step(local: &LocalRepository, home: &Path, step: u64) {
    let tree = home.join("tree");
    fs::create_dir_all(&tree).expect("creatable");
    TreeBuilder::new(&tree)
        .file("changing", step.to_string())
        .file("nested/changing", format!("n{step}"))
        .file("nested/.cvmfscatalog", "")
        .file("other/.cvmfscatalog", "")
        .finish();
    let request = PublishRequest {
        tree: &tree,
        at: RepositoryPath::ROOT,
        tag: (step == 2).then(|| ("named".parse().expect("a tag"), String::new())),
        read_everything: true,
        threads: NonZeroUsize::MIN,
        memory: 1 << 20,
        now: at(step * 10),
    };
    publish(local, &request, &Silent).expect("publishable");
}

fn request(keep: Keep) -> CollectRequest {
    CollectRequest { keep, dry_run: false, threads: NonZeroUsize::MIN, now: at(100) }
}

/// Collects with a disk that is gone after so many steps.
fn collect_failing(local: &LocalRepository, keep: Keep, steps: u64) -> Result<Collected, PublishError> {
    let mut publisher = Publisher::open(local, Expiry::Refused, at(100)).expect("nobody else is at it");
    publisher.head.store = failing_after(local, steps);
    collect_as(&mut publisher, &request(keep), &Silent)
}

/// Stops at every step from the state in `home`, goes on, and is stopped a second time.
fn stop_everywhere(home: &Path, keep: Keep) -> u64 {
    let whole = Scratch::new();
    copy(home, whole.path());
    let reference = local(whole.path());
    collect(&reference, &request(keep), &Silent).expect("possible");
    assert_sound(&reference, "not stopped");
    let expected = stored(&reference);
    for steps in 0.. {
        let scratch = Scratch::new();
        copy(home, scratch.path());
        let local = local(scratch.path());
        if collect_failing(&local, keep, steps).is_ok() {
            assert_eq!(stored(&local), expected);
            return steps;
        }
        let when = format!("{keep:?}, stopped at step {steps}");
        assert!(
            stored(&local).is_superset(&expected.intersection(&stored_in(home)).copied().collect()),
            "{when}"
        );
        assert_sound(&local, &when);
        // A second time, near the first steps: what the first left is gone on from, whatever the second does.
        if steps < SECOND || steps % SECOND == 0 {
            let _ = collect_failing(&local, keep, steps % 5);
            assert_sound(&local, &format!("{when}, and once more"));
        }
        collect(&local, &request(keep), &Silent).expect("possible");
        assert_eq!(stored(&local), expected, "{when}");
        assert_sound(&local, &format!("{when}, then completed"));
    }
    unreachable!("because a number of steps suffices");
}

fn stored_in(home: &Path) -> BTreeSet<ObjectName> {
    stored(&local(home))
}

#[test]
fn stopped_at_every_step_it_is_sound_and_completed_by_the_next() {
    let scratch = Scratch::new();
    past(scratch.path());
    let one = Keep::Revisions(NonZeroU64::MIN);
    assert!(stop_everywhere(scratch.path(), one) > 20);
    let time = Keep::Since(2_100_000_000 + 45);
    assert!(stop_everywhere(scratch.path(), time) > 10);
}

/// Whether every stored catalog has all below it.
fn assert_catalogs_are_complete(local: &LocalRepository, when: &str) {
    let store = varve_store::DirectoryStore::open(&local.directory).expect("there");
    for root in stored(local).into_iter().filter(|name| name.kind == ObjectKind::Catalog) {
        let reached = Reached::new();
        let roots = [root.hash].into();
        let marked = mark::mark(&store, &roots, &reached, 1, &Silent);
        marked.unwrap_or_else(|error| panic!("{when}, {root}: {error}"));
        let reached = reached.seal();
        let found = stored(local).iter().filter(|name| reached.contains(name)).count() as u64;
        assert_eq!(found, reached.len(), "{when}: below {root}");
    }
}

#[test]
fn a_replica_that_is_stopped_at_every_step_keeps_no_catalog_without_what_it_names() {
    let scratch = Scratch::new();
    let original = past(scratch.path());
    let keep = Keep::Revisions(NonZeroU64::MIN);
    let request = request(keep);
    // What no tag names any more is garbage: the replica of a source that has removed its tags.
    let automatic = crate::list_tags(&original, at(100)).expect("readable");
    let automatic: Vec<_> = automatic.into_iter().map(|tag| tag.name).collect();
    let automatic: Vec<_> =
        automatic.into_iter().filter(|name| name.as_str().starts_with("generic")).collect();
    crate::remove_tags(&original, &automatic, at(100)).expect("removable");
    fs::remove_file(original.directory.join(".cvmfs_master_replica")).expect("it is there");
    fs::remove_file(original.keys.join(format!("{}.key", original.name))).expect("it is there");
    let mut removed = 0;
    for steps in 0.. {
        let copied = Scratch::new();
        copy(scratch.path(), copied.path());
        let local = local(copied.path());
        let mut head = Head::open(&local, Expiry::Ignored, at(100)).expect("readable");
        head.store = failing_after(&local, steps);
        let outcome = replica::collect_in(&head, &request, &Silent);
        assert_catalogs_are_complete(&local, &format!("stopped at step {steps}"));
        assert_sound(&local, &format!("stopped at step {steps}"));
        let stopped = outcome.is_err();
        let collected = collect(&local, &request, &Silent).expect("the next one goes on");
        removed = removed.max(collected.removed.objects);
        assert_catalogs_are_complete(&local, "completed");
        assert_sound(&local, "completed");
        assert_eq!(collect(&local, &request, &Silent).expect("nothing is left").removed, Amount::default());
        if !stopped {
            assert!(steps > 5 && removed > 5, "{steps} steps, {removed} objects");
            return;
        }
    }
}

#[test]
fn what_an_interrupted_publish_left_is_garbage() {
    let scratch = Scratch::new();
    let local = past(scratch.path());
    let switched = local.directory.join(RepositoryFile::Manifest.name());
    let manifest = fs::read(&switched).expect("there");
    let before = stored(&local);
    publish_step(&local, scratch.path(), 7);
    // As it is when the publish is killed just before it switches the manifest.
    fs::write(&switched, manifest).expect("writable");
    assert_sound(&local, "interrupted");
    stop_everywhere(scratch.path(), Keep::Revisions(NonZeroU64::MIN));
    let everything = Keep::Revisions(NonZeroU64::new(100).expect("not zero"));
    let collected = collect(&local, &request(everything), &Silent).expect("possible");
    assert_eq!((collected.revisions_kept, collected.revisions_removed), (6, 1));
    assert!(stored(&local).is_superset(&before));
    assert_sound(&local, "collected");
    publish_step(&local, scratch.path(), 8);
    assert_sound(&local, "published");
}

#[test]
fn with_a_new_key_it_is_sound_at_every_step_too() {
    let scratch = Scratch::new();
    let local = past(scratch.path());
    let old = SigningKeys::load(&local.keys, &local.name).expect("there");
    let others = [old.certificate().fingerprint(Default::default())];
    let new =
        SigningKeys::generate(&local.name, at(0), Duration::from_secs(1 << 25)).expect("random numbers");
    for extension in ["masterkey", "key", "crt", "pub"] {
        fs::remove_file(local.keys.join(format!("{}.{extension}", local.name))).expect("there");
    }
    new.save(&local.keys).expect("writable");
    let whitelist = new.sign_whitelist(at(0), at(1 << 25), &others, Default::default()).expect("signable");
    fs::write(local.directory.join(RepositoryFile::Whitelist.name()), whitelist).expect("writable");
    assert_sound(&local, "before");
    stop_everywhere(scratch.path(), Keep::Revisions(NonZeroU64::MIN));
    // The whitelist still names the old certificate: it stays.
    collect(&local, &request(Keep::Revisions(NonZeroU64::MIN)), &Silent).expect("possible");
    let certificates = stored(&local).into_iter().filter(|name| name.kind == ObjectKind::Certificate);
    assert_eq!(certificates.count(), 2);
}
