//! A store in a bucket: the suite against a real service, and what a faulty one does.

use std::time::Duration;

use varve_content::{Algorithm, ObjectKind};
use varve_store::{
    ObjectSource, ObjectStore, Repeated, RepositoryFile, S3Config, S3Credentials, S3Location, S3Store,
    ServiceFault, StoreError,
};
use varve_testkit::{Fault, FaultyGateway, Rule, S3Server};

use crate::conformance::{check_store, name_of, soon};

const NAME: &str = "fix.lab.example";

fn config(url: &str) -> S3Config {
    let location = S3Location::new(S3Server::BUCKET, "a/prefix", Some(url), true).expect("well formed");
    S3Config {
        location: S3Location { patience: Duration::from_secs(2), ..location.of_repository(NAME) },
        credentials: S3Credentials {
            key_id: S3Server::KEY_ID.to_owned(),
            secret: S3Server::SECRET.to_owned(),
            token: None,
        },
    }
}

fn store(url: &str) -> S3Store {
    S3Store::new(&config(url)).expect("a client can be made")
}

fn objects(count: u32, size: usize) -> Vec<(varve_content::ObjectName, Vec<u8>)> {
    let object = |number: u32| {
        let stored = number.to_le_bytes().repeat(size / 4);
        (name_of(&stored, Algorithm::Sha1, ObjectKind::File), stored)
    };
    (0..count).map(object).collect()
}

#[allow(clippy::panic)]
fn fault(error: &StoreError) -> ServiceFault {
    match error {
        StoreError::Service { fault, .. } => *fault,
        other => panic!("{other}"),
    }
}

#[test]
fn a_bucket_without_conditional_writes() {
    let Some(server) = S3Server::start() else { return };
    check_store(&store(&server.url()));
}

#[test]
fn a_bucket_with_conditional_writes() {
    let Some(server) = S3Server::start() else { return };
    let gateway = FaultyGateway::new(server.address(), true);
    check_store(&store(&gateway.url()));
}

#[test]
fn it_lies_where_http_clients_look() {
    let Some(server) = S3Server::start() else { return };
    let store = store(&server.url());
    let (name, stored) = objects(1, 100).remove(0);
    store.put(&name, &stored).expect("a writable store");
    store.put_file(RepositoryFile::Manifest, b"manifest").expect("a writable store");
    let root = server.file("a/prefix").join(NAME);
    assert_eq!(std::fs::read(root.join("data").join(name.path())).expect("it is there"), stored);
    assert_eq!(std::fs::read(root.join(".cvmfspublished")).expect("it is there"), b"manifest");
    assert_eq!(store.place(), format!("s3://varve-test/a/prefix/{NAME} at {}", server.url()));
}

#[test]
fn what_was_there_is_known_at_the_end_and_sent_once() {
    for conditional in [false, true] {
        let Some(server) = S3Server::start() else { return };
        let gateway = FaultyGateway::new(server.address(), conditional);
        let (small, large) = (objects(50, 1000), objects(3, 200_000));
        let all: Vec<_> = small.iter().chain(&large).collect();
        let bytes = all.iter().map(|(_, stored)| stored.len() as u64).sum();
        for round in 0..2 {
            let store = store(&gateway.url());
            for (name, stored) in &all {
                assert!(store.put_absent(name, stored).expect("a writable store"));
                assert!(!store.put_absent(name, stored).expect("because it was put"));
            }
            store.sync().expect("a writable store");
            let expected = if round > 0 { Repeated { objects: 53, bytes } } else { Repeated::default() };
            assert_eq!(store.repeated(ObjectKind::File), expected, "{conditional} {round}");
        }
        if conditional {
            let puts = gateway.requests().iter().filter(|request| request.method == "PUT").count();
            // A connection that was kept and is closed costs a repetition now and then.
            assert!(puts < 2 * 52 + 10, "each small object once and one twice: {puts}");
        }
    }
}

