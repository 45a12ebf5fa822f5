//! A place to publish in: directories, keys, a clock that is set by hand.

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use varve_publish::{
    CreateRequest, LocalRepository, MEMORY_BUDGET, PublishError, PublishRequest, Published, SettingsFile,
    Silent, create, publish,
};
use varve_repository::{MetaInfo, RepositoryPath};
use varve_store::AwsEnvironment;
use varve_testkit::{Fixture, Scratch};

/// Later than every file that a test writes.
pub(crate) const START: u64 = 2_100_000_000;

pub(crate) struct Workshop {
    pub(crate) scratch: Scratch,
    pub(crate) local: LocalRepository,
    pub(crate) tree: PathBuf,
}

impl Workshop {
    /// An empty place, with the fixture's keys so that none have to be made.
    pub(crate) fn new() -> Self {
        let scratch = Scratch::new();
        let local = local(scratch.path());
        std::fs::create_dir_all(&local.keys).expect("creatable");
        let fixture = Fixture::sha1();
        for extension in ["masterkey", "key", "crt", "pub"] {
            let file = format!("{}.{extension}", fixture.name());
            std::fs::copy(fixture.path("keys").join(&file), local.keys.join(&file)).expect("copyable");
        }
        let tree = scratch.directory("tree");
        Self { scratch, local, tree }
    }

    /// A place with a repository in its first revision.
    pub(crate) fn with_repository(settings: SettingsFile) -> Self {
        let workshop = Self::new();
        workshop.create(settings).expect("creatable");
        workshop
    }

    pub(crate) fn create(&self, settings: SettingsFile) -> Result<(), PublishError> {
        let request = CreateRequest { settings, meta_info: MetaInfo::default(), owner: (0, 0), now: at(0) };
        create(&self.local, &request).map(drop)
    }

    pub(crate) fn publish(&self, seconds: u64) -> Published {
        publish(&self.local, &request(&self.tree, seconds), &Silent).expect("publishable")
    }

    /// The bytes of a file that is served.
    pub(crate) fn served(&self, name: &str) -> Vec<u8> {
        std::fs::read(self.local.directory.join(name)).expect("readable")
    }
}

/// The parts of the test's repository below a directory.
pub(crate) fn local(home: &Path) -> LocalRepository {
    let name = Fixture::sha1().name().parse().expect("a name");
    LocalRepository {
        name,
        directory: home.join("repositories/fix1"),
        settings: home.join("config/fix1.toml"),
        keys: home.join("keys"),
        state: home.join("cache/fix1.json"),
        transaction: home.join("transactions/fix1"),
        aws: AwsEnvironment::default(),
    }
}

/// Publishes all of a tree.
pub(crate) fn request(tree: &Path, seconds: u64) -> PublishRequest<'_> {
    PublishRequest {
        tree,
        at: RepositoryPath::ROOT,
        tag: None,
        read_everything: false,
        threads: NonZeroUsize::new(2).expect("not zero"),
        memory: MEMORY_BUDGET,
        now: at(seconds),
    }
}

/// So many seconds after [`START`].
pub(crate) fn at(seconds: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(START + seconds)
}
