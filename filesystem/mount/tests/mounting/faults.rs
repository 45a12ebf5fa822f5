//! Servers, caches and processes that fail: every request ends in the right bytes or in an errno.

use std::io::Read as _;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::json;
use varve_mount::start;
use varve_testkit::{Fault, FaultyServer, Fixture, Rule, Scratch, assert_same, listing, wait_until};

use crate::harness::{LONG, Mount, of_fixture};

/// The kernel drops what it remembers of files that nobody uses.
fn forget_pages() {
    let _ = std::fs::write("/proc/sys/vm/drop_caches", "3");
}

fn errno(result: std::io::Result<Vec<u8>>) -> i32 {
    result.unwrap_err().raw_os_error().unwrap()
}

fn over_http(fixture: &Fixture, server: &FaultyServer) -> serde_json::Value {
    let mut settings = of_fixture(fixture);
    settings["url"] = json!(format!("{}/cvmfs/{}", server.url(), fixture.name()));
    settings
}

fn serve(fixture: &Fixture) -> FaultyServer {
    FaultyServer::of_repository(fixture.name(), &fixture.served())
}

/// The path below `data/` of the object that a file of the newest revision is.
fn object_of(fixture: &Fixture, path: &str) -> String {
    let magic = fixture.magic(None).unwrap();
    let attributes = magic.paths.into_iter().find(|(other, _)| other == path.as_bytes()).unwrap().1;
    let hash = attributes.into_iter().find(|(name, _)| name == "hash").unwrap().1;
    format!("{}/{}", &hash[..2], &hash[2..])
}

#[test]
fn readers_see_nothing_of_workers_that_are_killed() {
    let fixture = Fixture::sha1();
    let Some(mount) = Mount::new(of_fixture(&fixture)) else { return };
    let files: Vec<PathBuf> = fixture
        .expected(None)
        .unwrap()
        .iter()
        .filter(|entry| entry.kind == 'f' && entry.path.is_ascii())
        .map(|entry| mount.path(std::str::from_utf8(&entry.path).unwrap()))
        .collect();
    let expected = fixture.expected_text(None).unwrap();
    let stop = Arc::new(AtomicBool::new(false));
    let reader = std::thread::spawn({
        let stop = Arc::clone(&stop);
        move || {
            while !stop.load(Ordering::Relaxed) {
                for file in &files {
                    let mut content = Vec::new();
                    std::fs::File::open(file).unwrap().read_to_end(&mut content).unwrap();
                }
                forget_pages();
            }
        }
    });
    for _ in 0..5 {
        mount.kill_worker();
    }
    stop.store(true, Ordering::Relaxed);
    reader.join().unwrap();
    assert_same(&expected, &listing(&mount.directory).unwrap(), &|_, _| false);
}

#[test]
fn offline_what_is_cached_can_be_read_and_the_rest_is_an_error() {
    let fixture = Fixture::sha1();
    let server = serve(&fixture);
    let scratch = Scratch::new();
    let directory = scratch.directory("mount");
    let Some(mount) = Mount::at(scratch, directory, over_http(&fixture, &server)) else { return };
    let cached = std::fs::read(mount.path("/README.txt")).unwrap();
    std::fs::metadata(mount.path("/chunked.bin")).unwrap();
    varve_mount::unmount(&mount.directory, false).unwrap();

    let order = mount.order(over_http(&fixture, &server));
    drop(server);
    start(order).unwrap();
    forget_pages();
    assert_eq!(std::fs::read(mount.path("/README.txt")).unwrap(), cached);
    let failed = errno(std::fs::read(mount.path("/chunked.bin")));
    assert_eq!(failed, rustix::io::Errno::IO.raw_os_error());
    assert!(mount.status().repositories[0].errors > 0);
}

#[test]
fn wrong_bytes_are_never_served() {
    let fixture = Fixture::sha1();
    let server = serve(&fixture);
    let Some(mount) = Mount::new(over_http(&fixture, &server)) else { return };
    let object = object_of(&fixture, "/README.txt");
    for fault in [
        Fault::FlipBit(7),
        Fault::Truncate(5),
        Fault::Html,
        Fault::Status(404),
        Fault::Status(500),
        Fault::Close,
        Fault::Garbage,
    ] {
        server.add(Rule::new(&object, fault.clone()));
        let failed = errno(std::fs::read(mount.path("/README.txt")));
        assert_eq!(failed, rustix::io::Errno::IO.raw_os_error(), "{fault:?}");
        server.clear();
    }
    let text = std::fs::read(mount.path("/README.txt")).unwrap();
    assert_eq!(text.len(), 12);
}

