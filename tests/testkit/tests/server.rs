//! The faulty server and proxy, seen by a plain socket: every fault does what it says.

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use varve_testkit::{Fault, FaultyProxy, FaultyServer, Rule, Scratch, wait_until};

const BODY: &[u8] = b"the content of the object";
const LONG: Duration = Duration::from_secs(60);

fn server() -> (Scratch, FaultyServer) {
    let scratch = Scratch::new();
    fs::write(scratch.join("object"), BODY).expect("because it is writable");
    fs::write(scratch.join("other"), b"something else").expect("because it is writable");
    let server = FaultyServer::new(scratch.path());
    (scratch, server)
}

/// Status line, headers and body as they came until the connection was closed.
fn get(address: SocketAddr, path: &str) -> (String, Vec<u8>) {
    let mut stream = TcpStream::connect(address).expect("because it listens");
    stream.set_read_timeout(Some(LONG)).expect("because it is no zero");
    write!(stream, "GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n")
        .expect("because it listens");
    let mut all = Vec::new();
    stream.read_to_end(&mut all).expect("because it closes");
    let Some(end) = all.windows(4).position(|window| window == b"\r\n\r\n") else {
        return (String::new(), all);
    };
    (String::from_utf8_lossy(&all[..end]).into_owned(), all[end + 4..].to_vec())
}

#[test]
fn without_rules_files_are_served() {
    let (_scratch, server) = server();
    let (head, body) = get(server.address(), "/object");
    assert!(head.starts_with("HTTP/1.1 200 ") && body == BODY, "{head}");
    for missing in ["/missing", "/../etc/passwd", "/"] {
        assert!(get(server.address(), missing).0.starts_with("HTTP/1.1 404 "), "{missing}");
    }
    assert_eq!((server.count("/object"), server.requests().len()), (1, 4));
}

#[test]
fn a_repository_is_served_below_its_name() {
    let scratch = Scratch::new();
    fs::write(scratch.join(".cvmfspublished"), BODY).expect("because it is writable");
    let server = FaultyServer::of_repository("a.example", &scratch);
    assert_eq!(get(server.address(), "/cvmfs/a.example/.cvmfspublished").1, BODY);
    assert!(get(server.address(), "/cvmfs/b.example/.cvmfspublished").0.starts_with("HTTP/1.1 404 "));
}

#[test]
fn connections_are_kept() {
    let (_scratch, server) = server();
    let mut stream = TcpStream::connect(server.address()).expect("because it listens");
    for _ in 0..2 {
        stream.write_all(b"GET /object HTTP/1.1\r\n\r\n").expect("because it listens");
        let mut answer = Vec::new();
        while !answer.ends_with(BODY) {
            let mut byte = [0];
            stream.read_exact(&mut byte).expect("because an answer comes");
            answer.push(byte[0]);
        }
    }
}

#[test]
fn bodies_are_falsified() {
    let (_scratch, server) = server();
    let mut flipped = BODY.to_vec();
    flipped[1] ^= 4;
    for (fault, body) in [
        (Fault::Truncate(3), &BODY[..3]),
        (Fault::FlipBit(10), &flipped),
        (Fault::Swap("/other".into()), b"something else"),
        (Fault::Content(b"made up".into()), b"made up"),
        (Fault::CloseAfter(5), &BODY[..5]),
        (Fault::WrongLength(7), BODY),
        (Fault::Trickle(4, Duration::from_millis(1)), BODY),
        (Fault::Delay(Duration::from_millis(1)), BODY),
    ] {
        server.add(Rule::new("/object", fault.clone()).times(1));
        let (head, got) = get_falsified(&server);
        assert!(head.starts_with("HTTP/1.1 200 ") && got == body, "{fault:?}: {head}");
    }
    assert_eq!(get(server.address(), "/object").1, BODY);
}

