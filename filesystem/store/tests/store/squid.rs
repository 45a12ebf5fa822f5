//! Through a real squid: what it caches, what it refuses, what it says of servers, and what wrong it has kept.

use varve_content::{Algorithm, ObjectKind};
use varve_store::{Freshness, HttpConfig, HttpSource, ObjectSource, RepositoryFile, StoreError};
use varve_testkit::{Fault, Rule, Squid};

use crate::conformance::{check_source, name_of, samples, soon};
use crate::http::{Origin, config, source};
use crate::https;

/// Keeps everything for long, whatever the origin says, and also what is not there.
const GREEDY: &str = "refresh_pattern . 1440 100% 1440 override-expire\nnegative_ttl 1 hour";

#[test]
fn the_conformance_suite_holds_and_the_second_client_is_served_from_its_cache() {
    let Some(squid) = Squid::start(GREEDY) else { return };
    let origin = Origin::new();
    let server = origin.serve();
    check_source(&source(&[&server], &squid.url()));
    server.forget_requests();
    let second = source(&[&server], &squid.url());
    for (name, stored) in samples() {
        assert_eq!(second.fetch_to_memory(&name, 1 << 20, soon()).expect("because it is there"), stored);
        assert_eq!(server.count(&name.path().to_string()), 0);
    }
    assert!(squid.log("/data/").iter().any(|access| access.result.contains("HIT/200")));
}

#[test]
fn one_that_ends_is_got_around() {
    let Some(mut squid) = Squid::start("") else { return };
    let origin = Origin::new();
    let server = origin.serve();
    let with_direct = source(&[&server], &format!("{};DIRECT", squid.url()));
    let without = source(&[&server], &squid.url());
    for source in [&with_direct, &without] {
        assert!(origin.fetch(source).expect("because squid forwards it") == origin.large.1);
    }
    squid.stop();
    assert!(origin.fetch(&with_direct).expect("because there is another way") == origin.large.1);
    assert_eq!((with_direct.counters().proxy.as_str(), with_direct.counters().failovers), ("DIRECT", 1));
    let error = origin.fetch(&without).expect_err("because there is no other way");
    assert!(matches!(error, StoreError::Transport { .. }), "{error}");
    assert!(error.to_string().contains(&squid.url()), "{error}");
    squid.restart();
    assert!(origin.fetch(&without).expect("because squid is back") == origin.large.1);
}

#[test]
fn a_server_that_it_can_not_reach_is_the_servers_fault() {
    let Some(squid) = Squid::start("") else { return };
    let origin = Origin::new();
    let (gone, healthy) = (origin.serve(), origin.serve());
    let mut config = config(&[&gone, &healthy], &format!("{};DIRECT", squid.url()));
    // A name that nobody knows comes first.
    config.servers.insert(0, "http://nowhere.invalid/cvmfs/x".parse().expect("an address"));
    drop(gone);
    let source = HttpSource::new(config).expect("because nothing is encrypted");
    assert!(origin.fetch(&source).expect("because one is sound") == origin.large.1);
    assert_eq!(source.counters().proxy, squid.url());
    assert!(source.counters().server.starts_with(&healthy.url()));
}

#[test]
fn one_that_refuses_is_left() {
    let Some(squid) = Squid::start("http_access deny all") else { return };
    let origin = Origin::new();
    let server = origin.serve();
    let source = source(&[&server], &format!("{};DIRECT", squid.url()));
    assert!(origin.fetch(&source).expect("because there is another way") == origin.large.1);
    assert_eq!(source.counters().proxy, "DIRECT");
    let only = crate::http::source(&[&server], &squid.url());
    let error = origin.fetch(&only).expect_err("because it is refused");
    assert!(error.to_string().contains("403") && error.to_string().contains(&squid.url()), "{error}");
}

