//! Announcements: who listens is told, nobody keeps the server alive by listening.

use std::fs;
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use varve_store::{Announcement, Announcements, HttpConfig};
use varve_testkit::{Fixture, wait_until};

use crate::running::Running;

const NAME: &str = "copied.example";

const LIMIT: Duration = Duration::from_secs(60);

/// A server whose repository [`NAME`] can be changed.
fn changeable() -> Running {
    let running = Running::start();
    Fixture::sha1().copy_served(&running.root.join(NAME)).expect("copyable");
    running
}

/// Shows the manifest of the other fixture.
fn switch(running: &Running) {
    let place = running.root.join(NAME);
    let next = place.join("next");
    fs::copy(Fixture::rmd160().served().join(".cvmfspublished"), &next).expect("copyable");
    fs::rename(next, place.join(".cvmfspublished")).expect("renamed");
}

/// Revision and root catalog as a manifest says them.
fn shown(fixture: &Fixture) -> Announcement {
    let manifest = fs::read(fixture.served().join(".cvmfspublished")).expect("readable");
    let manifest = String::from_utf8_lossy(&manifest);
    let line = |letter| manifest.lines().find_map(|line| line.strip_prefix(letter)).expect("it is there");
    Announcement { revision: line('S').parse().expect("a number"), root_catalog: line('C').to_owned() }
}

fn listen(announcements: &Announcements, running: &Running) -> Receiver<Announcement> {
    let server = format!("http://{}/cvmfs/{NAME}", running.address);
    let config = HttpConfig::new(&server, "DIRECT").expect("well formed");
    let (hear, heard) = channel();
    let notify = move |announced| drop(hear.send(announced));
    announcements.listen(&config, notify).expect("plain HTTP needs nothing");
    heard
}

#[test]
fn who_listens_is_told_what_is_shown_and_what_is_shown_next() {
    let running = changeable();
    let announcements = Announcements::new().expect("a thread");
    let heard = [listen(&announcements, &running), listen(&announcements, &running)];
    for heard in &heard {
        assert_eq!(heard.recv_timeout(LIMIT), Ok(shown(&Fixture::sha1())));
    }
    switch(&running);
    for heard in &heard {
        assert_eq!(heard.recv_timeout(LIMIT), Ok(shown(&Fixture::rmd160())));
    }
}

#[test]
fn who_lost_the_server_listens_again() {
    let running = changeable();
    let announcements = Announcements::new().expect("a thread");
    // The first is a server that does not announce, the second one that comes and goes.
    let silent = varve_testkit::FaultyServer::new(&Fixture::sha1().served());
    let servers = format!("{};http://{}/cvmfs/{NAME}", silent.url(), running.address);
    let config = HttpConfig::new(&servers, "DIRECT").expect("well formed");
    let (hear, heard) = channel();
    announcements.listen(&config, move |announced| drop(hear.send(announced))).expect("plain HTTP");
    assert_eq!(heard.recv_timeout(LIMIT), Ok(shown(&Fixture::sha1())));
    // A directory that takes the place of the old one is noticed, too.
    let place = running.root.join(NAME);
    fs::rename(&place, running.root.join("old.example")).expect("renamed");
    Fixture::rmd160().copy_served(&place).expect("copyable");
    wait_until("the other revision", LIMIT, || {
        heard.try_iter().any(|announced| announced == shown(&Fixture::rmd160()))
    });
}

#[test]
fn a_listener_does_not_keep_the_server_alive() {
    let mut running = changeable();
    let mut client = running.client();
    client.send(format!("GET /cvmfs/{NAME}/api/v1/events HTTP/1.1\r\nHost: x\r\n\r\n"));
    let begun = client.head_of_answer().expect("an answer");
    assert_eq!((begun.status, begun.header("content-type")), (200, Some("text/event-stream")));
    assert_eq!(begun.header("cache-control"), Some("no-store"));
    running.shutdown.begin();
    let rest = String::from_utf8_lossy(&client.rest()).into_owned();
    assert!(rest.contains("event: revision\ndata: ") && rest.ends_with("0\r\n\r\n"), "{rest}");
    running.wait();
}

#[test]
fn only_repositories_are_listened_to() {
    let running = changeable();
    let mut client = running.client();
    assert_eq!(client.get("/cvmfs/none.example/api/v1/events").status, 404);
    assert_eq!(client.get("/cvmfs/large.example/api/v1/events").status, 404, "it has no manifest");
    assert_eq!(client.head(&format!("/cvmfs/{NAME}/api/v1/events")).status, 405);
    assert_eq!(client.get(&format!("/cvmfs/{NAME}/api/v1/events/")).status, 404);
}