/// As [`get`]; answers after which the server keeps the connection end with the request's `Connection: close`.
fn get_falsified(server: &FaultyServer) -> (String, Vec<u8>) {
    let mut stream = TcpStream::connect(server.address()).expect("because it listens");
    write!(stream, "GET /object HTTP/1.1\r\nConnection: close\r\n\r\n").expect("because it listens");
    stream.shutdown(std::net::Shutdown::Write).expect("because it is connected");
    let mut all = Vec::new();
    stream.read_to_end(&mut all).expect("because it closes");
    let end = all.windows(4).position(|window| window == b"\r\n\r\n").expect("because there is a head");
    (String::from_utf8_lossy(&all[..end]).into_owned(), all[end + 4..].to_vec())
}

#[test]
fn statuses_pages_and_redirects_are_made_up() {
    let (_scratch, server) = server();
    for (fault, start) in [
        (Fault::Status(503), "HTTP/1.1 503 "),
        (Fault::Html, "HTTP/1.1 200 OK\r\nContent-Type: text/html"),
        (Fault::RedirectLoop, "HTTP/1.1 302 "),
        (Fault::Close, ""),
        (Fault::Garbage, ""),
    ] {
        server.add(Rule::new("", fault.clone()).times(1));
        let mut stream = TcpStream::connect(server.address()).expect("because it listens");
        stream.write_all(b"GET /object HTTP/1.1\r\nHost: h\r\n\r\n").expect("because it listens");
        stream.shutdown(std::net::Shutdown::Write).expect("because it is connected");
        let mut all = Vec::new();
        // A closed connection may be reset, which is as good.
        let _length = stream.read_to_end(&mut all);
        assert!(String::from_utf8_lossy(&all).starts_with(start), "{fault:?}");
    }
}

#[test]
fn an_endless_body_does_not_end() {
    let (_scratch, server) = server();
    server.add(Rule::new("/object", Fault::Endless));
    let mut stream = TcpStream::connect(server.address()).expect("because it listens");
    stream.write_all(b"GET /object HTTP/1.1\r\n\r\n").expect("because it listens");
    let mut some = vec![0; 5 << 20];
    stream.read_exact(&mut some).expect("because there is always more");
}

#[test]
fn what_stalls_is_released() {
    let (_scratch, server) = server();
    for fault in [Fault::StallBeforeHeaders, Fault::StallAfter(3)] {
        server.add(Rule::new("/object", fault).times(1));
        let address = server.address();
        let reader = std::thread::spawn(move || {
            let mut stream = TcpStream::connect(address).expect("because it listens");
            stream.write_all(b"GET /object HTTP/1.1\r\n\r\n").expect("because it listens");
            stream.shutdown(std::net::Shutdown::Write).expect("because it is connected");
            let mut all = Vec::new();
            stream.read_to_end(&mut all).expect("because it closes");
            all
        });
        wait_until("the stall", LONG, || server.stalled() == 1);
        assert!(!reader.is_finished());
        server.release();
        assert!(reader.join().expect("because it ends").ends_with(BODY));
    }
    assert_eq!(server.most_in_flight(), 1);
}

#[test]
fn dropping_ends_what_stalls() {
    let (_scratch, server) = server();
    server.add(Rule::new("/object", Fault::StallBeforeHeaders));
    let address = server.address();
    let reader = std::thread::spawn(move || {
        let mut stream = TcpStream::connect(address).expect("because it listens");
        stream.write_all(b"GET /object HTTP/1.1\r\n\r\n").expect("because it listens");
        let mut all = Vec::new();
        let _length = stream.read_to_end(&mut all);
    });
    wait_until("the stall", LONG, || server.stalled() == 1);
    drop(server);
    reader.join().expect("because the connection was closed");
    assert!(TcpStream::connect(address).is_err());
}

#[test]
fn a_proxy_forwards_and_falsifies() {
    let (_scratch, server) = server();
    let proxy = FaultyProxy::new();
    let target = format!("{}/object", server.url());
    assert_eq!(get(proxy.address(), &target).1, BODY);
    assert_eq!((proxy.count("/object"), server.count("/object")), (1, 1));
    proxy.add(Rule::new("/object", Fault::Truncate(2)).times(1));
    assert_eq!(get(proxy.address(), &target).1, &BODY[..2]);
    assert_eq!(get(proxy.address(), &target).1, BODY);
    drop(server);
    assert!(get(proxy.address(), &target).0.starts_with("HTTP/1.1 502 "));
}
