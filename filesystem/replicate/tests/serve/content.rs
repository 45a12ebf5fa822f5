//! What comes: every file of the fixtures, its headers, ranges, both protocols.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::time::Duration;

use varve_content::{ObjectKind, ObjectName};
use varve_store::{Batch, Deadline, HttpConfig, HttpSource, ObjectSource as _};
use varve_testkit::Fixture;

use crate::running::{LARGE, Running};

fn files_below(directory: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(directory).expect("readable") {
        let path = entry.expect("an entry").path();
        if path.is_dir() { files.extend(files_below(&path)) } else { files.push(path) }
    }
    files
}

/// Path of the request and content of every file of both fixtures.
fn everything() -> Vec<(String, Vec<u8>)> {
    let of = |fixture: &Fixture| {
        let served = fixture.served();
        let request = |file: &Path| {
            let below = file.strip_prefix(&served).expect("below").to_str().expect("text").to_owned();
            format!("/cvmfs/{}/{below}", fixture.name())
        };
        let files = files_below(&served).into_iter();
        files.map(|file| (request(&file), fs::read(&file).expect("readable"))).collect::<Vec<_>>()
    };
    Fixture::all().iter().flat_map(of).collect()
}

#[test]
fn every_file_of_the_fixtures_with_the_originals_headers() {
    let running = Running::start();
    let mut client = running.client();
    let everything = everything();
    assert!(everything.len() > 100);
    for (path, content) in everything {
        let (content_type, fresh) = match path.as_str() {
            path if path.contains("/data/") => ("application/octet-stream", "max-age=259200"),
            path if path.ends_with(".json") => ("application/json", "max-age=61"),
            _ => ("application/x-cvmfs", "max-age=61"),
        };
        let (got, head) = (client.get(&path), client.head(&path));
        assert!(got.body == content, "{path}");
        for answer in [got, head] {
            assert_eq!(answer.status, 200, "{path}");
            assert_eq!(answer.header("content-length"), Some(content.len().to_string().as_str()), "{path}");
            assert_eq!(answer.header("content-type"), Some(content_type), "{path}");
            assert_eq!(answer.header("cache-control"), Some(fresh), "{path}");
            assert_eq!(answer.header("accept-ranges"), Some("bytes"), "{path}");
            for absent in ["etag", "last-modified", "expires", "transfer-encoding"] {
                assert_eq!(answer.header(absent), None, "{path}");
            }
        }
    }
}

#[test]
fn ranges_of_a_large_object() {
    let running = Running::start();
    let mut client = running.client();
    let size = running.large.len();
    assert!(client.get(LARGE).body == running.large);
    for (range, part) in [
        ("bytes=0-0", 0..1),
        ("bytes=100-299999", 100..300_000),
        ("bytes=8999999-", 8_999_999..size),
        ("bytes=5-99999999", 5..size),
        ("bytes=-700000", size - 700_000..size),
    ] {
        let answer = client.get_with(LARGE, &format!("Range: {range}\r\n"));
        let content_range = format!("bytes {}-{}/{size}", part.start, part.end - 1);
        assert_eq!(answer.status, 206, "{range}");
        assert_eq!(answer.header("content-range"), Some(content_range.as_str()));
        assert!(answer.body == running.large[part], "{range}");
    }
    let beyond = client.get_with(LARGE, "Range: bytes=9000001-\r\n");
    assert_eq!((beyond.status, beyond.body.len()), (416, 0));
    assert_eq!(beyond.header("content-range"), Some("bytes */9000001"));
    for whole in ["Range: bytes=0-1,5-6\r\n", "Range: bytes=0-1\r\nIf-Range: \"x\"\r\n", "Range: x\r\n"] {
        assert_eq!(client.get_with(LARGE, whole).status, 200, "{whole}");
    }
}