#[test]
fn an_absence_that_it_remembers_is_asked_for_again() {
    let Some(squid) = Squid::start(GREEDY) else { return };
    let origin = Origin::new();
    let server = origin.serve();
    let source = source(&[&server], &squid.url());
    server.add(Rule::new("/data/", Fault::Status(404)));
    let error = origin.fetch(&source).expect_err("because it is not there yet");
    assert!(error.is_absence(), "{error}");
    server.clear();
    assert!(origin.fetch(&source).expect("because it is there now") == origin.large.1);
    let absent = name_of(b"absent", Algorithm::Sha1, ObjectKind::File);
    assert!(source.fetch_to_memory(&absent, 100, soon()).expect_err("because it is nowhere").is_absence());
}

#[test]
fn wrong_content_that_it_keeps_is_replaced_for_everybody() {
    for fault in
        [Fault::Html, Fault::FlipBit(7), Fault::Truncate(10), Fault::Content(b"of yesterday".to_vec())]
    {
        let Some(squid) = Squid::start(GREEDY) else { return };
        let origin = Origin::new();
        let server = origin.serve();
        server.add(Rule::new("/data/", fault.clone()).times(1));
        assert!(
            origin.fetch(&source(&[&server], &squid.url())).expect("because it is right now")
                == origin.large.1
        );
        assert_eq!(server.count("/data/"), 2, "{fault:?}");
        assert!(
            origin.fetch(&source(&[&server], &squid.url())).expect("because it is right now")
                == origin.large.1
        );
        assert_eq!(server.count("/data/"), 2, "{fault:?}");
    }
}

#[test]
fn an_old_manifest_lasts_until_it_is_asked_for_past_the_cache() {
    let Some(squid) = Squid::start(GREEDY) else { return };
    let origin = Origin::new();
    let server = origin.serve();
    let source = source(&[&server], &squid.url());
    let fetch =
        |freshness| source.fetch_file(RepositoryFile::Manifest, freshness, soon()).expect("it is there");
    assert_eq!(fetch(Freshness::Cached), b"manifest 1");
    origin.put_manifest(b"manifest 2");
    assert_eq!(fetch(Freshness::Cached), b"manifest 1");
    assert_eq!(fetch(Freshness::Revalidated), b"manifest 2");
    assert_eq!(fetch(Freshness::Cached), b"manifest 2");
}

#[test]
fn a_portals_login_page_is_no_object_and_no_reason_to_give_up() {
    // Everybody is sent to the portal's page.
    let origin = Origin::new();
    let (server, portal) = (origin.serve(), origin.serve());
    portal.add(Rule::new("", Fault::Html));
    let lines = format!("deny_info {}/login all\nhttp_access deny all", portal.url());
    let Some(squid) = Squid::start(&lines) else { return };
    let error = origin.fetch(&source(&[&server], &squid.url())).expect_err("because it is a login page");
    assert!(error.to_string().contains("web page") || error.to_string().contains("redirect"), "{error}");
    let source = source(&[&server], &format!("{};DIRECT", squid.url()));
    assert!(origin.fetch(&source).expect("because there is another way") == origin.large.1);
    assert_eq!(source.counters().proxy, "DIRECT");
}

#[test]
fn encrypted_servers_are_reached_through_a_tunnel() {
    let Some(squid) = Squid::start("") else { return };
    let origin = Origin::new();
    let address = https::serve(origin.directory().to_owned());
    let url = |port: u16| format!("https://localhost:{port}");
    // A server that is gone is not the proxy's fault.
    let servers = format!("{};{}", url(9), url(address.port()));
    let mut config = HttpConfig::new(&servers, &squid.url()).expect("well formed");
    config.backoff = std::time::Duration::from_millis(20);
    config.root_certificates = vec![https::AUTHORITY.to_vec()];
    let source = HttpSource::new(config).expect("because the authority is well formed");
    assert!(origin.fetch(&source).expect("because one is sound") == origin.large.1);
    assert_eq!(source.counters().server, url(address.port()));
    // It is logged when it ends.
    drop(source);
    let name = format!("localhost:{}", address.port());
    varve_testkit::wait_until("the tunnel in the log", std::time::Duration::from_secs(60), || {
        squid.log(&name).iter().any(|access| access.result.starts_with("TCP_TUNNEL"))
    });
}
