//! Repositories whose objects are elsewhere: on S3, also when that fails in the middle of a publish, and in another directory.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;

use varve_system::{Installation, fuse_is_missing};
use varve_testkit::{
    Fault, FaultyGateway, FaultyServer, Random, Rule, S3Server, TreeBuilder, assert_same, listing,
};

const NAME: &str = "stored.lab.example";

/// Changes something in a tree.
fn change(tree: &Path, number: u32) {
    for file in 0..5 {
        let text = Random::new(u64::from(number * 10 + file)).text(3000);
        fs::write(tree.join(format!("changing{file}")), text).expect("because the tree is ours");
    }
}

fn revision(installation: &Installation) -> u64 {
    let info = installation.run(&["repo", "info", "--json", NAME]);
    let info: serde_json::Value = serde_json::from_str(&info).expect("because --json prints JSON");
    info["revision"].as_u64().expect("because a repository has a revision")
}

#[test]
fn a_service_that_fails_in_a_publish_leaves_the_old_revision_and_the_next_one_completes() {
    let Some(mut server) = S3Server::start() else { return };
    let gateway = FaultyGateway::new(server.address(), true);
    let installation = Installation::on_s3(&gateway.url());
    let tree = installation.directory("tree");
    let path = tree.to_str().expect("because scratch paths are text");
    installation.create(NAME, &[]);
    let mut settings = fs::OpenOptions::new()
        .append(true)
        .open(installation.settings(NAME))
        .expect("because it was created");
    settings.write_all(b"patience = 1\n").expect("because the home is ours");
    change(&tree, 0);
    installation.run(&["repo", "publish", NAME, path]);
    let mut acknowledged = revision(&installation);
    let passing = "try again";
    for (number, (part, fault, code, hint)) in [
        ("/data/", Fault::Status(500), 5, passing),
        ("/data/", Fault::Status(403), 1, "credentials"),
        ("/data/", Fault::Close, 5, passing),
        (".cvmfspublished.next", Fault::Status(503), 5, passing),
        (".cvmfsreflog", Fault::Status(403), 1, "credentials"),
        (".cvmfspublished", Fault::Close, 5, passing),
    ]
    .into_iter()
    .enumerate()
    {
        change(&tree, number as u32 + 1);
        gateway.add(Rule::new(part, fault).method("PUT"));
        let failed = installation.call(&["repo", "publish", NAME, path]);
        let context = format!("{part}: {}", failed.stderr);
        assert_eq!(failed.code, Some(code), "{context}");
        let key = format!("s3://{}/some/prefix/{NAME}/", S3Server::BUCKET);
        assert!(failed.stderr.contains(&key) && failed.stderr.contains(hint), "{context}");
        gateway.clear();
        assert_eq!(revision(&installation), acknowledged, "{context}");
        installation.run(&["repo", "publish", NAME, path]);
        assert!(revision(&installation) > acknowledged, "{context}");
        acknowledged = revision(&installation);
        installation.run(&["repo", "check", "--data", NAME]);
    }
    server.stop();
    change(&tree, 100);
    let failed = installation.call(&["repo", "publish", NAME, path]);
    assert_eq!(failed.code, Some(5), "{}", failed.stderr);
    server.restart();
    assert_eq!(revision(&installation), acknowledged);
    installation.run(&["repo", "publish", NAME, path]);
    installation.run(&["repo", "check", "--data", NAME]);
}

