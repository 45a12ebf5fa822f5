//! Stopped at every step, a collection leaves a sound repository, and the next one ends as if nothing had happened.

use std::collections::BTreeSet;
use std::fs;
use std::num::NonZeroU64;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use varve_repository::{MetaInfo, PublicKeys, SigningKeys, Trust};
use varve_store::{DirectoryStore, ObjectSink, ObjectSource, ObjectStore};
use varve_testkit::{Fixture, Scratch, TreeBuilder};

use super::*;
use crate::check::{CheckOptions, NoProgress, check};
use crate::create::{CreateRequest, create};
use crate::publish::{PublishRequest, publish};
use crate::settings::SettingsFile;

/// Up to this step, and then as seldom, a collection is stopped a second time.
const SECOND: u64 = 10;

/// A store whose disk is gone after so many changes.
struct Failing {
    store: DirectoryStore,
    left: AtomicU64,
}

impl Failing {
    fn step(&self) -> Result<(), StoreError> {
        let left = self.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1));
        left.map(drop).map_err(|_| {
            let source = std::io::Error::other("the disk is gone");
            StoreError::Io { action: "use", path: self.store.place(), source }
        })
    }
}

impl ObjectSource for Failing {
    fn fetch(
        &self,
        name: &ObjectName,
        limit: u64,
        sink: &mut dyn ObjectSink,
        deadline: Deadline,
    ) -> Result<(), StoreError> {
        self.store.fetch(name, limit, sink, deadline)
    }

    fn fetch_file(
        &self,
        file: RepositoryFile,
        freshness: Freshness,
        deadline: Deadline,
    ) -> Result<Vec<u8>, StoreError> {
        self.store.fetch_file(file, freshness, deadline)
    }

    fn place(&self) -> String {
        self.store.place()
    }
}

impl ObjectStore for Failing {
    fn put(&self, name: &ObjectName, stored: &[u8]) -> Result<(), StoreError> {
        self.step()?;
        self.store.put(name, stored)
    }

    fn contains(&self, name: &ObjectName) -> Result<bool, StoreError> {
        self.store.contains(name)
    }

    fn stored_size(&self, name: &ObjectName) -> Result<Option<u64>, StoreError> {
        self.store.stored_size(name)
    }

    fn remove(&self, name: &ObjectName) -> Result<(), StoreError> {
        self.step()?;
        self.store.remove(name)
    }

    fn list(
        &self,
        visit: &mut dyn FnMut(ObjectName, u64) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        self.store.list(visit)
    }

    fn put_file(&self, file: RepositoryFile, bytes: &[u8]) -> Result<(), StoreError> {
        self.step()?;
        self.store.put_file(file, bytes)
    }

    fn sync(&self) -> Result<(), StoreError> {
        // That data is on the disk is not what is tested here, only that a failure to bring it there ends everything.
        self.step()
    }
}

fn at(seconds: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(2_100_000_000 + seconds)
}

fn local(home: &Path) -> LocalRepository {
    LocalRepository {
        name: Fixture::sha1().name().parse().expect("a name"),
        directory: home.join("served"),
        settings: home.join("settings.toml"),
        keys: home.join("keys"),
        state: home.join("state.json"),
        transaction: home.join("transaction"),
    }
}

/// Six revisions, each with something that no other has.
fn past(home: &Path) -> LocalRepository {
    let local = local(home);
    fs::create_dir_all(&local.keys).expect("creatable");
    let fixture = Fixture::sha1();
    for extension in ["masterkey", "key", "crt", "pub"] {
        let file = format!("{}.{extension}", fixture.name());
        fs::copy(fixture.path("keys").join(&file), local.keys.join(&file)).expect("copyable");
    }
    let settings = SettingsFile::default();
    let request = CreateRequest { settings, meta_info: MetaInfo::default(), owner: (0, 0), now: at(0) };
    create(&local, &request).expect("creatable");
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

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("creatable");
    for entry in fs::read_dir(from).expect("listable").flatten() {
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).expect("copyable");
        }
    }
}

fn stored(local: &LocalRepository) -> BTreeSet<ObjectName> {
    let mut stored = BTreeSet::new();
    let store = DirectoryStore::open(&local.directory).expect("there");
    store
        .list(&mut |name, _| {
            stored.insert(name);
            Ok(())
        })
        .expect("listable");
    stored
}

fn assert_sound(local: &LocalRepository, when: &str) {
    let store = DirectoryStore::open(&local.directory).expect("there");
    let trust = Trust::in_keys(PublicKeys::load(&[local.keys.as_path()]).expect("there"));
    let options = CheckOptions { data: true, threads: 1 };
    let report = check(&store, &local.name, &trust, at(100), options, &NoProgress);
    assert!(report.is_sound(), "{when}: {:#?}", report.findings);
}

fn request(keep: Keep) -> CollectRequest {
    CollectRequest { keep, dry_run: false, threads: NonZeroUsize::MIN, now: at(100) }
}

/// Collects with a disk that is gone after so many steps.
fn collect_failing(local: &LocalRepository, keep: Keep, steps: u64) -> Result<Collected, PublishError> {
    let mut publisher = Publisher::open(local, Expiry::Refused, at(100)).expect("nobody else is at it");
    let store = DirectoryStore::open(&local.directory).expect("there");
    publisher.head.store = Box::new(Failing { store, left: AtomicU64::new(steps) });
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
