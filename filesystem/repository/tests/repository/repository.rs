//! A repository over time: fetched from good, bad and silent servers, kept, selected from.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, SystemTime};

use parking_lot::Mutex;
use tempfile::TempDir;
use varve_content::{Algorithm, ContentHash, ObjectName};
use varve_repository::{ManifestFields, Reference, Repository, RepositoryError, TrustError};
use varve_store::{
    Cache, CacheConfig, Deadline, DirectoryStore, Freshness, MemoryStore, ObjectSink, ObjectSource,
    ObjectStore as _, RepositoryFile, StoreError,
};

use crate::fixture::{Fixture, now};

const DAY: Duration = Duration::from_secs(24 * 3600);

fn soon() -> Deadline {
    Deadline::after(Duration::from_secs(60))
}

/// Several servers of which one is current, as HTTP has them, and a proxy that may hold an old manifest.
struct Servers {
    servers: Vec<MemoryStore>,
    objects: DirectoryStore,
    current: AtomicUsize,
    silent: AtomicBool,
    without_objects: AtomicBool,
    stale: Mutex<Option<Vec<u8>>>,
    asked: Mutex<Vec<(RepositoryFile, Freshness)>>,
}

impl Servers {
    fn new(fixture: &Fixture, count: usize) -> Arc<Self> {
        let server = || {
            let store = MemoryStore::new();
            for file in [RepositoryFile::Manifest, RepositoryFile::Whitelist] {
                store.put_file(file, &fixture.file(&format!("served/{file}"))).expect("memory");
            }
            store
        };
        Arc::new(Self {
            servers: (0..count).map(|_| server()).collect(),
            objects: DirectoryStore::open(fixture.served()).expect("the fixture"),
            current: AtomicUsize::new(0),
            silent: AtomicBool::new(false),
            without_objects: AtomicBool::new(false),
            stale: Mutex::new(None),
            asked: Mutex::default(),
        })
    }

    fn serve(&self, server: usize, file: RepositoryFile, bytes: &[u8]) {
        self.servers[server].put_file(file, bytes).expect("memory");
    }

    fn answer(&self, name: &str) -> Result<(), StoreError> {
        if self.silent.load(Ordering::Relaxed) {
            let (name, reason) = (name.to_owned(), "nobody answers".to_owned());
            return Err(StoreError::Transport { name, place: self.place(), reason });
        }
        Ok(())
    }
}

impl ObjectSource for Servers {
    fn fetch(
        &self,
        name: &ObjectName,
        limit: u64,
        sink: &mut dyn ObjectSink,
        deadline: Deadline,
    ) -> Result<(), StoreError> {
        self.answer(&name.to_string())?;
        if self.without_objects.load(Ordering::Relaxed) {
            return Err(StoreError::NotFound { name: name.to_string(), place: self.place() });
        }
        self.objects.fetch(name, limit, sink, deadline)
    }

    fn fetch_file(
        &self,
        file: RepositoryFile,
        freshness: Freshness,
        deadline: Deadline,
    ) -> Result<Vec<u8>, StoreError> {
        self.answer(file.name())?;
        self.asked.lock().push((file, freshness));
        match (&*self.stale.lock(), file, freshness) {
            (Some(bytes), RepositoryFile::Manifest, Freshness::Cached) => Ok(bytes.clone()),
            _ => self.servers[self.current.load(Ordering::Relaxed)].fetch_file(file, freshness, deadline),
        }
    }

    fn mirrors(&self) -> usize {
        self.servers.len()
    }

    fn leave_mirror(&self) {
        let next = (self.current.load(Ordering::Relaxed) + 1) % self.servers.len();
        self.current.store(next, Ordering::Relaxed);
    }

    fn place(&self) -> String {
        "the test's servers".to_owned()
    }
}

/// A fixture, its servers and a cache directory.
struct Scene {
    fixture: Fixture,
    servers: Arc<Servers>,
    cache: TempDir,
}

