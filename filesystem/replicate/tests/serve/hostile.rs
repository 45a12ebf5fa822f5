//! Clients that lie, dawdle, or come in crowds.

use std::fs;
use std::time::Duration;

use rustix::fs::{CWD, FileType, Mode, mknodat};
use varve_chassis::Limits;
use varve_testkit::wait_until;

use crate::running::{LARGE, Running};

const MANIFEST: &str = "/cvmfs/fix1.lab.example/.cvmfspublished";

#[test]
fn nothing_but_repositories_is_reachable() {
    let running = Running::start();
    let secret = running.root.join("secret.example");
    fs::create_dir_all(secret.join("data/aa")).expect("created");
    for file in ["key", ".cvmfssecret", "data/key", "data/aa/key", "data/aa/.cvmfspublished"] {
        fs::write(secret.join(file), "secret").expect("written");
    }
    fs::create_dir(secret.join(".cvmfswhitelist")).expect("created");
    let pipe = secret.join(".cvmfsreflog");
    mknodat(CWD, &pipe, FileType::Fifo, Mode::RUSR, 0).expect("made");
    let mut client = running.client();
    for path in [
        "/cvmfs/secret.example/key",
        "/cvmfs/secret.example/.cvmfssecret",
        "/cvmfs/secret.example/data/key",
        "/cvmfs/secret.example/data/aa/key",
        "/cvmfs/secret.example/data/aa/.cvmfspublished",
        "/cvmfs/secret.example/data/aa",
        "/cvmfs/secret.example/.cvmfswhitelist",
        "/cvmfs/secret.example/.cvmfsreflog",
        "/cvmfs/../repositories/secret.example/key",
        "/cvmfs/fix1.lab.example/../secret.example/key",
        "/cvmfs/fix1.lab.example/data/../.cvmfspublished",
        "/cvmfs/fix1.lab.example/data/..%2f.cvmfspublished",
        "/cvmfs/fix1.lab.example/%2e%2e/secret.example/key",
        "/cvmfs/../../../../../../etc/passwd",
        "/cvmfs/./.cvmfspublished",
        "/cvmfs/../.cvmfspublished",
        "/cvmfs/.hidden/.cvmfspublished",
        "/etc/passwd",
        "//etc/passwd",
        "/cvmfs/fix1.lab.example/data/",
        "/cvmfs/fix1.lab.example/",
    ] {
        let answer = client.get(path);
        assert_eq!((answer.status, answer.body.as_slice()), (404, &b"not found\n"[..]), "{path}");
    }
    let absolute = client.get(&format!("http://elsewhere{MANIFEST}"));
    assert_eq!(absolute.status, 200, "a proxy's form of the same request");
}

#[test]
fn other_methods_are_refused() {
    let running = Running::start();
    for method in ["POST", "PUT", "DELETE", "OPTIONS", "FROB"] {
        let mut client = running.client();
        client.send(format!("{method} {MANIFEST} HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n"));
        let answer = client.answer(true);
        assert_eq!((answer.status, answer.header("allow")), (405, Some("GET, HEAD")), "{method}");
    }
}