#[test]
fn many_objects_in_one_answer() {
    let running = Running::start();
    for fixture in Fixture::all() {
        let data = fixture.served().join("data");
        let mut objects: Vec<(ObjectName, Vec<u8>)> = files_below(&data)
            .into_iter()
            .filter_map(|file| {
                let below = file.strip_prefix(&data).expect("below").to_str().expect("text").to_owned();
                let name = ObjectName::from_path(&below).expect("an object");
                (name.kind == ObjectKind::File).then(|| (name, fs::read(&file).expect("readable")))
            })
            .take(100)
            .collect();
        let absent = ObjectName::new(objects[0].0.hash.algorithm().hash(b"absent"), ObjectKind::File);
        let names: Vec<ObjectName> = objects.iter().map(|(name, _)| *name).chain([absent]).collect();
        let path = format!("/cvmfs/{}/{}", fixture.name(), Batch::address(&names).expect("a batch"));
        let mut expected = Vec::new();
        for (_, stored) in &objects {
            Batch::write_frame(&mut expected, Some(stored));
        }
        Batch::write_frame(&mut expected, None);
        let answer = running.client().get(&path);
        assert_eq!((answer.status, answer.header("cache-control")), (200, Some("max-age=259200")));
        assert!(answer.body == expected);
        // The same as a client of ours asks for it.
        let url = format!("http://{}/cvmfs/{}", running.address, fixture.name());
        let source = HttpSource::new(HttpConfig::new(&url, "DIRECT").expect("well formed")).expect("made");
        objects.truncate(20);
        let wanted: Vec<_> = objects.iter().map(|(name, stored)| (*name, stored.len() as u64)).collect();
        let fetched = source.fetch_batch(&wanted, Deadline::after(Duration::from_secs(60)));
        for (fetched, (name, stored)) in fetched.into_iter().zip(&objects) {
            assert_eq!(&fetched.expect("served"), stored, "{name}");
        }
        assert_eq!(source.counters().requests, 1);
    }
    let nonsense = running.client().get("/cvmfs/fix1.lab.example/api/v1/batch/sha1/x");
    assert_eq!(nonsense.status, 404);
}

#[test]
fn what_does_not_fit_into_an_answer_is_left_out() {
    let running = Running::start();
    let name = ObjectName::from_path(LARGE.split_once("data/").expect("an object").1).expect("an object");
    let path = format!("/cvmfs/large.example/{}", Batch::address(&[name]).expect("a batch"));
    assert_eq!(running.client().get(&path).body, [0xff; 4]);
}

#[test]
fn conditions_do_not_matter_since_there_is_nothing_to_compare() {
    let running = Running::start();
    let conditions = "If-None-Match: *\r\nIf-Modified-Since: Wed, 21 Oct 2099 07:28:00 GMT\r\n";
    let answer = running.client().get_with("/cvmfs/fix1.lab.example/.cvmfspublished", conditions);
    assert_eq!(answer.status, 200);
}

#[test]
fn information_for_programs_and_people() {
    let running = Running::start();
    fs::remove_dir_all(running.root.join("large.example")).expect("removed");
    let mirror = running.root.join("mirror.example");
    fs::create_dir(&mirror).expect("created");
    fs::copy(Fixture::sha1().served().join(".cvmfspublished"), mirror.join(".cvmfspublished"))
        .expect("copied");
    let mut client = running.client();
    let answer = client.get("/cvmfs/info/v1/repositories.json");
    assert_eq!(answer.header("content-type"), Some("application/json"));
    insta::assert_snapshot!("repositories.json", String::from_utf8(answer.body).expect("text"));
    assert_eq!(client.get("/cvmfs/info/v1/meta.json").body, b"{}\n");
    let page = String::from_utf8(client.get("/").body).expect("text");
    assert!(page.contains("<td>fix1.lab.example</td><td class=\"number\">6</td>"), "{page}");
}

#[test]
fn a_new_repository_appears_and_a_removed_one_goes() {
    let running = Running::start();
    let mut client = running.client();
    let path = "/cvmfs/later.example/.cvmfspublished";
    assert_eq!(client.get(path).status, 404);
    symlink(Fixture::sha1().served(), running.root.join("later.example")).expect("linked");
    assert_eq!(client.get(path).status, 200);
    fs::remove_file(running.root.join("later.example")).expect("removed");
    assert_eq!(client.get(path).status, 404);
}

#[test]
fn http_2_from_the_first_byte() {
    // Only a client with TLS needs the provider, but the library insists.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let running = Running::start();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let client = reqwest::Client::builder().http2_prior_knowledge().no_proxy().build().expect("a client");
        let base = format!("http://{}", running.address);
        // Requests that begin before there is a connection each open one.
        let first = client.get(format!("{base}{LARGE}")).send().await.expect("an answer");
        assert!(first.bytes().await.expect("a body") == running.large);
        let fetches: Vec<_> = everything()
            .into_iter()
            .map(|(path, content)| {
                let request = client.get(format!("{base}{path}"));
                tokio::spawn(async move {
                    let response = request.send().await.expect("an answer");
                    assert_eq!(response.version(), reqwest::Version::HTTP_2);
                    assert_eq!(response.status(), 200, "{path}");
                    assert!(response.bytes().await.expect("a body") == content, "{path}");
                })
            })
            .collect();
        for fetch in fetches {
            fetch.await.expect("it did not panic");
        }
    });
    assert!(running.metrics.render().contains("varve_http_accepted_total 1\n"), "one connection is enough");
}
