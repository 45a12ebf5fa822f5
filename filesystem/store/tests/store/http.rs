//! Servers and proxies that misbehave: each fault ends in the right error, and a healthy mirror or proxy is used where
//! there is one.

use std::sync::Barrier;
use std::time::Duration;

use varve_content::{Algorithm, ObjectKind, ObjectName};
use varve_store::{
    DirectoryStore, Freshness, HttpConfig, HttpSource, ObjectSink, ObjectSource, ObjectStore, RepositoryFile,
    StoreError,
};
use varve_testkit::{Fault, FaultyProxy, FaultyServer, Rule};

use crate::cache::content;
use crate::conformance::{check_source, name_of, samples, soon};

const NAME: &str = "fix.lab.example";

/// A directory with the conformance suite's samples, and one large object.
pub(crate) struct Origin {
    place: tempfile::TempDir,
    pub(crate) large: (ObjectName, Vec<u8>),
}

impl Origin {
    pub(crate) fn new() -> Self {
        let place = tempfile::tempdir().expect("a temporary directory");
        let store = DirectoryStore::create(place.path()).expect("a writable directory");
        for (name, stored) in samples() {
            store.put(&name, &stored).expect("a writable directory");
        }
        store.put_file(RepositoryFile::Manifest, b"manifest 1").expect("a writable directory");
        let stored = content(5, 3_000_000);
        let large = (name_of(&stored, Algorithm::Sha1, ObjectKind::Chunk), stored);
        store.put(&large.0, &large.1).expect("a writable directory");
        Self { place, large }
    }

    /// Replaces the manifest.
    pub(crate) fn put_manifest(&self, content: &[u8]) {
        let path = self.place.path().join(RepositoryFile::Manifest.name());
        std::fs::write(path, content).expect("a writable directory");
    }

    /// The directory that is served.
    pub(crate) fn directory(&self) -> &std::path::Path {
        self.place.path()
    }

    pub(crate) fn serve(&self) -> FaultyServer {
        FaultyServer::of_repository(NAME, self.place.path())
    }

    pub(crate) fn fetch(&self, source: &HttpSource) -> Result<Vec<u8>, StoreError> {
        source.fetch_to_memory(&self.large.0, 1 << 22, soon())
    }
}

/// The usual configuration, but for the pauses between attempts.
pub(crate) fn config(servers: &[&FaultyServer], proxies: &str) -> HttpConfig {
    let servers: Vec<String> =
        servers.iter().map(|server| format!("{}/cvmfs/{NAME}", server.url())).collect();
    let mut config = HttpConfig::new(&servers.join(";"), proxies).expect("because the lists are well formed");
    config.backoff = Duration::from_millis(20);
    config
}

/// With little patience, for servers that stall: on a busy machine it may also run out with those that don't.
fn impatient(servers: &[&FaultyServer], proxies: &str) -> HttpSource {
    let mut config = config(servers, proxies);
    config.timeout_direct = Duration::from_millis(700);
    config.timeout_proxied = Duration::from_millis(700);
    HttpSource::new(config).expect("because nothing is encrypted")
}

pub(crate) fn source(servers: &[&FaultyServer], proxies: &str) -> HttpSource {
    HttpSource::new(config(servers, proxies)).expect("because nothing is encrypted")
}

/// Every fault, and whether its error is of integrity.
fn faults(other: &ObjectName) -> Vec<(Fault, bool)> {
    vec![
        (Fault::Truncate(1000), true),
        (Fault::Truncate(0), true),
        (Fault::FlipBit(12_345_678), true),
        (Fault::Swap(format!("/cvmfs/{NAME}/data/{}", other.path())), true),
        (Fault::Content(b"something else".to_vec()), true),
        (Fault::Html, true),
        (Fault::Endless, true),
        (Fault::WrongLength(-10), true),
        (Fault::StallBeforeHeaders, false),
        (Fault::StallAfter(0), false),
        (Fault::StallAfter(100_000), false),
        (Fault::Trickle(10, Duration::from_millis(50)), false),
        (Fault::Status(500), false),
        (Fault::Status(503), false),
        (Fault::Status(403), false),
        (Fault::WrongLength(10), false),
        (Fault::CloseAfter(1_000_000), false),
        (Fault::Close, false),
        (Fault::RedirectLoop, false),
        (Fault::Garbage, false),
    ]
}

#[test]
fn the_conformance_suite_holds_directly_and_through_a_proxy() {
    let origin = Origin::new();
    let server = origin.serve();
    check_source(&source(&[&server], ""));
    let proxy = FaultyProxy::new();
    check_source(&source(&[&server], &proxy.url()));
    assert!(proxy.count("/data/") > 0);
}

