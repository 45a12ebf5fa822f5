//! Threads with a filter of their own, and trees over the fixtures.

use std::path::Path;
use std::sync::{Arc, mpsc};
use std::time::{Duration, SystemTime};

use varve_repository::{
    CatalogLoader, CatalogReference, Location, RepositoryError, RepositoryPath, Snapshot,
};
use varve_sandbox::fill::{Contents, Listener, Mounted, Options, Service, Supervisor, Tree};
use varve_store::{Cache, CacheConfig, Deadline, DirectoryStore, ObjectSource};
use varve_testkit::{Fixture, Scratch};

/// How trees are opened.
pub(crate) const OPTIONS: Options<'static> =
    Options { directory: &RepositoryPath::ROOT, boot: "this-boot", published_owners: true };

pub(crate) fn deadline() -> Deadline {
    Deadline::after(Duration::from_secs(60))
}

/// Runs something with its system calls watched, on a thread of its own.
pub(crate) fn watched<T: Send + 'static>(
    mounts: Vec<Mounted>,
    service: Service,
    work: impl FnOnce() -> T + Send + 'static,
) -> T {
    let (send, receive) = mpsc::channel();
    let thread = std::thread::spawn(move || {
        rustix::thread::set_no_new_privs(true).expect("because that is always allowed");
        send.send(Listener::install().expect("because nobody else listens"))
            .expect("because it is waited for");
        work()
    });
    let listener = receive.recv().expect("because the filter could be installed");
    let supervisor = Supervisor::start(listener, mounts, &service).expect("because threads can be started");
    let result = thread.join();
    supervisor.wait();
    match result {
        Ok(result) => result,
        Err(panic) => std::panic::resume_unwind(panic),
    }
}

/// A tree that is shown where it lies.
pub(crate) fn in_place(tree: &Arc<Tree>) -> Vec<Mounted> {
    vec![Mounted { path: tree.view(), tree: Arc::clone(tree) }]
}

/// The revision of a fixture that has this tag.
pub(crate) fn snapshot(fixture: &Fixture, tag: Option<&str>, scratch: &Scratch) -> Snapshot {
    let source = DirectoryStore::open(fixture.served()).expect("a fixture");
    snapshot_from(Arc::new(source), fixture, tag, scratch)
}

pub(crate) fn snapshot_from(
    source: Arc<dyn ObjectSource>,
    fixture: &Fixture,
    tag: Option<&str>,
    scratch: &Scratch,
) -> Snapshot {
    let config = CacheConfig::new(scratch.path().join("cache"), SystemTime::now);
    let cache = Arc::new(Cache::open(&config).expect("a cache"));
    let magic = fixture.magic(tag).expect("a sound listing");
    let hash = magic.root.iter().find(|(name, _)| name == "root_hash").expect("the client told it");
    let root =
        CatalogReference { path: RepositoryPath::ROOT, hash: hash.1.parse().expect("a hash"), size: None };
    Snapshot::new(Arc::new(CatalogLoader::new(source, cache)), root)
}

/// Contents as the original's client had them.
pub(crate) struct AsMounted(pub(crate) Snapshot, pub(crate) Fixture);

impl Contents for AsMounted {
    fn read(
        &self,
        file: &Location,
        offset: u64,
        buffer: &mut [u8],
        deadline: Deadline,
    ) -> Result<usize, RepositoryError> {
        self.0.read(file, offset, buffer, deadline)
    }

    fn link_target(&self, published: &[u8]) -> Vec<u8> {
        let known = [("CVMFS_FQRN", self.1.name()), ("CVMFS_ARCH", std::env::consts::ARCH)];
        let variables = known.map(|(name, value)| (name.into(), value.into())).into();
        varve_mount::expand_link(published, Some(&variables)).into_owned()
    }
}

pub(crate) fn tree_at(path: &Path, snapshot: &Snapshot) -> Arc<Tree> {
    Tree::open(path, snapshot.clone(), Arc::new(snapshot.clone()), &OPTIONS, deadline()).expect("a tree")
}