#[test]
fn a_stalled_server_costs_the_deadline_and_holds_up_nobody_else() {
    let fixture = Fixture::sha1();
    let server = serve(&fixture);
    let mut settings = over_http(&fixture, &server);
    settings["deadline"] = json!(10_000);
    let Some(mount) = Mount::new(settings) else { return };
    let cached = std::fs::read(mount.path("/README.txt")).unwrap();
    server.add(Rule::new("data/", Fault::StallBeforeHeaders));
    // More readers than there are threads that read the kernel's requests.
    let files: Vec<PathBuf> = fixture
        .expected(None)
        .unwrap()
        .iter()
        .filter(|entry| entry.kind == 'f' && entry.path.starts_with(b"/modes/") && entry.mode & 0o400 != 0)
        .map(|entry| mount.path(std::str::from_utf8(&entry.path).unwrap()))
        .collect();
    assert!(files.len() >= 8);
    let readers: Vec<_> =
        files.into_iter().map(|file| std::thread::spawn(move || errno(std::fs::read(file)))).collect();
    wait_until("the readers wait", LONG, || server.stalled() >= 4);
    forget_pages();
    assert_eq!(std::fs::read(mount.path("/README.txt")).unwrap(), cached);
    assert!(
        readers.iter().any(|reader| !reader.is_finished()),
        "the cached file waited for the stalled ones"
    );
    for reader in readers {
        assert_eq!(reader.join().unwrap(), rustix::io::Errno::TIMEDOUT.raw_os_error());
    }
    server.clear();
    server.release();
}

#[test]
fn a_damaged_copy_is_fetched_again() {
    let fixture = Fixture::sha1();
    let Some(mount) = Mount::new(of_fixture(&fixture)) else { return };
    let expected = fixture.expected_text(None).unwrap();
    assert_same(&expected, &listing(&mount.directory).unwrap(), &|_, _| false);
    let mut damaged = 0;
    for file in files_below(&mount.cache()) {
        let handle = std::fs::File::options().read(true).write(true).open(&file).unwrap();
        let length = handle.metadata().unwrap().len();
        if file.to_string_lossy().contains("/kept/") || length < 40 {
            continue;
        }
        let mut byte = [0];
        handle.read_exact_at(&mut byte, 3).unwrap();
        handle.write_all_at(&[byte[0] ^ 1], 3).unwrap();
        damaged += 1;
    }
    assert!(damaged > 10);
    mount.kill_worker();
    forget_pages();
    assert_same(&expected, &listing(&mount.directory).unwrap(), &|_, _| false);
}

#[test]
fn two_mounts_read_all_through_one_small_cache() {
    let fixture = Fixture::sha1();
    let scratch = Scratch::new();
    let shared = scratch.path().join("shared.cache");
    let (first, second) = (scratch.directory("first"), scratch.directory("second"));
    let mut settings = of_fixture(&fixture);
    settings["cache"] = json!(shared);
    settings["quota"] = json!(300_000);
    let Some(first) = Mount::at(scratch, first, settings.clone()) else { return };
    let second_mount = Mount { scratch: Scratch::new(), directory: second };
    start(second_mount.order(settings)).unwrap();
    let expected = fixture.expected_text(None).unwrap();
    for _ in 0..3 {
        let readers = [&first.directory, &second_mount.directory].map(|directory| {
            let directory = directory.clone();
            std::thread::spawn(move || listing(&directory).unwrap())
        });
        for reader in readers {
            assert_same(&expected, &reader.join().unwrap(), &|_, _| false);
        }
        forget_pages();
    }
}

#[test]
fn a_mount_that_cannot_begin_says_why() {
    let fixture = Fixture::sha1();
    let other = Fixture::rmd160();
    let mut settings = of_fixture(&fixture);
    settings["key"] = json!(other.public_key());
    let scratch = Scratch::new();
    let directory = scratch.directory("mount");
    let mount = Mount { scratch, directory };
    let error = start(mount.order(settings)).unwrap_err().to_string();
    assert!(error.contains("whitelist"), "{error}");
    let mut settings = of_fixture(&fixture);
    settings["key"] = json!("/nowhere");
    let error = start(mount.order(settings)).unwrap_err().to_string();
    assert!(error.contains("No such file"), "{error}");
}

fn files_below(directory: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(directory).unwrap().flatten() {
        if entry.file_type().unwrap().is_dir() {
            files.extend(files_below(&entry.path()));
        } else {
            files.push(entry.path());
        }
    }
    files
}
