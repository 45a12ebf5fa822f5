//! Who is near, by a database that the test writes: the networks are those reserved for documentation.

use std::fs;
use std::path::Path;
use std::time::Duration;

use mmdb_writer::{Value, Writer};
use varve_testkit::{Fixture, wait_until};

use crate::client::{Answer, Client};
use crate::running::Running;

const GENEVA: (&str, f64, f64) = ("192.0.2.0/25", 46.2, 6.1);
const OXFORD: (&str, f64, f64) = ("192.0.2.128/25", 51.7, -1.3);
const CHICAGO: (&str, f64, f64) = ("198.51.100.0/24", 41.9, -87.6);
const TAIPEI: (&str, f64, f64) = ("2001:db8::/32", 25.0, 121.5);
/// Where the test itself is.
const HERE: (&str, f64, f64) = ("127.0.0.0/8", 46.0, 6.0);

/// Writes a database, and replaces one that is there in one step.
fn write(path: &Path, networks: &[(&str, f64, f64)]) {
    let mut writer = Writer::new("Test-City");
    for (network, latitude, longitude) in networks {
        let location =
            Value::map([("latitude", Value::from(*latitude)), ("longitude", Value::from(*longitude))]);
        let network = network.parse::<ipnet::IpNet>().expect("a network");
        writer.insert_value(network, Value::map([("location", location)])).expect("room");
    }
    let fresh = path.with_extension("new");
    fs::write(&fresh, writer.to_bytes().expect("a database")).expect("a writable directory");
    fs::rename(fresh, path).expect("a writable directory");
}

fn ask(client: &mut Client, question: &str, headers: &str) -> Answer {
    let fixture = Fixture::sha1();
    client.get_with(&format!("/cvmfs/{}/api/v1.0/geo/{question}", fixture.name()), headers)
}

fn order(client: &mut Client, question: &str, headers: &str) -> String {
    let answer = ask(client, question, headers);
    let body = String::from_utf8_lossy(&answer.body).into_owned();
    assert_eq!(answer.status, 200, "{question}: {body}");
    assert_eq!(answer.header("cache-control"), Some("max-age=3600"));
    assert_eq!(answer.header("content-type"), Some("text/plain"));
    body
}

#[test]
fn servers_are_sorted_from_where_the_client_is() {
    let scratch = tempfile::tempdir().expect("a directory");
    let path = scratch.path().join("cities.mmdb");
    write(&path, &[GENEVA, OXFORD, CHICAGO, TAIPEI, HERE]);
    let running = Running::with_geo(path);
    let mut client = running.client();
    let servers = "198.51.100.1,203.0.113.1,[2001:db8::1]:8000,192.0.2.1";
    // By its own name, by whoever passed it on, by its address.
    assert_eq!(order(&mut client, &format!("192.0.2.200/{servers}"), ""), "4,1,3,2\n");
    assert_eq!(
        order(&mut client, &format!("x0/{servers}"), "X-Forwarded-For: 192.0.2.1, 198.51.100.7\r\n"),
        "1,4,3,2\n"
    );
    assert_eq!(
        order(&mut client, &format!("x0/{servers}"), "CF-Connecting-IP: 2001:db8::9\r\n"),
        "3,4,1,2\n"
    );
    assert_eq!(order(&mut client, &format!("x0/{servers}"), ""), "4,1,3,2\n");
    // A host that has no address is nowhere, as are private ones.
    assert_eq!(order(&mut client, "x0/nowhere.invalid,10.0.0.1,192.0.2.1", ""), "3,1,2\n");
    assert_eq!(order(&mut client, "x0/192.0.2.1,localhost", ""), "2,1\n");
    // With proxies, their place counts.
    assert_eq!(order(&mut client, "x0/192.0.2.1,198.51.100.1,+PXYSEP+,198.51.100.2", ""), "2,1,4,3\n");
}

#[test]
fn what_can_not_be_answered_is_said_so() {
    let scratch = tempfile::tempdir().expect("a directory");
    let path = scratch.path().join("cities.mmdb");
    write(&path, &[GENEVA]);
    let running = Running::with_geo(path);
    let mut client = running.client();
    let many = format!("x0/{}", vec!["a"; 65].join(","));
    for question in ["x0/192.0.2.1", "x0", "x0/", "192.0.2.1/a,,b", "192.0.2.1/a b", &many] {
        let question = question.replace(' ', "%20");
        let answer = ask(&mut client, &question, "");
        assert_eq!((answer.status, answer.header("cache-control")), (400, Some("max-age=300")), "{question}");
    }
    assert_eq!(client.get("/cvmfs/nowhere.example/api/v1.0/geo/192.0.2.1/192.0.2.1").status, 404);
    drop(client);
    let without = Running::start();
    assert_eq!(ask(&mut without.client(), "192.0.2.1/192.0.2.1", "").status, 404);
}

#[test]
fn a_replaced_database_is_read_and_a_broken_one_is_not_used() {
    let scratch = tempfile::tempdir().expect("a directory");
    let path = scratch.path().join("cities.mmdb");
    write(&path, &[GENEVA, CHICAGO]);
    let running = Running::with_geo(path.clone());
    let mut client = running.client();
    let servers = "192.0.2.1,198.51.100.1";
    assert_eq!(order(&mut client, &format!("192.0.2.2/{servers}"), ""), "1,2\n");
    fs::write(scratch.path().join("broken"), "no database").expect("a writable directory");
    fs::rename(scratch.path().join("broken"), &path).expect("a writable directory");
    assert_eq!(order(&mut client, &format!("192.0.2.2/{servers}"), ""), "1,2\n");
    // The client has moved.
    write(&path, &[("192.0.2.2/32", 41.0, -87.0), ("192.0.2.1/32", 46.0, 6.0), CHICAGO]);
    wait_until("the new database", Duration::from_secs(60), || {
        order(&mut client, &format!("192.0.2.2/{servers}"), "") == "2,1\n"
    });
}
