//! Servers that tell an order, and what becomes of it.

use std::time::Duration;

use varve_store::{HttpConfig, NearbyError, ServerUrl, nearest_first};
use varve_testkit::{Fault, FaultyProxy, FaultyServer, Rule};

const LONG: Duration = Duration::from_secs(60);
const GEO: &str = "/api/v1.0/geo/";

fn servers(config: &HttpConfig) -> Vec<&str> {
    config.servers.iter().map(ServerUrl::as_str).collect()
}

/// A server that answers with this order, and a list in which it is the first of three.
fn telling(order: &str) -> (FaultyServer, String) {
    let server = FaultyServer::new(std::path::Path::new("/nowhere"));
    server.add(Rule::new(GEO, Fault::Content(order.as_bytes().to_vec())));
    let list = format!("{}/cvmfs/x;http://b.invalid/cvmfs/x;http://c.invalid:8000/cvmfs/x", server.url());
    (server, list)
}

#[test]
fn the_nearest_servers_come_first() {
    let (server, list) = telling("3,1,2\n");
    let config = HttpConfig::new(&list, "").expect("well formed");
    let sorted = nearest_first(&config, "x12", LONG).expect("it tells");
    let first = format!("{}/cvmfs/x", server.url());
    assert_eq!(servers(&sorted), ["http://c.invalid:8000/cvmfs/x", &first, "http://b.invalid/cvmfs/x"]);
    assert_eq!(server.requests()[0].path, "/cvmfs/x/api/v1.0/geo/x12/127.0.0.1,b.invalid,c.invalid");
    // One alone is not asked.
    let alone = HttpConfig::new(&first, "").expect("well formed");
    assert_eq!(servers(&nearest_first(&alone, "x", LONG).expect("it is the nearest")), [first]);
    assert_eq!(server.count(GEO), 1);
}

#[test]
fn through_a_proxy_the_proxys_place_counts() {
    let (_server, list) = telling("2,1,3");
    let proxy = FaultyProxy::new();
    let config = HttpConfig::new(&list, &proxy.url()).expect("well formed");
    let sorted = nearest_first(&config, "x", LONG).expect("it tells");
    assert_eq!(servers(&sorted)[0], "http://b.invalid/cvmfs/x");
    assert!(proxy.requests()[0].path.contains("/geo/127.0.0.1/"));
}

#[test]
fn fallback_proxies_are_sorted_too() {
    let (server, list) = telling("3,2,1,6,5,4");
    let proxy = FaultyProxy::new();
    let mut config = HttpConfig::new(&list, "DIRECT").expect("well formed");
    let fallback = format!("{};g.invalid:1|h.invalid:1", proxy.url());
    config.proxies = config.proxies.with_fallback(fallback.parse().expect("well formed"));
    let sorted = nearest_first(&config, "x", LONG).expect("it tells");
    assert_eq!(sorted.proxies.to_string(), format!("http://g.invalid:1|http://h.invalid:1;{}", proxy.url()));
    assert!(
        server.requests()[0].path.ends_with("/127.0.0.1,b.invalid,c.invalid,+PXYSEP+,127.0.0.1,g.invalid")
    );
    assert_eq!(servers(&sorted)[0], "http://c.invalid:8000/cvmfs/x");
}

#[test]
fn who_does_not_know_is_passed_over_and_nobody_waited_for_long() {
    let (server, _) = telling("2,1");
    for fault in [Fault::Status(404), Fault::Status(400), Fault::Status(500), Fault::Close] {
        let first = FaultyServer::new(std::path::Path::new("/nowhere"));
        first.add(Rule::new("", fault.clone()));
        let list = format!("{}/cvmfs/x;{}/cvmfs/x", first.url(), server.url());
        let config = HttpConfig::new(&list, "").expect("well formed");
        let sorted = nearest_first(&config, "x", LONG).unwrap_or_else(|error| panic!("{fault:?}: {error}"));
        assert_eq!(servers(&sorted)[0], format!("{}/cvmfs/x", server.url()), "{fault:?}");
    }
    let (portal, list) = telling("<html>Please sign in</html>");
    let config = HttpConfig::new(&list, "").expect("well formed");
    assert!(matches!(nearest_first(&config, "x", LONG), Err(NearbyError::Malformed { .. })));
    portal.clear();
    portal.add(Rule::new("", Fault::StallBeforeHeaders));
    assert!(matches!(nearest_first(&config, "x", Duration::from_millis(200)), Err(NearbyError::Store(_))));
}