#[test]
fn each_fault_of_the_only_server_ends_in_its_error() {
    let origin = Origin::new();
    let other = samples()[2].0;
    for (fault, is_integrity) in faults(&other) {
        let server = origin.serve();
        let source = impatient(&[&server], "");
        server.add(Rule::new("/data/", fault.clone()));
        let error = origin.fetch(&source).expect_err("because the server is faulty");
        assert_eq!(error.is_integrity(), is_integrity, "{fault:?}: {error}");
        assert!(!error.is_absence(), "{fault:?}: {error}");
        assert!(error.to_string().contains(&server.url()), "{fault:?}: {error}");
        if matches!(fault, Fault::Html) {
            assert!(error.to_string().contains("web page"), "{error}");
        }
        server.clear();
        assert!(
            origin.fetch(&source).expect("because the server is sound again") == origin.large.1,
            "{fault:?}"
        );
    }
}

#[test]
fn a_healthy_mirror_is_used_whatever_the_first_does() {
    let origin = Origin::new();
    let other = samples()[2].0;
    for (fault, _) in faults(&other).into_iter().chain([(Fault::Status(404), false)]) {
        let (faulty, healthy) = (origin.serve(), origin.serve());
        let source = impatient(&[&faulty, &healthy], "");
        faulty.add(Rule::new("/data/", fault.clone()));
        assert!(origin.fetch(&source).expect("because one is sound") == origin.large.1, "{fault:?}");
        assert!(source.counters().retries > 0);
    }
}

#[test]
fn a_mirror_that_is_gone_is_left_by_all_requests() {
    let origin = Origin::new();
    let gone = origin.serve();
    let healthy = origin.serve();
    let config = config(&[&gone, &healthy], "");
    drop(gone);
    let source = HttpSource::new(config).expect("because nothing is encrypted");
    for (name, stored) in samples() {
        assert_eq!(source.fetch_to_memory(&name, 1 << 20, soon()).expect("because one is sound"), stored);
    }
    let counters = source.counters();
    assert_eq!((counters.retries, counters.failovers), (1, 1));
    assert_eq!(counters.server, format!("{}/cvmfs/{NAME}", healthy.url()));
    assert_eq!(counters.requests, 1 + samples().len() as u64);
}

#[test]
fn each_fault_of_a_proxy_is_got_around() {
    let origin = Origin::new();
    let server = origin.serve();
    let other = samples()[2].0;
    for (fault, _) in faults(&other) {
        for second in ["a proxy of the next group", "a member of the same group", "no proxy"] {
            let (faulty, healthy) = (FaultyProxy::new(), FaultyProxy::new());
            faulty.add(Rule::new("", fault.clone()));
            let proxies = match second {
                "a proxy of the next group" => format!("{};{}", faulty.url(), healthy.url()),
                "a member of the same group" => format!("{}|{}", faulty.url(), healthy.url()),
                _ => format!("{};DIRECT", faulty.url()),
            };
            let source = impatient(&[&server], &proxies);
            let fetched = origin.fetch(&source);
            assert!(fetched.expect("because one way is sound") == origin.large.1, "{fault:?}, {second}");
        }
    }
}

#[test]
fn a_proxy_that_refuses_is_left_by_all_requests() {
    let origin = Origin::new();
    let server = origin.serve();
    let (gone, healthy) = (FaultyProxy::new(), FaultyProxy::new());
    let config = config(&[&server], &format!("{};{}", gone.url(), healthy.url()));
    drop(gone);
    let source = HttpSource::new(config).expect("because nothing is encrypted");
    for (name, stored) in samples() {
        assert_eq!(source.fetch_to_memory(&name, 1 << 20, soon()).expect("because one is sound"), stored);
    }
    assert_eq!(source.counters().proxy, healthy.url());
    assert_eq!((source.counters().retries, source.counters().failovers), (1, 1));
}

#[test]
fn a_stalling_server_behind_a_good_proxy_does_not_cost_the_proxy_its_place() {
    let origin = Origin::new();
    let (stalling, healthy) = (origin.serve(), origin.serve());
    stalling.add(Rule::new("", Fault::StallBeforeHeaders));
    let proxy = FaultyProxy::new();
    let source = impatient(&[&stalling, &healthy], &format!("{};DIRECT", proxy.url()));
    assert!(origin.fetch(&source).expect("because one is sound") == origin.large.1);
    let counters = source.counters();
    assert_eq!(counters.proxy, proxy.url());
    assert_eq!(counters.server, format!("{}/cvmfs/{NAME}", healthy.url()));
}

#[test]
fn a_short_deadline_still_leaves_time_for_the_mirror() {
    let origin = Origin::new();
    let (stalling, healthy) = (origin.serve(), origin.serve());
    stalling.add(Rule::new("", Fault::StallBeforeHeaders));
    let mut config = config(&[&stalling, &healthy], "");
    config.timeout_direct = Duration::from_secs(3600);
    let source = HttpSource::new(config).expect("because nothing is encrypted");
    let deadline = varve_store::Deadline::after(Duration::from_secs(6));
    let fetched = source.fetch_to_memory(&origin.large.0, 1 << 22, deadline);
    assert!(fetched.expect("because one is sound") == origin.large.1);
}

