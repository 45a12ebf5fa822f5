//! What remains of requests: lines in the log, numbers for Prometheus.

use varve_chassis::{Limits, METRICS};

use crate::client::Client;
use crate::running::{LARGE, Running};

#[test]
fn every_request_is_a_line() {
    let running = Running::with(Limits::default(), true);
    let mut client = running.client();
    client.get_with("/cvmfs/fix1.lab.example/.cvmfspublished", "User-Agent: cvmfs Fuse 2.12 \"x\"\r\n");
    client.head("/cvmfs/fix1.lab.example/.cvmfswhitelist");
    client.get_with(LARGE, "Range: bytes=0-99\r\nReferer: http://r/\r\n");
    client.get("/nothing?a=%0a");
    drop(client);
    let time = "[10/Oct/2000:20:55:36 +0000]";
    let published = "\"GET /cvmfs/fix1.lab.example/.cvmfspublished HTTP/1.1\" 200 598";
    let whitelist = "\"HEAD /cvmfs/fix1.lab.example/.cvmfswhitelist HTTP/1.1\" 200 0";
    assert_eq!(
        running.stop(),
        [
            format!("127.0.0.1 - - {time} {published} \"-\" \"cvmfs Fuse 2.12 \\\"x\\\"\""),
            format!("127.0.0.1 - - {time} {whitelist} \"-\" \"-\""),
            format!("127.0.0.1 - - {time} \"GET {LARGE} HTTP/1.1\" 206 100 \"http://r/\" \"-\""),
            format!("127.0.0.1 - - {time} \"GET /nothing?a=%0a HTTP/1.1\" 404 10 \"-\" \"-\""),
        ]
    );
}

#[test]
fn numbers_are_exposed() {
    let running = Running::start();
    let mut client = running.client();
    client.get_with(LARGE, "Range: bytes=0-99\r\n");
    client.get("/nothing");
    let answer = client.get("/metrics");
    assert_eq!(answer.header("content-type"), Some("text/plain; version=0.0.4"));
    let text = String::from_utf8(answer.body).expect("text");
    for line in [
        "varve_http_requests_total{status=\"2xx\"} 1",
        "varve_http_requests_total{status=\"4xx\"} 1",
        "varve_http_sent_bytes_total 110",
        "varve_http_connections 1",
        "varve_http_accepted_total 1",
    ] {
        assert!(text.lines().any(|found| found == line), "{line}\n{text}");
    }
    for metric in METRICS {
        assert!(text.contains(metric.name), "{}", metric.name);
    }
}

#[test]
fn numbers_behind_a_proxy_or_on_a_port_of_their_own_are_not_for_the_public() {
    let running = Running::start();
    let behind = running.client().get_with("/metrics", "X-Forwarded-For: 192.0.2.1\r\n");
    assert_eq!(behind.status, 404, "a proxy on this machine asks for somebody else");

    let running = Running::with_metrics_apart();
    assert_eq!(running.client().get("/metrics").status, 404);
    let mut apart = Client::connect(running.metrics_address.expect("a port of its own"));
    assert_eq!(apart.get("/metrics").status, 200);
    assert_eq!(apart.get("/cvmfs/fix1.lab.example/.cvmfspublished").status, 404);
}