#[test]
fn every_verb_works_on_s3_and_whoever_mounts_sees_the_tree() {
    let Some(server) = S3Server::start() else { return };
    let installation = Installation::on_s3(&server.url());
    let tree = installation.path("tree");
    let mut builder = TreeBuilder::new(&tree);
    builder.file("a", b"first").file("d/b", b"second").file("d/.cvmfscatalog", b"").symlink("link", "a");
    builder.file("d/large", Random::new(1).bytes(20 << 20));
    builder.finish();
    let path = tree.to_str().expect("because scratch paths are text");
    installation.publish(NAME, &tree);
    installation.run(&["repo", "tag", "add", NAME, "v1", "-m", "first"]);
    fs::write(tree.join("a"), "changed").expect("because the tree is ours");
    let report = installation.run(&["repo", "publish", NAME, path, "--checksum", "--json"]);
    let report: serde_json::Value = serde_json::from_str(&report).expect("because --json prints JSON");
    // A file and the catalog that lists it.
    assert_eq!(report["objects_new"], 2, "{report}");
    assert!(installation.run(&["repo", "diff", NAME, "v1"]).contains("/a"));
    installation.run(&["repo", "rollback", NAME, "v1"]);
    installation.run(&["repo", "publish", NAME, path]);
    installation.run(&["repo", "resign", NAME]);
    installation.run(&["repo", "gc", NAME, "--keep-revisions", "1"]);
    installation.run(&["repo", "check", "--data", NAME]);
    let place = format!("s3://{}/some/prefix/{NAME} at {}", S3Server::BUCKET, server.url());
    assert!(installation.run(&["repo", "info", NAME]).contains(&place));
    assert!(installation.run(&["repo", "list"]).contains(&place));
    if fuse_is_missing() {
        return;
    }
    let expected = listing(&tree).expect("because the tree is ours");
    let key = installation.public_key(NAME);
    let bucket = FaultyServer::new(&server.file("some/prefix"));
    let served = installation.serve(None);
    let direct = format!("{}/{NAME}", bucket.url());
    for (number, url) in [Some(direct), Some(served.url(NAME)), None].into_iter().enumerate() {
        let cache = installation.path(&format!("cache{number}"));
        let cache = ["--cache", cache.to_str().expect("because scratch paths are text")];
        let mounted = installation.directory("mnt");
        match &url {
            Some(url) => {
                installation.mount(NAME, url, &key, "mnt", &cache);
            }
            None => {
                let at = mounted.to_str().expect("because scratch paths are text");
                installation.run(&[&["mount", NAME, at], &cache[..]].concat());
            }
        }
        let found = listing(&mounted).expect("because everything can be read");
        assert_same(&expected, &found, &|_, field| field == 7 || field == 11);
        installation.unmount(&mounted);
    }
}

#[test]
fn a_repository_with_its_objects_in_another_directory_is_mounted_without_a_server() {
    if fuse_is_missing() {
        return;
    }
    let installation = Installation::new();
    let tree = installation.path("tree");
    TreeBuilder::new(&tree).file("a", b"content").finish();
    let elsewhere = installation.path("elsewhere");
    let elsewhere = elsewhere.to_str().expect("because scratch paths are text");
    installation.create(NAME, &["--storage", elsewhere]);
    installation.run(&["repo", "publish", NAME, tree.to_str().expect("because scratch paths are text")]);
    let mounted = installation.directory("mnt");
    let at = mounted.to_str().expect("because scratch paths are text");
    installation.run(&["mount", NAME, at]);
    assert_eq!(fs::read(mounted.join("a")).expect("because it is mounted"), b"content");
    installation.unmount(&mounted);
}

