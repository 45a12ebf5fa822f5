//! Many objects at once: from servers that know batches, from those that don't, and what becomes of them in the cache.

use varve_content::{Algorithm, Compression, ContentHash, ObjectKind, ObjectName};
use varve_store::{
    Batch, Cache, CachedBundle, DirectoryStore, HttpConfig, HttpSource, MemoryStore, ObjectRequest,
    ObjectSource, ObjectStore, PlainSize, StoreError,
};
use varve_testkit::{Fault, FaultyServer, Rule};

use crate::cache::{cached_files, config, content, put};
use crate::conformance::{name_of, soon};

const NAME: &str = "fix.lab.example";

/// Twenty objects in a directory that is served.
struct Origin {
    _place: tempfile::TempDir,
    server: FaultyServer,
    objects: Vec<(ObjectName, Vec<u8>)>,
}

impl Origin {
    fn new() -> Self {
        let place = tempfile::tempdir().expect("a temporary directory");
        let store = DirectoryStore::create(place.path()).expect("a writable directory");
        let objects: Vec<_> = (0..20)
            .map(|seed| {
                let stored = content(seed, 100 * seed as usize);
                (name_of(&stored, Algorithm::Sha1, ObjectKind::File), stored)
            })
            .collect();
        for (name, stored) in &objects {
            store.put(name, stored).expect("a writable directory");
        }
        let server = FaultyServer::of_repository(NAME, place.path());
        Self { _place: place, server, objects }
    }

    fn source(&self) -> HttpSource {
        let url = format!("{}/cvmfs/{NAME}", self.server.url());
        let mut config = HttpConfig::new(&url, "DIRECT").expect("well formed");
        config.timeout_direct = std::time::Duration::from_millis(700);
        config.retries = 0;
        HttpSource::new(config).expect("because nothing is encrypted")
    }

    /// What a server that knows batches answers, after a change of the objects.
    fn answer(&self, change: impl Fn(usize, &mut Option<Vec<u8>>)) -> Vec<u8> {
        let mut answer = Vec::new();
        for (number, (_, stored)) in self.objects.iter().enumerate() {
            let mut stored = Some(stored.clone());
            change(number, &mut stored);
            Batch::write_frame(&mut answer, stored.as_deref());
        }
        answer
    }

    fn knows_batches(&self, answer: Vec<u8>) {
        self.server.clear();
        self.server.forget_requests();
        self.server.add(Rule::new("/api/v1/batch/", Fault::Content(answer)));
    }

    fn wanted(&self) -> Vec<(ObjectName, u64)> {
        self.objects.iter().map(|(name, stored)| (*name, stored.len() as u64)).collect()
    }

    fn check(&self, source: &HttpSource) {
        let fetched = source.fetch_batch(&self.wanted(), soon());
        assert_eq!(fetched.len(), self.objects.len());
        for (fetched, (name, stored)) in fetched.into_iter().zip(&self.objects) {
            assert_eq!(&fetched.expect("because it is served"), stored, "{name}");
        }
    }
}

#[test]
fn one_request_brings_all() {
    let origin = Origin::new();
    origin.knows_batches(origin.answer(|_, _| ()));
    origin.check(&origin.source());
    assert_eq!((origin.server.count("/batch/"), origin.server.count("/data/")), (1, 0));
}

#[test]
fn what_is_missing_or_wrong_in_an_answer_is_asked_for_by_itself() {
    let origin = Origin::new();
    let answer = origin.answer(|number, stored| match number {
        3 => *stored = None,
        5 => *stored = Some(content(99, 500)),
        7 => stored.as_mut().expect("some")[10] ^= 1,
        _ => (),
    });
    origin.knows_batches(answer);
    origin.check(&origin.source());
    assert_eq!((origin.server.count("/batch/"), origin.server.count("/data/")), (1, 3));
}

#[test]
fn servers_without_batches_are_asked_once_whether_they_know_them() {
    let refusals = [
        Fault::Status(404),
        Fault::Status(400),
        Fault::Status(403),
        Fault::Status(414),
        Fault::Status(500),
        Fault::Html,
        Fault::Truncate(1000),
        Fault::Content(Vec::new()),
        Fault::Endless,
    ];
    for refusal in refusals {
        let origin = Origin::new();
        origin.server.add(Rule::new("/api/v1/batch/", refusal.clone()));
        let source = origin.source();
        origin.check(&source);
        origin.check(&source);
        let asked = origin.server.count("/batch/");
        assert!(asked == 1 || matches!(refusal, Fault::Endless | Fault::Truncate(_)), "{refusal:?}: {asked}");
        assert_eq!(origin.server.count("/data/"), 40, "{refusal:?}");
        // The refusal is nobody's fault.
        assert_eq!(source.counters().failovers, 0);
    }
}

