//! What the tests stand on: a published repository, a source that counts and misbehaves, and a replica.

use std::collections::HashSet;
use std::fs;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use parking_lot::Mutex;
use varve_content::ObjectName;
use varve_publish::{
    CheckOptions, CreateRequest, LocalRepository, MEMORY_BUDGET, NestingFile, NoProgress, PublishRequest,
    SettingsFile, Silent, check, create, publish,
};
use varve_replicate::{Mirror, MirrorError, MirrorRequest, Mirrored, TagSelection, UnseenProgress};
use varve_repository::{MetaInfo, PublicKeys, RepositoryName, RepositoryPath, Trust};
use varve_store::{
    AwsEnvironment, Deadline, DirectoryStore, Freshness, ObjectSink, ObjectSource, ObjectStore,
    RepositoryFile, StoreError,
};
use varve_testkit::{Fixture, Scratch};

/// The time of the tests: later than every file that they write.
pub(crate) fn at(seconds: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(2_100_000_000 + seconds)
}

pub(crate) fn request() -> MirrorRequest {
    MirrorRequest {
        tags: TagSelection::All,
        workers: NonZeroUsize::new(4).expect("not zero"),
        memory: 1 << 20,
        now: at(0),
        boot: Some("boot".to_owned()),
        unmarked_source: false,
        dry_run: false,
    }
}

/// A repository that is published in a scratch directory.
pub(crate) struct Original {
    pub(crate) scratch: Scratch,
    pub(crate) local: LocalRepository,
    pub(crate) tree: PathBuf,
}

impl Original {
    /// With small nested catalogs.
    pub(crate) fn new() -> Self {
        let (scratch, fixture) = (Scratch::new(), Fixture::sha1());
        let local = LocalRepository {
            name: fixture.name().parse().expect("a name"),
            directory: scratch.path().join("original"),
            settings: scratch.path().join("settings.toml"),
            keys: scratch.path().join("keys"),
            state: scratch.path().join("state.json"),
            transaction: scratch.path().join("transaction"),
            aws: AwsEnvironment::default(),
        };
        // Keys take a while to be made.
        fs::create_dir_all(&local.keys).expect("creatable");
        for extension in ["masterkey", "key", "crt", "pub"] {
            let file = format!("{}.{extension}", fixture.name());
            fs::copy(fixture.path("keys").join(&file), local.keys.join(&file)).expect("copyable");
        }
        let settings = SettingsFile {
            nesting: Some(NestingFile {
                automatic: Some(true),
                maximum_entries: Some(20),
                minimum_entries: Some(4),
            }),
            ..SettingsFile::default()
        };
        let owner = (0, 0);
        let request = CreateRequest { settings, meta_info: MetaInfo::default(), owner, now: at(0) };
        create(&local, &request).expect("creatable");
        let tree = scratch.directory("tree");
        Self { scratch, local, tree }
    }

    /// Publishes the tree, as it is, with a tag.
    pub(crate) fn publish(&self, seconds: u64, tag: &str) -> u64 {
        let request = PublishRequest {
            tree: &self.tree,
            at: RepositoryPath::ROOT,
            tag: Some((tag.parse().expect("a tag"), String::new())),
            read_everything: false,
            threads: NonZeroUsize::MIN,
            memory: MEMORY_BUDGET,
            now: at(seconds),
        };
        publish(&self.local, &request, &Silent).expect("publishable").revision
    }

    /// Writes a file of the tree.
    pub(crate) fn write(&self, path: &str, content: impl AsRef<[u8]>) {
        let path = self.tree.join(path);
        fs::create_dir_all(path.parent().expect("it has one")).expect("creatable");
        fs::write(path, content).expect("writable");
    }

    pub(crate) fn trust(&self) -> Trust {
        fixture_trust(&Fixture::sha1())
    }

    pub(crate) fn source(&self) -> Watched {
        Watched::new(DirectoryStore::open(&self.local.directory).expect("it is there"))
    }

    /// An empty replica.
    pub(crate) fn replica(&self, name: &str) -> DirectoryStore {
        DirectoryStore::create(self.scratch.path().join(name)).expect("creatable")
    }

    pub(crate) fn mirror(
        &self,
        source: &dyn ObjectSource,
        replica: &dyn ObjectStore,
        request: &MirrorRequest,
    ) -> Result<Mirrored, MirrorError> {
        let trust = self.trust();
        Mirror { name: &self.local.name, source, replica, trust: &trust }.run(request, &UnseenProgress)
    }

    /// Everything that the replica shows is there and right, and nothing else is there.
    pub(crate) fn check(&self, replica: &DirectoryStore) {
        check_sound(replica, &self.local.name, &self.trust());
    }
}

pub(crate) fn check_sound(replica: &DirectoryStore, name: &RepositoryName, trust: &Trust) {
    let options = CheckOptions { data: true, threads: 2 };
    let report = check(replica, name, trust, at(0), options, &NoProgress);
    assert!(report.is_sound(), "{:#?}", report.findings);
}

pub(crate) fn fixture_trust(fixture: &Fixture) -> Trust {
    Trust::in_keys(PublicKeys::load(&[fixture.public_key()]).expect("readable"))
}

/// What happens at the source before a request of a number.
type Before = Box<dyn FnMut(u64) + Send>;

/// A source that counts what it is asked for, and says of some objects that they don't exist.
pub(crate) struct Watched {
    inner: DirectoryStore,
    pub(crate) requests: AtomicU64,
    pub(crate) missing: Mutex<HashSet<ObjectName>>,
    /// Called before each request with its number, from 1.
    pub(crate) before: Mutex<Option<Before>>,
}

impl Watched {
    fn new(inner: DirectoryStore) -> Self {
        Self { inner, requests: AtomicU64::new(0), missing: Mutex::default(), before: Mutex::new(None) }
    }

    /// How many requests there were since the last call.
    pub(crate) fn taken(&self) -> u64 {
        self.requests.swap(0, Ordering::Relaxed)
    }

    fn note(&self) {
        let number = self.requests.fetch_add(1, Ordering::Relaxed) + 1;
        if let Some(before) = &mut *self.before.lock() {
            before(number);
        }
    }
}

impl ObjectSource for Watched {
    fn fetch(
        &self,
        name: &ObjectName,
        limit: u64,
        sink: &mut dyn ObjectSink,
        deadline: Deadline,
    ) -> Result<(), StoreError> {
        self.note();
        if self.missing.lock().contains(name) {
            return Err(StoreError::NotFound { name: name.to_string(), place: self.place() });
        }
        self.inner.fetch(name, limit, sink, deadline)
    }

    fn fetch_file(
        &self,
        file: RepositoryFile,
        freshness: Freshness,
        deadline: Deadline,
    ) -> Result<Vec<u8>, StoreError> {
        self.note();
        self.inner.fetch_file(file, freshness, deadline)
    }

    fn place(&self) -> String {
        self.inner.place()
    }
}