#[test]
fn what_is_no_http_ends_the_connection_and_nothing_else() {
    let running = Running::start();
    let mut other = running.client();
    let long = format!("GET /{} HTTP/1.1\r\n\r\n", "a".repeat(100_000));
    let many = format!("GET / HTTP/1.1\r\n{}\r\n", "A: b\r\n".repeat(1000));
    let h2 = [b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".as_slice(), &[0xff; 64]].concat();
    for (bytes, statuses) in [
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03".as_slice(), &[400][..]),
        (b"hello\r\n\r\n", &[400]),
        (b"GET / HTTP/9.9\r\n\r\n", &[400]),
        (b"GET /\x00 HTTP/1.1\r\n\r\n", &[400]),
        (b"GET / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", &[400]),
        (long.as_bytes(), &[414, 431]),
        (many.as_bytes(), &[431]),
        (&h2, &[]),
    ] {
        let mut client = running.client();
        client.try_send(bytes);
        match client.head_of_answer() {
            Some(answer) if !statuses.is_empty() => assert!(statuses.contains(&answer.status), "{answer:?}"),
            // A server that has not read everything may reset the connection and take its answer along.
            _ => {}
        }
        client.rest();
        assert_eq!(other.get(MANIFEST).status, 200);
    }
}

#[test]
fn who_never_ends_a_header_is_dropped() {
    let limits = Limits { header: Duration::from_millis(150), ..Limits::default() };
    let running = Running::with(limits, false);
    let mut silent = running.client();
    let mut preface = running.client();
    preface.try_send("PRI * HT");
    let mut trickling = running.client();
    // After a good request, the next one begins and does not end. On a busy machine the good one may be too slow already.
    let mut dropped = 3;
    let mut second = loop {
        let mut client = running.client();
        if client.try_send(format!("GET {MANIFEST} HTTP/1.1\r\nHost: x\r\n\r\n"))
            && let Some(answer) = client.try_answer(true)
        {
            assert_eq!(answer.status, 200);
            break client;
        }
        dropped += 1;
    };
    dropped += 1;
    second.try_send("GET /");
    // Ends when the server hangs up; each piece arrives well within any limit on a single read.
    trickling.try_send("GET / HTTP/1.1\r\n");
    while trickling.try_send("X-Header: x\r\n") {
        std::thread::sleep(Duration::from_millis(10));
    }
    for client in [&mut silent, &mut preface, &mut second] {
        client.rest();
    }
    let counted = format!("varve_http_too_slow_total{{at=\"header\"}} {dropped}\n");
    wait_until("all are counted", Duration::from_secs(60), || running.metrics.render().contains(&counted));
}

#[test]
fn who_takes_nothing_of_a_response_is_dropped() {
    let limits = Limits { stalled: Duration::from_millis(200), ..Limits::default() };
    let running = Running::with(limits, false);
    let mut lazy: Vec<_> = (0..5).map(|_| running.client()).collect();
    for client in &mut lazy {
        client.send(format!("GET {LARGE} HTTP/1.1\r\nHost: x\r\n\r\n"));
    }
    let mut other = running.client();
    wait_until("all five are counted", Duration::from_secs(60), || {
        other.get(MANIFEST).status == 200
            && running.metrics.render().contains("varve_http_too_slow_total{at=\"response\"} 5\n")
    });
    for client in &mut lazy {
        assert!(client.rest().len() < running.large.len());
    }
}

#[test]
fn idle_connections_are_closed_and_others_wait_their_turn() {
    let limits = Limits { connections: 2, idle: Duration::from_millis(300), ..Limits::default() };
    let running = Running::with(limits, false);
    let mut idle: Vec<_> = (0..2).map(|_| running.client()).collect();
    for client in &mut idle {
        assert_eq!(client.get(MANIFEST).status, 200);
    }
    assert_eq!(running.client().get(MANIFEST).status, 200, "served when an idle one was closed");
    for client in &mut idle {
        assert_eq!(client.rest(), b"");
    }
}

#[test]
fn many_connections_stay_open_and_pipelined_requests_are_answered_in_order() {
    let running = Running::start();
    let mut clients: Vec<_> = (0..300).map(|_| running.client()).collect();
    for _ in 0..3 {
        for client in &mut clients {
            client.send(format!(
                "GET {MANIFEST} HTTP/1.1\r\nHost: x\r\n\r\nGET /x HTTP/1.1\r\nHost: x\r\n\r\n"
            ));
        }
        for client in &mut clients {
            assert_eq!(client.answer(true).status, 200);
            assert_eq!(client.answer(true).status, 404);
        }
    }
    assert!(running.metrics.render().contains("varve_http_connections 300\n"));
}

#[test]
fn the_old_protocol_closes_behind_itself() {
    let running = Running::start();
    let mut client = running.client();
    client.send(format!("GET {MANIFEST} HTTP/1.0\r\n\r\n"));
    assert_eq!(client.answer(true).status, 200);
    assert_eq!(client.rest(), b"");
}