impl Scene {
    fn new(name: &str, servers: usize) -> Self {
        let fixture = Fixture::new(name);
        let servers = Servers::new(&fixture, servers);
        Self { fixture, servers, cache: tempfile::tempdir().expect("a directory") }
    }

    /// As a process that has just started sees it.
    fn open(&self) -> Repository {
        // The cache compares its clock with times of files: by the fixture's clock, months ahead, what is just being written
        // is a leftover to sweep.
        let cache = Cache::open(&CacheConfig::new(self.cache.path(), SystemTime::now)).expect("a cache");
        let servers: Arc<dyn ObjectSource> = Arc::<Servers>::clone(&self.servers);
        Repository::new(self.fixture.name.clone(), servers, Arc::new(cache), self.fixture.trust())
    }

    /// The fixture's manifest with changes, signed.
    fn signed(&self, change: impl FnOnce(&mut ManifestFields)) -> Vec<u8> {
        let mut fields = self.fixture.signed_manifest().claims().clone();
        change(&mut fields);
        let algorithm = fields.root_catalog.algorithm();
        self.fixture.signing_keys().sign_manifest(fields, algorithm).expect("a manifest").to_bytes()
    }

    fn revision(&self, revision: u64) -> Vec<u8> {
        self.signed(|fields| fields.revision = revision)
    }
}

#[test]
fn every_revision_is_found_by_tag_hash_and_time() {
    for name in crate::fixture::NAMES {
        let scene = Scene::new(name, 1);
        let repository = scene.open();
        let manifest =
            repository.fetch_manifest(Freshness::Cached, now(), soon()).expect("a manifest").manifest;
        let select = |text: &str| {
            let reference: Reference = text.parse().expect("because no text is refused");
            repository.select(&manifest, &reference, soon())
        };
        assert_eq!(select("").expect("the latest").hash, manifest.root_catalog);
        for line in scene.fixture.text("tags.txt").lines() {
            let [tag, hash, size, ..] = line.split(' ').collect::<Vec<_>>()[..] else { continue };
            let root = select(tag).expect("a tag");
            assert_eq!((root.hash.to_string(), root.size), (hash.to_owned(), size.parse().ok()));
            let by_hash = select(hash).expect("a hash");
            assert_eq!(by_hash.hash, root.hash);
            let catalog = repository.loader().load(&root, soon()).expect("a catalog");
            assert!(catalog.index().root_prefix().is_root());
        }
        let refused = select("no such tag").expect_err("no tag");
        assert_eq!(refused.to_string(), format!("{name} has no revision 'no such tag'"));
        assert!(matches!(select("1999-12-31"), Err(RepositoryError::NoSuchRevision { .. })));
        assert_eq!(select("2026-11-21").expect("a day").hash, manifest.root_catalog);
    }
    let scene = Scene::new("fix1.lab.example", 1);
    let repository = scene.open();
    let manifest = repository.fetch_manifest(Freshness::Cached, now(), soon()).expect("a manifest").manifest;
    // 1795221376: after v1 (…375), before v2-none (…377).
    let reference: Reference = "2026-11-21T00:36:16Z".parse().expect("because no text is refused");
    let tag = repository.tag(&manifest, &reference, soon()).expect("a tag");
    assert_eq!(tag.revision, 3);
}

#[test]
fn what_the_manifest_names_is_read() {
    for name in crate::fixture::NAMES {
        let scene = Scene::new(name, 1);
        let repository = scene.open();
        let manifest =
            repository.fetch_manifest(Freshness::Cached, now(), soon()).expect("a manifest").manifest;
        let info = repository.meta_info(&manifest, soon()).expect("a description");
        assert_eq!(info.email.as_deref(), Some("you@organisation.org"));
        let certificate = repository.certificate(&manifest, soon()).expect("a certificate");
        assert_eq!(certificate.pem(), scene.fixture.certificate());
        assert!(certificate.subject().contains(name));
    }
}

