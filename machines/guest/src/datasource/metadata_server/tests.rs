//! Every cloud against a server that answers as it does.

use std::collections::HashMap;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};

use super::*;

/// Path (with the method in front, where it isn't GET), a header that must be there, the answer.
type Answers = &'static [(&'static str, &'static str, &'static str)];

/// Serves these answers for as long as the test lives; 404 for everything else, 401 without the header.
fn serve(answers: Answers) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let answers: HashMap<&str, (&str, &str)> =
        answers.iter().map(|(path, header, answer)| (*path, (*header, *answer))).collect();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let _ = answer(stream, &answers);
        }
    });
    format!("http://{address}")
}

fn answer(mut stream: TcpStream, answers: &HashMap<&str, (&str, &str)>) -> std::io::Result<()> {
    let mut lines = BufReader::new(stream.try_clone()?).lines();
    let first = lines.next().unwrap_or_else(|| Ok(String::new()))?;
    let headers: Vec<String> = lines
        .map_while(Result::ok)
        .take_while(|line| !line.is_empty())
        .map(|line| line.to_lowercase())
        .collect();
    let asked = first.rsplit_once(' ').map_or("", |(asked, _)| asked);
    let asked = asked.strip_prefix("GET ").unwrap_or(asked);
    let (status, body) = match answers.get(asked) {
        Some((needed, body)) if needed.is_empty() || headers.contains(&needed.to_lowercase()) => {
            ("200 OK", *body)
        }
        Some(_) => ("401 Unauthorized", ""),
        None => ("404 Not Found", ""),
    };
    write!(stream, "HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}", body.len())
}

fn found_at(base: &str) -> Option<UserData> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(ask(base, &[], &|_| {}))
}

fn read(answers: Answers) -> Option<UserData> {
    found_at(&serve(answers))
}

fn user_data(data: &UserData) -> &str {
    std::str::from_utf8(data.found.user_data.as_deref().unwrap()).unwrap()
}

#[test]
fn ec2_with_a_session() {
    const TOKEN: &str = "X-aws-ec2-metadata-token: t0k3n";
    let data = read(&[
        ("PUT /latest/api/token", "X-aws-ec2-metadata-token-ttl-seconds: 300", "t0k3n"),
        ("/latest/meta-data/instance-id", TOKEN, "i-1"),
        ("/latest/meta-data/local-hostname", TOKEN, "ip-10-0-0-1"),
        ("/latest/meta-data/public-keys/", TOKEN, "0=mine\n"),
        ("/latest/meta-data/public-keys/0/openssh-key", TOKEN, "ssh-rsa AAAA me\n"),
        ("/latest/user-data", TOKEN, "#!/bin/sh\n"),
    ])
    .unwrap();
    assert_eq!((data.source.as_str(), user_data(&data)), ("EC2 metadata server", "#!/bin/sh\n"));
    assert_eq!(data.found.facts.instance_id.as_deref(), Some("i-1"));
    assert_eq!(data.found.facts.public_keys, ["ssh-rsa AAAA me"]);
}

#[test]
fn ec2_without_sessions() {
    let data = read(&[("/latest/meta-data/instance-id", "", "i-2")]).unwrap();
    assert_eq!(data.found.facts.instance_id.as_deref(), Some("i-2"));
    assert_eq!(data.found.user_data, None);
}

#[test]
fn gce() {
    const FLAVOR: &str = "Metadata-Flavor: Google";
    let data = read(&[
        ("/computeMetadata/v1/instance/id", FLAVOR, "42"),
        ("/computeMetadata/v1/instance/hostname", FLAVOR, "vm.c.example"),
        ("/computeMetadata/v1/instance/attributes/user-data", FLAVOR, "hello"),
        ("/computeMetadata/v1/instance/attributes/ssh-keys", FLAVOR, "me:ssh-ed25519 A me\nbad\n"),
        ("/computeMetadata/v1/project/attributes/ssh-keys", FLAVOR, "you:ssh-ed25519 B you"),
    ])
    .unwrap();
    assert_eq!((data.source.as_str(), user_data(&data)), ("GCE metadata server", "hello"));
    assert_eq!(data.found.facts.public_keys, ["ssh-ed25519 A me", "ssh-ed25519 B you"]);
}

#[test]
fn open_stack_before_its_imitation_of_ec2() {
    let data = read(&[
        (
            "/openstack/latest/meta_data.json",
            "",
            r#"{"uuid": "u", "hostname": "h", "public_keys": {"k": "ssh-rsa A"}}"#,
        ),
        ("/openstack/latest/user_data", "", "data"),
        ("/latest/meta-data/instance-id", "", "i-3"),
    ])
    .unwrap();
    assert_eq!((data.source.as_str(), user_data(&data)), ("OpenStack metadata server", "data"));
    assert_eq!(data.found.facts.instance_id.as_deref(), Some("u"));
    assert_eq!(data.found.facts.public_keys, ["ssh-rsa A"]);
}

#[test]
fn azure() {
    let data = read(&[(
        "/metadata/instance?api-version=2021-02-01",
        "Metadata: true",
        r#"{"compute": {"vmId": "v", "name": "n", "userData": "aGVsbG8=", "publicKeys": [{"keyData": "ssh-rsa A"}]}}"#,
    )])
    .unwrap();
    assert_eq!((data.source.as_str(), user_data(&data)), ("Azure metadata server", "hello"));
    assert_eq!(data.found.facts.hostname.as_deref(), Some("n"));
}

#[test]
fn cloud_stack_asks_for_its_own_paths() {
    let base = serve(&[("/latest/instance-id", "", "c"), ("/latest/user-data", "", "data")]);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let found = runtime.block_on(cloud_stack::read(&Server::at(&base).unwrap())).unwrap();
    assert_eq!(found.user_data.as_deref(), Some(&b"data"[..]));
}

#[test]
fn no_cloud_is_no_fault() {
    assert_eq!(read(&[]), None);
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    assert_eq!(found_at(&format!("http://{nobody}")), None);
    // A server whose answers make no sense is none either.
    assert_eq!(read(&[("/openstack/latest/meta_data.json", "", "<html>")]), None);
}
