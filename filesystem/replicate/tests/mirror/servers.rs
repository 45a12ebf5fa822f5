//! Servers that fail or lie on the way: the error says how, the replica stays, and the next call goes on.

use std::fs;

use varve_replicate::{Mirror, MirrorError, UnseenProgress};
use varve_store::{DirectoryStore, HttpConfig, HttpSource};
use varve_testkit::{Fault, FaultyServer, Fixture, Rule, Scratch};

use crate::workshop::{check_sound, fixture_trust, request};

#[test]
fn whatever_a_server_does_the_replica_is_valid_and_the_next_call_completes_it() {
    let fixture = Fixture::sha1();
    let (name, trust) = (fixture.name().parse().expect("a name"), fixture_trust(&fixture));
    for (what, part, fault, is_integrity) in [
        ("overloaded", "/data/", Fault::Status(503), false),
        ("gone", "/data/", Fault::Close, false),
        ("a flipped bit", "/data/", Fault::FlipBit(100), true),
        ("cut off", "/data/", Fault::Truncate(3), true),
        ("a portal", "/data/", Fault::Html, true),
        // Chunks, which come late: P stands in no other address.
        ("a flipped bit of a chunk", "P", Fault::FlipBit(1000), true),
        ("overloaded by chunks", "P", Fault::Status(503), false),
        ("a chunk that does not exist", "P", Fault::Status(404), true),
        ("a portal before everything", "", Fault::Html, true),
        ("nothing there", "/.cvmfspublished", Fault::Status(404), false),
        ("a missing whitelist", "/.cvmfswhitelist", Fault::Status(404), false),
    ] {
        let scratch = Scratch::new();
        let server = FaultyServer::of_repository(fixture.name(), &fixture.served());
        let address = format!("{}/cvmfs/{}", server.url(), fixture.name());
        let config = HttpConfig { retries: 0, ..HttpConfig::new(&address, "DIRECT").expect("well formed") };
        let source = HttpSource::new(config).expect("plain HTTP needs nothing");
        let replica = DirectoryStore::create(scratch.path().join("replica")).expect("creatable");
        let mirror = Mirror { name: &name, source: &source, replica: &replica, trust: &trust };
        server.add(Rule::new(part, fault.clone()));
        let error = mirror.run(&request(), &UnseenProgress).expect_err(what);
        assert_eq!(error.is_integrity(), is_integrity, "{what}: {error}");
        assert!(!replica.root().join(".cvmfspublished").exists(), "{what}");
        server.clear();
        mirror.run(&request(), &UnseenProgress).expect(what);
        check_sound(&replica, &name, &trust);
        // A server that has gone altogether changes nothing.
        let manifest = fs::read(replica.root().join(".cvmfspublished")).expect("it was replicated");
        drop(server);
        let error = mirror.run(&request(), &UnseenProgress).expect_err("nobody answers");
        assert!(matches!(error, MirrorError::Source(_)) && !error.is_integrity(), "{what}: {error}");
        assert_eq!(fs::read(replica.root().join(".cvmfspublished")).expect("it stays"), manifest);
    }
}
