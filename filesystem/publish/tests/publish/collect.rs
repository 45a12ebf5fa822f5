//! A collection keeps exactly what it promises, compared with another computation of it.
#![allow(clippy::print_stdout)]

use std::collections::{BTreeMap, BTreeSet};
use std::num::{NonZeroU64, NonZeroUsize};
use std::time::Duration;

use varve_content::{Compression, ContentHash, ObjectKind, ObjectName, decompress};
use varve_publish::{
    CheckOptions, CheckReport, ChunkFile, CollectError, CollectRequest, Collected, Keep, LocalRepository,
    NestingFile, NoProgress, PublishError, SettingsFile, Silent, add_tag, check, collect, list_tags,
    remove_tags, roll_back,
};
use varve_repository::{CatalogReader, FileData, Node, PublicKeys, Reflog, SignedManifest, Trust};
use varve_store::{AwsEnvironment, Deadline, DirectoryStore, ObjectSource as _, ObjectStore as _};
use varve_testkit::{Fixture, Random, Scratch, TreeBuilder};

use crate::fixture::{self, check_at};
use crate::workshop::{START, Workshop, at};

const HOUR: u64 = 3600;

fn settings() -> SettingsFile {
    SettingsFile {
        chunks: Some(ChunkFile { minimum: 4096, average: 8192, maximum: 16384 }),
        nesting: Some(NestingFile {
            automatic: Some(true),
            maximum_entries: Some(20),
            minimum_entries: Some(4),
        }),
        ..SettingsFile::default()
    }
}

fn store(workshop: &Workshop) -> DirectoryStore {
    DirectoryStore::open(&workshop.local.directory).expect("because it was published")
}

fn stored(workshop: &Workshop) -> BTreeMap<ObjectName, u64> {
    let mut stored = BTreeMap::new();
    store(workshop)
        .list(&mut |name, size| {
            stored.insert(name, size);
            Ok(())
        })
        .expect("listable");
    stored
}

fn check_data(workshop: &Workshop, seconds: u64) -> CheckReport {
    let keys = PublicKeys::load(&[workshop.local.keys.as_path()]).expect("because they are there");
    let options = CheckOptions { data: true, threads: 2 };
    check(&store(workshop), &workshop.local.name, &Trust::in_keys(keys), at(seconds), options, &NoProgress)
}

fn run(workshop: &Workshop, keep: Keep, dry_run: bool, seconds: u64) -> Result<Collected, PublishError> {
    let threads = NonZeroUsize::new(2).expect("not zero");
    collect(&workshop.local, &CollectRequest { keep, dry_run, threads, now: at(seconds) }, &Silent)
}

fn newest(number: u64) -> Keep {
    Keep::Revisions(NonZeroU64::new(number).expect("not zero"))
}

/// What was published, as the test itself remembers it.
#[derive(Clone, Copy, Debug)]
struct Remembered {
    revision: u64,
    root: ContentHash,
    published: u64,
}

/// Everything that a catalog and those nested in it need.
fn walk(store: &DirectoryStore, root: ContentHash, needed: &mut BTreeSet<ObjectName>) {
    let name = ObjectName::new(root, ObjectKind::Catalog);
    if !needed.insert(name) {
        return;
    }
    let bytes = store
        .fetch_to_memory(&name, u64::MAX, Deadline::after(Duration::from_secs(60)))
        .expect("because it is kept");
    let plain = decompress(&bytes, Compression::Zlib, 1 << 30).expect("because the hash is right");
    let reader = CatalogReader::from_bytes(plain).expect("a catalog");
    reader
        .for_each_entry::<varve_repository::CatalogError>(|_, _, entry| {
            if let Node::File(file) = entry.node {
                match file.data {
                    FileData::Whole(hash) => drop(needed.insert(ObjectName::new(hash, ObjectKind::File))),
                    FileData::Chunked { chunks, whole, .. } => {
                        needed.extend(
                            chunks.iter().map(|chunk| ObjectName::new(chunk.hash, ObjectKind::Chunk)),
                        );
                        needed.extend(whole.map(|whole| ObjectName::new(whole, ObjectKind::File)));
                    }
                }
            }
            Ok(())
        })
        .expect("readable");
    for nested in reader.nested().expect("readable") {
        walk(store, nested.hash, needed);
    }
}

