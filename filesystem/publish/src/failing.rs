//! For tests that stop an operation at every step: a repository in a temporary home, and whether it is sound.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::time::{Duration, SystemTime};

use varve_content::ObjectName;
use varve_repository::{MetaInfo, PublicKeys, Trust};
use varve_store::{DirectoryStore, FailingStore, ObjectStore};
use varve_testkit::Fixture;

use crate::check::{CheckOptions, NoProgress, check};
use crate::create::{CreateRequest, create};
use crate::local::LocalRepository;
use crate::settings::SettingsFile;

/// The store of a repository, on which so many changes succeed.
pub(crate) fn failing_after(local: &LocalRepository, changes: u64) -> Box<dyn ObjectStore> {
    let store = DirectoryStore::open(&local.directory).expect("there");
    Box::new(FailingStore::after(store, changes))
}

pub(crate) fn at(seconds: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(2_100_000_000 + seconds)
}

/// The parts of the repository below a directory.
pub(crate) fn local(home: &Path) -> LocalRepository {
    LocalRepository {
        name: Fixture::sha1().name().parse().expect("a name"),
        directory: home.join("served"),
        settings: home.join("settings.toml"),
        keys: home.join("keys"),
        state: home.join("state.json"),
        transaction: home.join("transaction"),
        aws: varve_store::AwsEnvironment::default(),
    }
}

/// A repository in its first revision, with the fixture's keys so that none have to be made.
pub(crate) fn created(home: &Path) -> LocalRepository {
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
    local
}

/// Copies a directory with everything in it.
pub(crate) fn copy(from: &Path, to: &Path) {
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

/// Every object.
pub(crate) fn stored(local: &LocalRepository) -> BTreeSet<ObjectName> {
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

/// Checks everything, with all data.
pub(crate) fn assert_sound(local: &LocalRepository, when: &str) {
    let store = DirectoryStore::open(&local.directory).expect("there");
    let trust = Trust::in_keys(PublicKeys::load(&[local.keys.as_path()]).expect("there"));
    let options = CheckOptions { data: true, threads: 1 };
    let report = check(&store, &local.name, &trust, at(100), options, &NoProgress);
    assert!(report.is_sound(), "{when}: {:#?}", report.findings);
}