#[test]
fn a_repository_without_tags_has_none() {
    let scene = Scene::new("fix1.lab.example", 1);
    let bare = scene.signed(|fields| {
        fields.history = None;
        fields.meta_info = None;
        fields.root_catalog_size = 0;
    });
    scene.servers.serve(0, RepositoryFile::Manifest, &bare);
    let repository = scene.open();
    let manifest = repository.fetch_manifest(Freshness::Cached, now(), soon()).expect("a manifest").manifest;
    assert!(repository.history(&manifest, soon()).expect("no history").tags().is_empty());
    assert_eq!(repository.meta_info_text(&manifest, soon()).expect("no description"), None);
    assert_eq!(repository.select(&manifest, &Reference::Latest, soon()).expect("a root").size, None);
    let refused = repository.select(&manifest, &Reference::Tag("v1".to_owned()), soon());
    assert!(matches!(refused, Err(RepositoryError::NoSuchRevision { .. })));
}

#[test]
fn offline_the_kept_manifest_is_used_and_the_reason_told() {
    let scene = Scene::new("fix1.lab.example", 1);
    scene.servers.silent.store(true, Ordering::Relaxed);
    let refused = scene.open().fetch_manifest(Freshness::Cached, now(), soon()).expect_err("nothing is kept");
    assert!(matches!(refused, RepositoryError::Store(StoreError::Transport { .. })), "{refused}");
    scene.servers.silent.store(false, Ordering::Relaxed);

    let fetched = scene.open().fetch_manifest(Freshness::Cached, now(), soon()).expect("a manifest");
    assert!(fetched.offline.is_none());
    for silence in 0..3 {
        match silence {
            0 => scene.servers.silent.store(true, Ordering::Relaxed),
            1 => {
                scene.servers.silent.store(false, Ordering::Relaxed);
                scene.servers.serve(0, RepositoryFile::Manifest, b"<html>please sign in</html>");
            }
            _ => scene.servers.serve(0, RepositoryFile::Manifest, b" <!DOCTYPE html>"),
        }
        let again = scene.open().fetch_manifest(Freshness::Cached, now(), soon()).expect("the kept manifest");
        assert_eq!(again.manifest, fetched.manifest);
        assert!(again.offline.is_some());
    }
    // Long after the whitelist has expired, too: E20510713.
    scene.servers.silent.store(true, Ordering::Relaxed);
    let later = now() + 10_000 * DAY;
    assert!(
        scene
            .open()
            .fetch_manifest(Freshness::Cached, later, soon())
            .expect("the kept manifest")
            .offline
            .is_some()
    );
    scene.servers.silent.store(false, Ordering::Relaxed);
    scene.servers.serve(0, RepositoryFile::Manifest, &scene.revision(7));
    let refused =
        scene.open().fetch_manifest(Freshness::Cached, later, soon()).expect_err("an expired whitelist");
    assert!(matches!(refused, RepositoryError::Trust(TrustError::WhitelistExpired { .. })), "{refused}");
    assert!(refused.is_integrity() && refused.hint().is_some());
}

#[test]
fn an_older_revision_is_refused_in_every_process() {
    let scene = Scene::new("fix1.lab.example", 1);
    let running = scene.open();
    running.fetch_manifest(Freshness::Cached, now(), soon()).expect("revision 6");
    scene.servers.serve(0, RepositoryFile::Manifest, &scene.revision(5));
    for repository in [&running, &scene.open()] {
        let refused =
            repository.fetch_manifest(Freshness::Cached, now(), soon()).expect_err("a replayed manifest");
        assert!(matches!(refused, RepositoryError::Downgrade { offered: 5, seen: 6, .. }), "{refused}");
        assert!(refused.is_integrity());
    }
    let replaced = scene.signed(|fields| {
        fields.root_catalog = Algorithm::Sha1.hash(b"another");
        fields.published -= 1;
    });
    scene.servers.serve(0, RepositoryFile::Manifest, &replaced);
    let refused = running
        .fetch_manifest(Freshness::Cached, now(), soon())
        .expect_err("an older manifest of the same revision");
    assert!(matches!(refused, RepositoryError::Downgrade { offered: 6, seen: 6, .. }), "{refused}");

    // What another process saw counts at once.
    scene.servers.serve(0, RepositoryFile::Manifest, &scene.revision(8));
    scene.open().fetch_manifest(Freshness::Cached, now(), soon()).expect("revision 8");
    scene.servers.serve(0, RepositoryFile::Manifest, &scene.revision(7));
    let refused =
        running.fetch_manifest(Freshness::Cached, now(), soon()).expect_err("revision 8 was seen beside it");
    assert!(matches!(refused, RepositoryError::Downgrade { offered: 7, seen: 8, .. }), "{refused}");
}

