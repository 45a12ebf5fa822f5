//! For tests: a repository in a temporary home, and its store on a disk that fails after so many steps.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use varve_content::ObjectName;
use varve_repository::{MetaInfo, PublicKeys, Trust};
use varve_store::{
    Deadline, DirectoryStore, Freshness, ObjectSink, ObjectSource, ObjectStore, RepositoryFile, StoreError,
};
use varve_testkit::Fixture;

use crate::check::{CheckOptions, NoProgress, check};
use crate::create::{CreateRequest, create};
use crate::local::LocalRepository;
use crate::settings::SettingsFile;

/// A store whose disk is gone after so many changes.
pub(crate) struct Failing {
    store: DirectoryStore,
    left: AtomicU64,
}

impl Failing {
    /// The store of a repository, on which so many steps succeed.
    pub(crate) fn after(local: &LocalRepository, steps: u64) -> Self {
        let store = DirectoryStore::open(&local.directory).expect("there");
        Self { store, left: AtomicU64::new(steps) }
    }

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