#[test]
fn without_credentials_or_with_wrong_ones_it_is_told_what_to_do() {
    let Some(server) = S3Server::start() else { return };
    let installation = Installation::on_s3(&server.url());
    installation.create(NAME, &[]);
    let info = |variables: &[(&str, Option<&str>)]| {
        let mut command = installation.command(&["repo", "info", NAME]);
        command.env("HOME", installation.path("nobody"));
        for (name, value) in variables {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
        installation.end(command)
    };
    let none = info(&[("AWS_ACCESS_KEY_ID", None)]);
    assert_eq!(none.code, Some(2), "{}", none.stderr);
    assert!(none.stderr.contains("AWS_ACCESS_KEY_ID"), "{}", none.stderr);
    let wrong = info(&[("AWS_SECRET_ACCESS_KEY", Some("wrong"))]);
    assert_eq!(wrong.code, Some(1), "{}", wrong.stderr);
    assert!(wrong.stderr.contains("SignatureDoesNotMatch"), "{}", wrong.stderr);
    let file = installation.path("credentials");
    let text = format!(
        "[other]\naws_access_key_id = {}\naws_secret_access_key = {}\n",
        S3Server::KEY_ID,
        S3Server::SECRET
    );
    fs::write(&file, text).expect("because the scratch directory is writable");
    let file = file.to_str().expect("because scratch paths are text");
    let profile = info(&[
        ("AWS_ACCESS_KEY_ID", None),
        ("AWS_SHARED_CREDENTIALS_FILE", Some(file)),
        ("AWS_PROFILE", Some("other")),
    ]);
    assert_eq!(profile.code, Some(0), "{}", profile.stderr);
    for settings in fs::read_dir(installation.path("home/config/repositories")).expect("it is there") {
        let text = fs::read_to_string(settings.expect("readable").path()).expect("readable");
        assert!(!text.contains(S3Server::SECRET));
    }
}

#[test]
fn what_is_served_out_of_a_bucket_has_the_headers_and_states_of_files() {
    let Some(mut server) = S3Server::start() else { return };
    let installation = Installation::on_s3(&server.url());
    let tree = installation.path("tree");
    TreeBuilder::new(&tree).file("a", b"content").finish();
    installation.publish(NAME, &tree);
    let served = installation.serve(None);
    let ask = |method: &str, path: &str, header: &str| {
        let mut stream = TcpStream::connect(("127.0.0.1", served.port())).expect("because it listens");
        let request = format!("{method} {path} HTTP/1.1\r\nHost: h\r\nConnection: close\r\n{header}\r\n");
        stream.write_all(request.as_bytes()).expect("because it listens");
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).expect("because it answers");
        let text = String::from_utf8_lossy(&answer).into_owned();
        let (head, body) = text.split_once("\r\n\r\n").expect("because it speaks HTTP");
        (head.to_ascii_lowercase(), body.to_owned())
    };
    let manifest = format!("/cvmfs/{NAME}/.cvmfspublished");
    let (head, body) = ask("GET", &manifest, "");
    assert!(head.starts_with("http/1.1 200") && head.contains("max-age=61"), "{head}");
    assert!(head.contains("application/x-cvmfs") && head.contains("content-length"), "{head}");
    assert!(body.contains(&format!("N{NAME}")), "{body}");
    let (head, _) = ask("HEAD", &manifest, "");
    assert!(head.starts_with("http/1.1 200") && !head.contains("content-length: 0\r"), "{head}");
    let (head, part) = ask("GET", &manifest, "Range: bytes=1-5\r\n");
    assert!(head.starts_with("http/1.1 206") && head.contains("content-range: bytes 1-5/"), "{head}");
    assert_eq!(part.as_bytes(), &body.as_bytes()[1..6]);
    let (head, _) = ask("GET", &manifest, "Range: bytes=100000-\r\n");
    assert!(head.starts_with("http/1.1 416"), "{head}");
    let absent = format!("/cvmfs/{NAME}/data/00/{}", "0".repeat(38));
    for method in ["GET", "HEAD"] {
        assert!(ask(method, &absent, "").0.starts_with("http/1.1 404"), "{method}");
    }
    let (head, index) = ask("GET", "/cvmfs/info/v1/repositories.json", "");
    assert!(head.starts_with("http/1.1 200") && index.contains(NAME), "{index}");
    server.stop();
    let (head, _) = ask("GET", &manifest, "");
    assert!(head.starts_with("http/1.1 504"), "{head}");
    server.restart();
    assert!(ask("GET", &manifest, "").0.starts_with("http/1.1 200"));
}