#[test]
fn many_are_on_their_way_at_once() {
    let Some(server) = S3Server::start() else { return };
    let gateway = FaultyGateway::new(server.address(), true);
    let store = store(&gateway.url());
    let objects = objects(200, 400);
    store.put(&objects[0].0, &objects[0].1).expect("a writable store");
    store.sync().expect("a writable store");
    // They only go on once sixteen wait.
    gateway.add(Rule::new("/data/", Fault::StallBeforeHeaders).method("PUT").times(16));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            varve_testkit::wait_until("sixteen uploads", Duration::from_secs(30), || gateway.stalled() == 16);
            gateway.release();
        });
        for (name, stored) in &objects {
            store.put(name, stored).expect("a writable store");
        }
        store.sync().expect("a writable store");
    });
    assert!((16..=64).contains(&gateway.most_in_flight()), "{}", gateway.most_in_flight());
    for (name, stored) in &objects {
        assert_eq!(&store.fetch_to_memory(name, 400, soon()).expect("it was put"), stored);
    }
}

#[test]
fn large_objects_go_in_parts_and_what_was_begun_is_given_up_later() {
    let Some(server) = S3Server::start() else { return };
    let gateway = FaultyGateway::new(server.address(), false);
    let mut stored = varve_testkit::Random::new(1).bytes(40 << 20);
    let name = name_of(&stored, Algorithm::Sha1, ObjectKind::Catalog);
    let whole = store(&gateway.url());
    whole.put(&name, &stored).expect("a writable store");
    whole.sync().expect("a writable store");
    assert_eq!(gateway.count("partNumber="), 5);
    assert_eq!(whole.fetch_to_memory(&name, 1 << 30, soon()).expect("it was put"), stored);

    stored[0] ^= 1;
    let name = name_of(&stored, Algorithm::Sha1, ObjectKind::Catalog);
    // Neither the last part nor the end of the upload gets through.
    gateway.add(Rule::new("partNumber=5", Fault::Status(403)));
    gateway.add(Rule::new("uploadId=", Fault::Status(403)).method("DELETE"));
    let broken = store(&gateway.url());
    broken.put(&name, &stored).expect("it has only begun");
    assert_eq!(fault(&broken.sync().expect_err("because a part is missing")), ServiceFault::Denied);
    gateway.clear();
    let next = store(&gateway.url());
    assert!(!next.contains(&name).expect("a readable store"));
    gateway.forget_requests();
    next.remove_leftovers().expect("a writable store");
    let given_up = |requests: Vec<varve_testkit::Request>| {
        requests.iter().filter(|request| request.method == "DELETE").count()
    };
    assert_eq!(given_up(gateway.requests()), 1);
    next.remove_leftovers().expect("a writable store");
    assert_eq!(given_up(gateway.requests()), 1);
}

#[test]
fn listings_go_on_over_pages_and_many_are_removed_at_once() {
    let Some(server) = S3Server::start() else { return };
    let store = store(&server.url());
    let objects = objects(2100, 40);
    for (name, stored) in &objects {
        store.put(name, stored).expect("a writable store");
    }
    let count = || {
        let mut count = 0;
        let listed = store.list(&mut |_, _| {
            count += 1;
            Ok(())
        });
        listed.map(|()| count).expect("a readable store")
    };
    assert_eq!(count(), 2100);
    let names: Vec<_> = objects.iter().map(|(name, _)| *name).take(2000).collect();
    store.remove_all(&names).expect("a writable store");
    assert_eq!(count(), 100);
}

