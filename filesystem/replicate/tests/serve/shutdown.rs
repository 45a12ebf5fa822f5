//! The end of a server: who is being served is served, nobody else, and not for ever.

use std::net::TcpStream;
use std::time::Duration;

use varve_chassis::Limits;
use varve_testkit::wait_until;

use crate::running::{LARGE, Running};

#[test]
fn transfers_under_way_end_and_nothing_begins() {
    let mut running = Running::start();
    let mut idle = running.client();
    assert_eq!(idle.get("/").status, 200);
    let mut client = running.client();
    client.send(format!("GET {LARGE} HTTP/1.1\r\nHost: x\r\n\r\n"));
    let begun = client.head_of_answer().expect("an answer");
    assert_eq!(begun.status, 200);

    running.shutdown.begin();
    assert_eq!(idle.rest(), b"", "an idle connection is closed at once");
    wait_until("nobody listens any more", Duration::from_secs(60), || {
        TcpStream::connect(running.address).is_err()
    });
    assert!(client.rest() == running.large);
    running.wait();
}

#[test]
fn the_second_call_breaks_transfers_off() {
    let mut running = Running::start();
    let mut client = running.client();
    client.send(format!("GET {LARGE} HTTP/1.1\r\nHost: x\r\n\r\n"));
    client.head_of_answer().expect("an answer");
    running.shutdown.begin();
    running.shutdown.begin();
    running.wait();
    assert!(client.rest().len() < running.large.len());
}

#[test]
fn after_the_grace_time_transfers_are_broken_off() {
    let limits = Limits { grace: Duration::from_millis(100), ..Limits::default() };
    let mut running = Running::with(limits, false);
    let mut client = running.client();
    client.send(format!("GET {LARGE} HTTP/1.1\r\nHost: x\r\n\r\n"));
    client.head_of_answer().expect("an answer");
    running.shutdown.begin();
    running.wait();
    assert!(client.rest().len() < running.large.len());
}