#[test]
fn only_all_servers_together_say_that_nothing_is_there() {
    let origin = Origin::new();
    let (first, second) = (origin.serve(), origin.serve());
    let source = source(&[&first, &second], "");
    let absent = name_of(b"absent", Algorithm::Sha1, ObjectKind::File);
    let error = source.fetch_to_memory(&absent, 100, soon()).expect_err("because it is nowhere");
    assert!(error.is_absence(), "{error}");
    assert_eq!((first.count("/data/"), second.count("/data/")), (1, 1));
    assert_eq!(source.counters().failovers, 0);
    second.add(Rule::new("", Fault::Status(500)));
    let error = source.fetch_to_memory(&absent, 100, soon()).expect_err("because it is nowhere");
    assert!(matches!(error, StoreError::Transport { .. }), "{error}");
}

#[test]
fn wrong_bytes_are_asked_for_again_past_the_caches() {
    let origin = Origin::new();
    let server = origin.serve();
    server.add(Rule::new("/data/", Fault::FlipBit(77)).times(1));
    let source = source(&[&server], "");
    assert!(origin.fetch(&source).expect("because it is right the second time") == origin.large.1);
    let requests = server.requests();
    assert_eq!(requests.len(), 2);
    assert_eq!(requests[0].header("cache-control"), None);
    assert_eq!(requests[1].header("cache-control"), Some("no-cache"));
    assert!(requests[0].header("user-agent").is_some_and(|agent| agent.starts_with("Varve/")));
    source.fetch_file(RepositoryFile::Manifest, Freshness::Revalidated, soon()).expect("because it is there");
    assert_eq!(server.requests()[2].header("cache-control"), Some("no-cache"));
}

#[test]
fn identical_requests_share_one_transfer() {
    let origin = Origin::new();
    let server = origin.serve();
    server.add(Rule::new("/data/", Fault::StallBeforeHeaders).times(1));
    let mut config = config(&[&server], "");
    config.timeout_direct = Duration::from_secs(3600);
    let source = HttpSource::new(config).expect("because nothing is encrypted");
    let together = Barrier::new(9);
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                together.wait();
                assert!(origin.fetch(&source).expect("because it is there") == origin.large.1);
            });
        }
        together.wait();
        varve_testkit::wait_until("the first request", Duration::from_secs(30), || server.stalled() == 1);
        // Those who come too late to share make a request of their own, which doesn't stall.
        std::thread::sleep(Duration::from_millis(300));
        server.release();
    });
    assert!(server.count("/data/") < 8, "{} requests", server.count("/data/"));
}

#[test]
fn a_sink_that_fails_ends_its_own_fetch_only() {
    struct Full;
    impl ObjectSink for Full {
        fn restart(&mut self) -> std::io::Result<()> {
            Ok(())
        }
        fn write(&mut self, _: &[u8]) -> std::io::Result<()> {
            Err(std::io::ErrorKind::StorageFull.into())
        }
    }
    let origin = Origin::new();
    let server = origin.serve();
    let source = source(&[&server], "");
    let error =
        source.fetch(&origin.large.0, 1 << 22, &mut Full, soon()).expect_err("because the sink fails");
    assert!(matches!(error, StoreError::Io { .. }), "{error}");
    assert!(origin.fetch(&source).expect("because it is there") == origin.large.1);
}

#[test]
fn the_signed_whitelist_is_also_found_where_the_original_looks() {
    let origin = Origin::new();
    let server = origin.serve();
    let source = source(&[&server], "");
    let file = RepositoryFile::WhitelistPkcs7;
    let fetch = || source.fetch_file(file, Freshness::Cached, soon());
    assert!(fetch().expect_err("because it is nowhere").is_absence());
    server.add(Rule::new(format!("/cvmfs/{NAME}cvmfswhitelist.pkcs7"), Fault::Content(b"glued".to_vec())));
    assert_eq!(fetch().expect("because it is there"), b"glued");
    std::fs::write(origin.place.path().join(file.name()), "proper").expect("a writable directory");
    assert_eq!(fetch().expect("because it is there"), b"proper");
}

#[test]
fn redirects_are_followed_and_limited() {
    let origin = Origin::new();
    let (server, elsewhere) = (origin.serve(), origin.serve());
    let path = format!("/cvmfs/{NAME}/data/{}", origin.large.0.path());
    server.add(Rule::new("/data/", Fault::Redirect(format!("{}{path}", elsewhere.url()))));
    assert!(origin.fetch(&source(&[&server], "")).expect("because it is there") == origin.large.1);
    let mut config = config(&[&server], "");
    config.redirects = 0;
    let source = HttpSource::new(config).expect("because nothing is encrypted");
    assert!(matches!(origin.fetch(&source), Err(StoreError::Transport { .. })));
}
