//! A request that takes unusually long is made over another route as well: the reader doesn't wait for the first, what is
//! wrong is not believed, and servers see no more than a few requests more than there are reads.

use std::time::Duration;

use varve_store::{HttpConfig, HttpSource, ObjectSource};
use varve_testkit::{Fault, FaultyProxy, FaultyServer, Listener, Rule, wait_until};

use crate::conformance::{samples, soon};
use crate::http::{Origin, config};

/// Reads until it is known what is usual, and as many hedges are saved as can be.
const USUAL: usize = 60;
const MOST_SAVED: u64 = 3;

/// Reads one object as often as makes others unusually late.
fn accustomed(config: HttpConfig) -> HttpSource {
    let source = HttpSource::new(config).expect("because nothing is encrypted");
    (0..USUAL).for_each(|_| read(&source));
    source
}

/// With so much patience that nothing but a hedge helps within a test.
fn patient(servers: &[&FaultyServer], proxies: &str) -> HttpSource {
    accustomed(with_timeout(config(servers, proxies), Duration::from_secs(3600)))
}

fn with_timeout(mut config: HttpConfig, timeout: Duration) -> HttpConfig {
    (config.timeout_direct, config.timeout_proxied) = (timeout, timeout);
    config.retries = 0;
    config
}

fn read(source: &HttpSource) {
    let (name, stored) = samples().swap_remove(2);
    assert_eq!(source.fetch_to_memory(&name, 1 << 20, soon()).expect("because it is served"), stored);
}

fn stall_once(listener: &Listener) {
    listener.add(Rule::new("/data/", Fault::StallBeforeHeaders).times(1));
}

/// Until it has a request that it doesn't answer.
fn wait_until_silent(listener: &Listener) {
    wait_until("a request that stalls", Duration::from_secs(20), || listener.stalled() == 1);
}

#[test]
fn a_late_server_is_overtaken_by_the_next() {
    let origin = Origin::new();
    let (late, next) = (origin.serve(), origin.serve());
    let source = patient(&[&late, &next], "");
    let before = source.counters();
    stall_once(&late);
    read(&source);
    wait_until_silent(&late);
    let after = source.counters();
    assert_eq!(after.requests, before.requests + 2);
    assert_eq!((after.hedges, after.hedges_won), (before.hedges + 1, before.hedges_won + 1));
    // That was no failure.
    assert_eq!((after.retries, after.failovers, after.server), (0, 0, before.server));
    // What it sends now disturbs nobody.
    late.release();
    assert!(origin.fetch(&source).expect("because it is served") == origin.large.1);
    assert_eq!(late.count(&origin.large.0.path()), 1);
}

#[test]
fn a_late_proxy_is_overtaken_by_another_of_its_group() {
    let origin = Origin::new();
    let (server, mirror) = (origin.serve(), origin.serve());
    let (one, two, last) = (FaultyProxy::new(), FaultyProxy::new(), FaultyProxy::new());
    let proxies = format!("{}|{};{}", one.url(), two.url(), last.url());
    let source = patient(&[&server, &mirror], &proxies);
    let used = source.counters().proxy;
    let (late, other) = if used == one.url() { (&one, &two) } else { (&two, &one) };
    let before = other.count("/data/");
    stall_once(late);
    read(&source);
    wait_until_silent(late);
    assert_eq!(other.count("/data/"), before + 1);
    assert_eq!((last.count(""), mirror.count("")), (0, 0));
    assert_eq!((source.counters().failovers, source.counters().proxy), (0, used));
}

#[test]
fn a_hedge_that_fails_leaves_the_first_to_answer() {
    let origin = Origin::new();
    for fault in [Fault::Status(404), Fault::Status(500), Fault::Close] {
        let (late, next) = (origin.serve(), origin.serve());
        let source = patient(&[&late, &next], "");
        let before = source.counters();
        stall_once(&late);
        next.add(Rule::new("/data/", fault));
        let asked = next.count("/data/");
        std::thread::scope(|scope| {
            scope.spawn(|| read(&source));
            wait_until("the hedge", Duration::from_secs(20), || next.count("/data/") > asked);
            wait_until_silent(&late);
            late.release();
        });
        let after = source.counters();
        assert_eq!((after.hedges, after.hedges_won), (before.hedges + 1, before.hedges_won));
        assert_eq!((after.retries, after.failovers), (0, 0));
    }
}

#[test]
fn wrong_bytes_of_a_hedge_are_not_believed() {
    let origin = Origin::new();
    let (late, next) = (origin.serve(), origin.serve());
    let source = patient(&[&late, &next], "");
    stall_once(&late);
    next.add(Rule::new("/data/", Fault::FlipBit(77)));
    next.forget_requests();
    late.forget_requests();
    read(&source);
    // The server that sent them is asked past the caches, then the first once more, which isn't blamed.
    let asked: Vec<bool> =
        next.requests().iter().map(|request| request.header("cache-control").is_some()).collect();
    assert_eq!((asked, late.count("/data/")), (vec![false, true], 2));
    assert_eq!(source.counters().failovers, 0);
}

#[test]
fn when_all_requests_are_late_few_are_hedged() {
    let origin = Origin::new();
    let (late, next) = (origin.serve(), origin.serve());
    let source = accustomed(with_timeout(config(&[&late, &next], ""), Duration::from_secs(2)));
    late.add(Rule::new("/data/", Fault::StallBeforeHeaders));
    let reads = 3 + MOST_SAVED;
    (0..reads).for_each(|_| read(&source));
    let counters = source.counters();
    assert!(counters.hedges > 0 && counters.hedges <= MOST_SAVED, "{counters:?}");
    // The first that had to wait found the server to have failed.
    assert_eq!((counters.retries, counters.failovers), (1, 1));
    let seen = (late.count("/data/") + next.count("/data/")) as u64;
    assert_eq!(seen, USUAL as u64 + reads + counters.hedges + counters.retries);
}

#[test]
fn a_single_route_gets_one_request() {
    let origin = Origin::new();
    let server = origin.serve();
    let source = accustomed(with_timeout(config(&[&server], ""), Duration::from_secs(1)));
    stall_once(&server);
    let (name, _) = samples().swap_remove(2);
    source.fetch_to_memory(&name, 1 << 20, soon()).expect_err("because the only server is silent");
    assert_eq!((server.count("/data/"), source.counters().hedges), (USUAL + 1, 0));
}

#[test]
fn nothing_is_hedged_where_that_is_switched_off() {
    let origin = Origin::new();
    let (late, next) = (origin.serve(), origin.serve());
    let config = with_timeout(config(&[&late, &next], ""), Duration::from_secs(1));
    let source = accustomed(HttpConfig { hedging: false, ..config });
    stall_once(&late);
    read(&source);
    assert_eq!((source.counters().hedges, source.counters().retries), (0, 1));
}