#[test]
fn a_server_that_stalls_on_batches_costs_time_but_no_object() {
    let origin = Origin::new();
    origin.server.add(Rule::new("/api/v1/batch/", Fault::StallBeforeHeaders));
    origin.check(&origin.source());
    origin.server.release();
}

#[test]
fn an_object_that_nobody_has_fails_alone() {
    let origin = Origin::new();
    let absent = name_of(b"absent", Algorithm::Sha1, ObjectKind::File);
    let wanted = [origin.wanted()[1], (absent, 10), origin.wanted()[2]];
    let fetched = origin.source().fetch_batch(&wanted, soon());
    assert!(matches!(fetched[1], Err(StoreError::NotFound { .. })));
    assert!(fetched[0].is_ok() && fetched[2].is_ok());
}

/// A cache, and a store with files to bundle.
fn bundle(files: usize) -> (MemoryStore, ContentHash, Vec<ObjectRequest>, Vec<u8>) {
    let store = MemoryStore::new();
    let (mut requests, mut all) = (Vec::new(), Vec::new());
    for seed in 0..files {
        let plain = content(seed as u64, 1 + 1000 * seed);
        let compression = if seed % 3 == 0 { Compression::None } else { Compression::Zlib };
        requests.push(put(&store, &plain, compression));
        all.extend(plain);
    }
    (store, Algorithm::Sha1.hash(b"the key"), requests, all)
}

fn read(bundle: &CachedBundle, requests: &[ObjectRequest]) -> Vec<u8> {
    let content = |(position, request)| bundle.content(position, request).expect("because it is sound");
    requests.iter().enumerate().flat_map(content).collect()
}

#[test]
fn a_bundle_is_fetched_once_and_kept_in_one_file() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let cache = Cache::open(&config(directory.path())).expect("a writable directory");
    let (store, key, requests, all) = bundle(30);
    assert!(cache.peek_bundle(&key, 30).expect("readable").is_none());
    assert_eq!(read(&cache.bundle(&key, &requests, &store, soon()).expect("it is there"), &requests), all);
    let empty = MemoryStore::new();
    assert_eq!(read(&cache.bundle(&key, &requests, &empty, soon()).expect("it is kept"), &requests), all);
    assert_eq!(read(&cache.peek_bundle(&key, 30).expect("readable").expect("it is kept"), &requests), all);
    assert!(cache.peek_bundle(&key, 29).expect("readable").is_none(), "of other objects");
    assert_eq!(cached_files(directory.path()).len(), 1);
}

#[test]
fn a_damaged_bundle_is_fetched_again() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let (store, key, requests, all) = bundle(30);
    let open = || Cache::open(&config(directory.path())).expect("a writable directory");
    open().bundle(&key, &requests, &store, soon()).expect("it is there");
    let file = cached_files(directory.path()).remove(0);
    let length = std::fs::metadata(&file).expect("it is there").len() as usize;
    for position in [0, length / 2, length - 100, length - 1] {
        let mut bytes = std::fs::read(&file).expect("readable");
        bytes[position] ^= 4;
        std::fs::write(&file, bytes).expect("writable");
        let again = open().bundle(&key, &requests, &store, soon()).expect("fetched again");
        assert_eq!(read(&again, &requests), all);
    }
}

#[test]
fn nothing_is_kept_of_a_bundle_with_a_wrong_object() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let cache = Cache::open(&config(directory.path())).expect("a writable directory");
    let (store, key, requests, _) = bundle(30);
    store.corrupt(&requests[7].name, b"something else");
    let refused = cache.bundle(&key, &requests, &store, soon()).map(|_| ());
    assert!(refused.is_err_and(|error| error.is_integrity()));
    assert_eq!(cached_files(directory.path()).len(), 0);
}

#[test]
fn an_object_that_is_not_what_the_catalog_says_fails_when_it_is_read() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let cache = Cache::open(&config(directory.path())).expect("a writable directory");
    let (store, key, requests, _) = bundle(30);
    let bundle = cache.bundle(&key, &requests, &store, soon()).expect("it is there");
    for size in [1, 1_000_000] {
        let wrong = ObjectRequest { size: PlainSize::Exact(size), ..requests[9] };
        assert!(bundle.content(9, &wrong).is_err_and(|error| error.is_integrity()));
    }
    assert!(bundle.content(30, &requests[9]).is_err());
}
