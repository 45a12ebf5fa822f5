//! The repositories that CernVM-FS wrote, replicated and checked byte by byte.

use std::collections::BTreeMap;

use varve_content::ObjectName;
use varve_replicate::{Mirror, TagSelection, UnseenProgress};
use varve_store::{Deadline, DirectoryStore, Freshness, ObjectSource as _, ObjectStore as _, RepositoryFile};
use varve_testkit::{Fixture, Scratch};

use crate::workshop::{check_sound, fixture_trust, request};

#[test]
fn repositories_of_the_original_are_copied_whole() {
    for fixture in Fixture::all() {
        let (scratch, trust) = (Scratch::new(), fixture_trust(&fixture));
        let name = fixture.name().parse().expect("a name");
        let source = DirectoryStore::open(fixture.served()).expect("it is there");
        let replica = DirectoryStore::create(scratch.path().join("replica")).expect("creatable");
        let mirror = Mirror { name: &name, source: &source, replica: &replica, trust: &trust };
        let mirrored = mirror.run(&request(), &UnseenProgress).expect("replicated");
        assert!(mirrored.is_new && mirrored.gone.is_empty(), "{mirrored:?}");
        let deadline = Deadline::after(std::time::Duration::from_secs(60));
        for file in [RepositoryFile::Manifest, RepositoryFile::Whitelist] {
            let read = |store: &DirectoryStore| store.fetch_file(file, Freshness::Cached, deadline);
            assert_eq!(read(&replica).expect("copied"), read(&source).expect("it is there"), "{file}");
        }
        let original = replica.fetch_file(RepositoryFile::MasterReplica, Freshness::Cached, deadline);
        assert!(original.expect_err("a replica is no original").is_absence());
        check_sound(&replica, &name, &trust);
        // A replica can be replicated, without the mark that only originals have.
        let second = DirectoryStore::create(scratch.path().join("second")).expect("creatable");
        let mirror = Mirror { name: &name, source: &replica, replica: &second, trust: &trust };
        mirror.run(&request(), &UnseenProgress).expect("replicated");
        assert_eq!(stored(&second), stored(&replica));
        check_sound(&second, &name, &trust);
    }
}

#[test]
fn the_newest_revision_alone_is_less() {
    let (scratch, fixture) = (Scratch::new(), Fixture::sha1());
    let (name, trust) = (fixture.name().parse().expect("a name"), fixture_trust(&fixture));
    let source = DirectoryStore::open(fixture.served()).expect("it is there");
    let replica = DirectoryStore::create(scratch.path().join("replica")).expect("creatable");
    let mirror = Mirror { name: &name, source: &source, replica: &replica, trust: &trust };
    let newest = varve_replicate::MirrorRequest { tags: TagSelection::None, ..request() };
    let dry = varve_replicate::MirrorRequest { dry_run: true, ..newest.clone() };
    let would = mirror.run(&dry, &UnseenProgress).expect("looked at");
    assert!(stored(&replica).is_empty(), "a dry run stores nothing");
    let first = mirror.run(&newest, &UnseenProgress).expect("replicated");
    // What two catalogs need is counted for each of them in a dry run.
    assert!(first.tagged == 0 && (1..=would.objects).contains(&first.objects), "{first:?} {would:?}");
    // Then the tagged ones are wanted, too: only what is missing is fetched.
    let all = mirror.run(&request(), &UnseenProgress).expect("replicated");
    assert!(all.tagged > 0 && all.present > 0 && all.is_new, "{all:?}");
    check_sound(&replica, &name, &trust);
    let unchanged = mirror.run(&newest, &UnseenProgress).expect("replicated");
    assert!(!unchanged.is_new, "what is held covers what is wanted");
}

/// All objects of a store with their sizes.
fn stored(store: &DirectoryStore) -> BTreeMap<ObjectName, u64> {
    let mut stored = BTreeMap::new();
    let mut note = |name, size| {
        stored.insert(name, size);
        Ok(())
    };
    store.list(&mut note).expect("readable");
    stored
}
