//! A repository of the tests' own: a directory that is published with the fixture's keys.

use std::fs;
use std::num::NonZeroUsize;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use varve_publish::{
    CreateRequest, LocalRepository, MEMORY_BUDGET, PublishRequest, SettingsFile, Silent, create, publish,
};
use varve_repository::{CatalogLoader, CatalogReference, MetaInfo, RepositoryPath, Snapshot};
use varve_store::{AwsEnvironment, Cache, CacheConfig, DirectoryStore, ObjectSource};
use varve_testkit::{Fixture, Scratch};

pub(crate) struct Workshop {
    pub(crate) scratch: Scratch,
    local: LocalRepository,
    pub(crate) tree: PathBuf,
}

impl Workshop {
    pub(crate) fn new() -> Self {
        let (scratch, fixture) = (Scratch::new(), Fixture::sha1());
        let local = LocalRepository {
            name: fixture.name().parse().expect("a name"),
            directory: scratch.path().join("repository"),
            settings: scratch.path().join("settings.toml"),
            keys: scratch.path().join("keys"),
            state: scratch.path().join("state.json"),
            transaction: scratch.path().join("transaction"),
            aws: AwsEnvironment::default(),
        };
        fs::create_dir_all(&local.keys).expect("creatable");
        for extension in ["masterkey", "key", "crt", "pub"] {
            let file = format!("{}.{extension}", fixture.name());
            fs::copy(fixture.path("keys").join(&file), local.keys.join(&file)).expect("copyable");
        }
        let tree = scratch.directory("published");
        Self { scratch, local, tree }
    }

    /// Where the tests put the tree that is filled.
    pub(crate) fn place(&self) -> PathBuf {
        self.scratch.path().join("tree")
    }

    pub(crate) fn write(&self, path: &str, content: impl AsRef<[u8]>, mode: u32) {
        let path = self.tree.join(path);
        fs::create_dir_all(path.parent().expect("it has one")).expect("creatable");
        fs::write(&path, content).expect("writable");
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).expect("its owner may");
    }

    /// Publishes the directory.
    pub(crate) fn publish(&self) -> Snapshot {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(2_100_000_000);
        let (settings, meta_info) = (SettingsFile::default(), MetaInfo::default());
        create(&self.local, &CreateRequest { settings, meta_info, owner: (0, 0), now }).expect("creatable");
        let request = PublishRequest {
            tree: &self.tree,
            at: RepositoryPath::ROOT,
            tag: None,
            read_everything: false,
            threads: NonZeroUsize::MIN,
            memory: MEMORY_BUDGET,
            now,
        };
        let hash = publish(&self.local, &request, &Silent).expect("publishable").root_catalog;
        let source: Arc<dyn ObjectSource> =
            Arc::new(DirectoryStore::open(&self.local.directory).expect("it is there"));
        let config = CacheConfig::new(self.scratch.path().join("cache"), SystemTime::now);
        let cache = Arc::new(Cache::open(&config).expect("a cache"));
        let root = CatalogReference { path: RepositoryPath::ROOT, hash, size: None };
        Snapshot::new(Arc::new(CatalogLoader::new(source, cache)), root)
    }

    /// The stored objects of files, the largest first.
    pub(crate) fn objects(&self) -> Vec<PathBuf> {
        let mut objects = vec![];
        for directory in fs::read_dir(self.local.directory.join("data")).expect("readable").flatten() {
            for object in fs::read_dir(directory.path()).into_iter().flatten().flatten() {
                let name = object.file_name();
                if !name.to_string_lossy().ends_with(['C', 'X', 'H', 'M', 'L']) {
                    objects.push(object.path());
                }
            }
        }
        objects.sort_by_key(|path| std::cmp::Reverse(fs::metadata(path).map_or(0, |file| file.len())));
        objects
    }
}