/// What has to be there after a collection, by the promises and not by the code.
fn expected(workshop: &Workshop, all: &[Remembered], keep: Keep, logged: &Reflog) -> BTreeSet<ObjectName> {
    let head = all.last().expect("because something was published");
    let mut kept: BTreeSet<ContentHash> = BTreeSet::from([head.root]);
    for (index, one) in all.iter().enumerate() {
        let wanted = match keep {
            Keep::Revisions(number) => one.revision + number.get() > head.revision,
            Keep::Since(time) => all.get(index + 1).is_none_or(|next| next.published >= time),
        };
        if wanted && store(workshop).contains(&ObjectName::new(one.root, ObjectKind::Catalog)).expect("known")
        {
            kept.insert(one.root);
        }
    }
    let since = match keep {
        Keep::Since(time) => time,
        Keep::Revisions(number) => {
            let mut times = all.iter().filter(|one| one.revision + number.get() > head.revision);
            times.find(|one| kept.contains(&one.root)).expect("the newest at least").published
        }
    };
    let tags = list_tags(&workshop.local, at(0)).expect("listable");
    kept.extend(
        tags.iter().filter(|tag| !tag.name.as_str().starts_with("generic-")).map(|tag| tag.root_catalog),
    );
    let mut needed = BTreeSet::new();
    let store = store(workshop);
    kept.iter().for_each(|root| walk(&store, *root, &mut needed));
    let young = logged.objects().iter().filter(|object| object.logged >= since);
    needed.extend(young.map(|object| object.name).filter(|name| name.kind != ObjectKind::Catalog));
    needed
}

fn manifest_objects(workshop: &Workshop) -> [ObjectName; 3] {
    let manifest = SignedManifest::parse(&workshop.served(".cvmfspublished")).expect("a manifest");
    let claims = manifest.claims();
    [
        ObjectName::new(claims.certificate.expect("named"), ObjectKind::Certificate),
        ObjectName::new(claims.history.expect("named"), ObjectKind::History),
        ObjectName::new(claims.meta_info.expect("named"), ObjectKind::MetaInfo),
    ]
}

#[test]
fn after_any_past_exactly_what_was_promised_is_there() {
    for seed in 0..3 {
        let mut random = Random::new(seed);
        let workshop = Workshop::with_repository(settings());
        let mut all = vec![Remembered {
            revision: 1,
            root: SignedManifest::parse(&workshop.served(".cvmfspublished"))
                .expect("one")
                .claims()
                .root_catalog,
            published: START,
        }];
        let mut removed = 0;
        for step in 1..40 {
            let now = step * HOUR;
            let length = 1 + random.below(30_000) as usize;
            let text = random.text(length);
            let mut tree = TreeBuilder::new(&workshop.tree);
            tree.file(format!("d{}/f{}", random.below(4), random.below(30)), &text);
            tree.file(format!("same/{}", random.below(5)), &text);
            if random.below(4) == 0 {
                tree.file(format!("d{}/.cvmfscatalog", random.below(4)), "");
            }
            tree.finish();
            match random.below(10) {
                0..=5 => {
                    let published = workshop.publish(now);
                    if published.is_new {
                        let (revision, root) = (published.revision, published.root_catalog);
                        all.push(Remembered { revision, root, published: START + now });
                    }
                }
                6 => {
                    let name = format!("tag{step}").parse().expect("a tag");
                    add_tag(&workshop.local, &name, "", None, at(now)).expect("possible");
                }
                7 => {
                    let tags = list_tags(&workshop.local, at(now)).expect("listable");
                    let mut names = tags.into_iter().map(|tag| tag.name);
                    if let Some(name) = names.find(|name| name.as_str().starts_with("tag")) {
                        remove_tags(&workshop.local, &[name], at(now)).expect("possible");
                    }
                }
                8 => {
                    let tags = list_tags(&workshop.local, at(now)).expect("listable");
                    let to = tags[random.below(tags.len() as u64) as usize].name.clone();
                    if let Ok(rolled) = roll_back(&workshop.local, Some(to.as_str()), at(now)) {
                        let (revision, root) = (rolled.revision, rolled.root_catalog);
                        all.push(Remembered { revision, root, published: START + now });
                    }
                }
                _ => {
                    let keep = match random.below(2) {
                        0 => newest(1 + random.below(6)),
                        _ => Keep::Since(START + now.saturating_sub(random.below(12 * HOUR))),
                    };
                    removed += collect_and_compare(&workshop, &all, keep, now);
                }
            }
        }
        removed += collect_and_compare(&workshop, &all, newest(1), 50 * HOUR);
        assert!(removed > 20, "only {removed} objects were removed");
        workshop.publish(60 * HOUR);
        assert!(check_data(&workshop, 60 * HOUR).is_sound());
    }
}