#[test]
fn a_failure_is_told_at_the_latest_by_sync_and_no_manifest_comes_behind_it() {
    let Some(server) = S3Server::start() else { return };
    let gateway = FaultyGateway::new(server.address(), false);
    let first = store(&gateway.url());
    first.put_file(RepositoryFile::Manifest, b"old").expect("a writable store");
    let objects = objects(20, 100);
    gateway.add(Rule::new(objects[7].0.path(), Fault::Status(500)).method("PUT"));
    for (name, stored) in &objects {
        // Whichever comes behind the failure may tell it.
        let _told = first.put(name, stored);
    }
    let error = first.sync().expect_err("because one object failed");
    assert_eq!(fault(&error), ServiceFault::Failed);
    assert!(error.to_string().contains(&objects[7].0.path()), "{error}");
    assert!(first.put_file(RepositoryFile::Manifest, b"new").is_err());
    assert!(first.sync().is_err());
    let manifest = first.fetch_file(RepositoryFile::Manifest, varve_store::Freshness::Cached, soon());
    assert_eq!(manifest.expect("a readable store"), b"old");
    gateway.clear();
    let next = store(&gateway.url());
    for (name, stored) in &objects {
        next.put(name, stored).expect("a writable store");
    }
    next.put_file(RepositoryFile::Manifest, b"new").expect("a writable store");
}

#[test]
fn what_fails_now_and_then_is_tried_again() {
    let Some(server) = S3Server::start() else { return };
    let gateway = FaultyGateway::new(server.address(), false);
    let store = store(&gateway.url());
    let objects = objects(20, 100);
    gateway.add(Rule::new("/data/", Fault::Status(503)).times(3));
    gateway.add(Rule::new("/data/", Fault::Close).times(3));
    for (name, stored) in &objects {
        store.put(name, stored).expect("a writable store");
    }
    store.sync().expect("because the service recovers");
    gateway.add(Rule::new("/data/", Fault::CloseAfter(50)).times(1));
    let (name, stored) = &objects[3];
    assert_eq!(&store.fetch_to_memory(name, 100, soon()).expect("because the rest is asked for"), stored);
    gateway.add(Rule::new("/data/", Fault::FlipBit(9)).times(1));
    let wrong = store.fetch_to_memory(name, 100, soon());
    assert!(matches!(wrong, Err(StoreError::WrongHash { .. })), "{wrong:?}");
}

#[test]
fn what_has_to_be_mended_is_told() {
    let Some(mut server) = S3Server::start() else { return };
    let (name, stored) = objects(1, 100).remove(0);
    let refused = |config: &S3Config| {
        let store = S3Store::new(config).expect("a client can be made");
        store.put(&name, &stored).expect("it has only begun");
        let error = store.sync().expect_err("because the configuration is wrong");
        assert!(error.hint().is_some() && error.to_string().contains("s3://"), "{error}");
        (fault(&error), error.to_string())
    };
    let good = config(&server.url());
    let mut wrong = good.clone();
    wrong.credentials.secret = "wrong".to_owned();
    let (fault, text) = refused(&wrong);
    assert_eq!(fault, ServiceFault::Denied);
    assert!(text.contains("SignatureDoesNotMatch") && text.contains(&name.path()), "{text}");
    let elsewhere = S3Location::new("no-such-bucket", "", Some(&server.url()), true).expect("well formed");
    let (fault, text) = refused(&S3Config { location: elsewhere, ..good.clone() });
    assert_eq!(fault, ServiceFault::NoBucket);
    assert!(text.contains("no-such-bucket"), "{text}");
    server.stop();
    let (fault, text) = refused(&good);
    assert_eq!(fault, ServiceFault::Unreachable);
    assert!(text.contains("onnection refused"), "{text}");
}

#[test]
fn nothing_waits_beyond_its_deadline() {
    let Some(server) = S3Server::start() else { return };
    let gateway = FaultyGateway::new(server.address(), false);
    let store = store(&gateway.url());
    let (name, _) = objects(1, 100).remove(0);
    gateway.add(Rule::new("", Fault::StallBeforeHeaders));
    let late = store.fetch_to_memory(&name, 100, varve_store::Deadline::after(Duration::from_millis(50)));
    assert!(matches!(late, Err(StoreError::TimedOut { .. })), "{late:?}");
}