#[test]
fn a_stale_proxy_is_passed_by() {
    let scene = Scene::new("fix1.lab.example", 1);
    let repository = scene.open();
    repository.fetch_manifest(Freshness::Cached, now(), soon()).expect("revision 6");
    *scene.servers.stale.lock() = Some(scene.revision(5));
    scene.servers.serve(0, RepositoryFile::Manifest, &scene.revision(7));
    let fetched = repository.fetch_manifest(Freshness::Cached, now(), soon()).expect("revision 7");
    assert_eq!(fetched.manifest.revision, 7);
    let asked = scene.servers.asked.lock();
    assert_eq!(asked.last(), Some(&(RepositoryFile::Whitelist, Freshness::Revalidated)));
}

#[test]
fn a_genuine_server_is_found_among_others() {
    let scene = Scene::new("fix1.lab.example", 4);
    let genuine = scene.fixture.file("served/.cvmfspublished");
    let mut forged = genuine.clone();
    *forged.last_mut().expect("a signature") ^= 1;
    scene.servers.serve(0, RepositoryFile::Manifest, &forged);
    scene.servers.serve(1, RepositoryFile::Manifest, &genuine[..100]);
    scene.servers.serve(2, RepositoryFile::Whitelist, b"<html>");
    let repository = scene.open();
    let fetched = repository.fetch_manifest(Freshness::Cached, now(), soon()).expect("from the last server");
    assert_eq!(fetched.manifest.to_bytes(), genuine);
    assert_eq!(scene.servers.current.load(Ordering::Relaxed), 3);

    for server in 2..4 {
        scene.servers.serve(server, RepositoryFile::Manifest, &forged);
    }
    let refused =
        repository.fetch_manifest(Freshness::Cached, now(), soon()).expect_err("no genuine one is left");
    assert!(matches!(refused, RepositoryError::Trust(_)), "{refused}");
}

#[test]
fn a_missing_certificate_is_not_taken_for_a_silent_network() {
    let scene = Scene::new("fix1.lab.example", 1);
    scene.open().fetch_manifest(Freshness::Cached, now(), soon()).expect("revision 6");
    let bogus: ContentHash = Algorithm::Sha1.hash(b"no such certificate");
    let other = scene.signed(|fields| {
        fields.revision = 7;
        fields.certificate = Some(bogus);
    });
    scene.servers.serve(0, RepositoryFile::Manifest, &other);
    scene.servers.without_objects.store(true, Ordering::Relaxed);
    let refused = scene.open().fetch_manifest(Freshness::Cached, now(), soon()).expect_err("no certificate");
    assert!(refused.is_absence(), "{refused}");
    scene.servers.serve(0, RepositoryFile::Manifest, &scene.signed(|fields| fields.certificate = None));
    let refused =
        scene.open().fetch_manifest(Freshness::Cached, now(), soon()).expect_err("no certificate is named");
    assert!(matches!(refused, RepositoryError::Trust(TrustError::NoCertificate { .. })), "{refused}");
}

#[test]
fn an_unchanged_manifest_costs_one_request() {
    let scene = Scene::new("fix2-rmd160.lab.example", 1);
    let repository = scene.open();
    repository.fetch_manifest(Freshness::Cached, now(), soon()).expect("a manifest");
    scene.servers.asked.lock().clear();
    repository.fetch_manifest(Freshness::Cached, now(), soon()).expect("a manifest");
    assert_eq!(*scene.servers.asked.lock(), [(RepositoryFile::Manifest, Freshness::Cached)]);
}