fn collect_and_compare(workshop: &Workshop, all: &[Remembered], keep: Keep, now: u64) -> u64 {
    let before = stored(workshop);
    let reflog = Reflog::read(&workshop.served(".cvmfsreflog")).expect("a log");
    let mut expected = expected(workshop, all, keep, &reflog);
    let files = [".cvmfspublished", ".cvmfsreflog"].map(|file| workshop.served(file));
    let predicted = run(workshop, keep, true, now).expect("possible");
    assert_eq!(stored(workshop), before);
    assert_eq!([".cvmfspublished", ".cvmfsreflog"].map(|file| workshop.served(file)), files);
    let done = run(workshop, keep, false, now).expect("possible");
    let after = stored(workshop);
    expected.extend(manifest_objects(workshop));
    assert_eq!(after.keys().copied().collect::<BTreeSet<_>>(), expected, "{keep:?}");
    let gone: Vec<_> = before.iter().filter(|(name, _)| !after.contains_key(name)).collect();
    assert_eq!(done.removed.objects, gone.len() as u64);
    assert_eq!(done.removed.bytes, gone.iter().map(|(_, size)| **size).sum::<u64>());
    assert_eq!(done.kept.bytes, after.values().sum::<u64>());
    assert_eq!(
        (predicted.removed, predicted.revisions_kept, predicted.revisions_removed, &predicted.tags_removed),
        (done.removed, done.revisions_kept, done.revisions_removed, &done.tags_removed)
    );
    let report = check_data(workshop, now);
    assert!(report.is_sound(), "{:#?}", report.findings);
    assert_eq!(report.orphans, 0, "{:?}", report.orphan_list);
    // Nothing is left to do, and nothing is done.
    let files = [".cvmfspublished", ".cvmfsreflog"].map(|file| workshop.served(file));
    let again = run(workshop, keep, false, now).expect("possible");
    assert_eq!((again.removed.objects, again.revisions_removed), (0, 0));
    assert_eq!([".cvmfspublished", ".cvmfsreflog"].map(|file| workshop.served(file)), files);
    done.removed.objects
}

#[test]
fn what_forbids_a_collection_is_named_and_nothing_is_removed() {
    let workshop = Workshop::with_repository(SettingsFile {
        garbage_collectable: Some(false),
        ..SettingsFile::default()
    });
    TreeBuilder::new(&workshop.tree).file("a", "1").finish();
    workshop.publish(10);
    let before = stored(&workshop);
    let refused = run(&workshop, newest(1), false, 20).expect_err("forbidden");
    assert!(matches!(refused, PublishError::Collect(CollectError::Forbidden { .. })), "{refused}");
    assert!(refused.hint().is_some_and(|hint| hint.contains("garbage-collectable")));
    // The manifest has to say it too: a replica knows no settings.
    std::fs::write(&workshop.local.settings, "garbage-collectable = true\n").expect("writable");
    assert!(run(&workshop, newest(1), false, 20).is_err());
    assert_eq!(stored(&workshop), before);
    let name = "named".parse().expect("a tag");
    add_tag(&workshop.local, &name, "", None, at(30)).expect("possible");
    run(&workshop, newest(1), false, 40).expect("permitted");
    // Without a log, or with another one, nobody knows what there is.
    let log = workshop.local.directory.join(".cvmfsreflog");
    let sound = std::fs::read(&log).expect("there");
    let before = stored(&workshop);
    let mut other = sound.clone();
    other[sound.len() / 2] ^= 1;
    for damage in [None, Some(other)] {
        match damage {
            None => std::fs::remove_file(&log).expect("removable"),
            Some(bytes) => std::fs::write(&log, bytes).expect("writable"),
        }
        let refused = run(&workshop, newest(1), false, 50).expect_err("no log");
        assert!(matches!(refused, PublishError::Collect(CollectError::Reflog { .. })), "{refused}");
    }
    std::fs::write(&log, sound).expect("writable");
    assert_eq!(stored(&workshop), before);
}

#[test]
fn a_kept_revision_that_cannot_be_read_ends_it_before_anything_is_removed() {
    let workshop = Workshop::with_repository(SettingsFile { auto_tags: Some(false), ..settings() });
    let mut roots = Vec::new();
    for step in 1..6_u64 {
        TreeBuilder::new(&workshop.tree).file("a", step.to_string()).finish();
        roots.push(workshop.publish(step * 10).root_catalog);
    }
    let damaged = ObjectName::new(roots[3], ObjectKind::Catalog);
    std::fs::write(workshop.local.directory.join("data").join(damaged.path()), "damaged").expect("writable");
    let before = stored(&workshop);
    let refused = run(&workshop, newest(1), false, 100).expect_err("trunk-previous is damaged");
    assert!(matches!(refused, PublishError::Collect(CollectError::Load { .. })), "{refused}");
    assert_eq!(stored(&workshop), before);
}

#[test]
fn what_cernvm_fs_published_is_taken_over_and_collected() {
    for fixture in Fixture::all() {
        let scratch = Scratch::new();
        let local = LocalRepository {
            name: fixture::name(&fixture),
            directory: scratch.directory("served"),
            settings: scratch.join("settings.toml"),
            keys: scratch.directory("keys"),
            state: scratch.join("state.json"),
            transaction: scratch.join("transaction"),
            aws: AwsEnvironment::default(),
        };
        fixture.copy_served(&local.directory).expect("because it is writable");
        for entry in std::fs::read_dir(fixture.path("keys")).expect("there").flatten() {
            std::fs::copy(entry.path(), local.keys.join(entry.file_name())).expect("because it is writable");
        }
        let before = check_at(&fixture, &local.directory, true);
        let threads = NonZeroUsize::new(2).expect("not zero");
        let request = |dry_run| CollectRequest { keep: newest(1), dry_run, threads, now: fixture::now() };
        let planned = match collect(&local, &request(true), &Silent) {
            Err(PublishError::Collect(CollectError::Forbidden { .. })) => continue,
            planned => planned.expect("possible"),
        };
        let done = collect(&local, &request(false), &Silent).expect("possible");
        assert_eq!(planned.removed, done.removed);
        let after = check_at(&fixture, &local.directory, true);
        println!("{}: {done:?}, {} orphans before", fixture.name(), before.orphans);
        assert!(after.is_sound(), "{}: {:#?}", fixture.name(), after.findings);
        assert_eq!(after.orphans, 0, "{}: {:?}", fixture.name(), after.orphan_list);
        assert_eq!(
            after.stored_objects + done.removed.objects,
            before.stored_objects + written(&done, &planned)
        );
        assert!(check_at(&fixture, &local.directory, false).catalogs > 0);
    }
}

/// How many objects a collection has written itself: a history and a certificate at most.
fn written(done: &Collected, planned: &Collected) -> u64 {
    done.kept.objects - planned.kept.objects
}

#[test]
fn monitoring_is_told_when_the_last_one_ended() {
    let workshop = Workshop::with_repository(SettingsFile::default());
    let status = workshop.local.directory.join(".cvmfs_status.json");
    run(&workshop, newest(1), true, HOUR).expect("possible");
    assert!(!status.exists(), "because nothing was collected");
    std::fs::write(&status, r#"{"check_status": "succeeded"}"#).expect("writable");
    run(&workshop, newest(1), false, HOUR).expect("possible");
    let text = String::from_utf8(workshop.served(".cvmfs_status.json")).expect("text");
    assert!(text.contains("\"last_gc\": \"") && text.contains("\"check_status\": \"succeeded\""), "{text}");
}
