//! Package files: fetched from mirrors that fail in every way, verified, kept, read again without them.

use std::fs;
use std::time::Duration;

use crate::repository::transfers;
use varve_packages::{
    Archive, ArchiveError, Fetched, MirrorUrl, PackagePath, Sha256, SilentFetch, TransferError, Wanted,
};
use varve_testkit::{Fault, FaultyServer, Rule, Scratch};

/// A mirror's directory with some files, and what is wanted of it.
fn mirror(scratch: &Scratch, url: &str) -> Vec<Wanted> {
    let directory = scratch.directory("mirror");
    (0..20_u32)
        .map(|number| {
            let content: Vec<u8> =
                (0..50_000 + number).flat_map(|n| (n ^ (number << 20)).to_le_bytes()).collect();
            let name = format!("p{number}.deb");
            fs::write(directory.join(&name), &content).expect("the disk has room");
            Wanted {
                mirror: MirrorUrl::new(url).expect("it is an address"),
                path: PackagePath::new(name).expect("it is a path"),
                size: content.len() as u64,
                sha256: Sha256::of(&content),
            }
        })
        .collect()
}

fn of_server(scratch: &Scratch) -> (FaultyServer, Vec<Wanted>, Archive) {
    let server = FaultyServer::new(&scratch.directory("mirror"));
    let wanted = mirror(scratch, &server.url());
    (server, wanted, Archive::open(scratch.path().join("archive")).expect("the disk has room"))
}

#[test]
fn what_came_once_is_there_without_mirrors() {
    let scratch = Scratch::new();
    let directory = scratch.directory("mirror");
    let wanted = mirror(&scratch, &format!("file://{}", directory.display()));
    let archive = Archive::open(scratch.path().join("archive")).expect("the disk has room");
    let fetched = archive.fetch(&wanted, &transfers(), &SilentFetch).expect("all are there");
    assert_eq!((fetched.files, fetched.present), (20, 0));
    fs::remove_dir_all(directory).expect("it was there");
    let again = archive.fetch(&wanted, &transfers(), &SilentFetch).expect("all are there");
    assert_eq!(again, Fetched { files: 0, bytes: 0, present: 20 });
    for file in &wanted {
        archive.verified(file).expect("it was verified");
    }
    assert_eq!(fs::read_dir(archive.root().join("partial")).expect("it is there").count(), 0);
}

#[test]
fn cut_connections_are_continued_where_they_ended() {
    let scratch = Scratch::new();
    let (server, wanted, archive) = of_server(&scratch);
    server.add(Rule::new("/p3.deb", Fault::CloseAfter(150_000)).times(1));
    server.add(Rule::new("/p4.deb", Fault::Status(503)).times(2));
    server.add(Rule::new(".deb", Fault::Delay(Duration::from_millis(20))));
    archive.fetch(&wanted, &transfers(), &SilentFetch).expect("all came in the end");
    let ranges: Vec<_> = server
        .requests()
        .into_iter()
        .filter_map(|request| Some(request.header("range")?.to_owned()))
        .collect();
    assert_eq!(ranges.len(), 1, "{ranges:?}");
    assert!(ranges[0].starts_with("bytes=") && !ranges[0].starts_with("bytes=0-"), "{ranges:?}");
    assert!(server.most_in_flight() > 1);
    for file in &wanted {
        archive.verified(file).expect("it was verified");
    }
}

#[test]
fn a_changed_file_is_refused_and_all_others_stay() {
    let scratch = Scratch::new();
    let (server, wanted, archive) = of_server(&scratch);
    server.add(Rule::new("/p5.deb", Fault::FlipBit(12_345)));
    let error = archive.fetch(&wanted, &transfers(), &SilentFetch).expect_err("one was changed");
    assert!(
        error.is_integrity() && error.to_string().contains("/p5.deb is not what the signed index says"),
        "{error}"
    );
    assert!(!archive.path(&wanted[5].sha256).exists());
    server.clear();
    let fetched = archive.fetch(&wanted, &transfers(), &SilentFetch).expect("the mirror is well again");
    assert_eq!((fetched.files, fetched.present), (1, 19));
}

#[test]
fn what_lies_there_half_and_wrong_is_fetched_anew() {
    let scratch = Scratch::new();
    let (_server, wanted, archive) = of_server(&scratch);
    let part = |file: &Wanted| archive.root().join("partial").join(file.sha256.to_string());
    fs::write(part(&wanted[0]), vec![7; 1000]).expect("the disk has room");
    fs::write(part(&wanted[1]), vec![7; 1_000_000]).expect("the disk has room");
    archive.fetch(&wanted[..2], &transfers(), &SilentFetch).expect("all came in the end");
    for file in &wanted[..2] {
        archive.verified(file).expect("it was verified");
    }
}

#[test]
fn faults_are_told_apart() {
    let scratch = Scratch::new();
    let (server, wanted, archive) = of_server(&scratch);
    let fetch = |fault| {
        server.clear();
        server.add(Rule::new("/p7.deb", fault));
        archive.fetch(&wanted[7..8], &transfers(), &SilentFetch).expect_err("the mirror is broken")
    };
    assert!(fetch(Fault::Status(404)).is_absence());
    assert!(matches!(fetch(Fault::Status(500)), ArchiveError::Transfer(TransferError::Broken { .. })));
    assert!(matches!(fetch(Fault::Close), ArchiveError::Transfer(TransferError::Broken { .. })));
    assert!(fetch(Fault::Endless).is_integrity());
    assert!(fetch(Fault::Truncate(100)).is_integrity());
    assert!(fetch(Fault::Html).is_integrity());
    server.clear();
    archive.fetch(&wanted[7..8], &transfers(), &SilentFetch).expect("the mirror is well again");
}

#[test]
fn bytes_that_changed_in_the_archive_are_not_used() {
    let scratch = Scratch::new();
    let (_server, wanted, archive) = of_server(&scratch);
    archive.fetch(&wanted[..1], &transfers(), &SilentFetch).expect("the mirror is well");
    let path = archive.path(&wanted[0].sha256);
    let mut bytes = fs::read(&path).expect("it is there");
    bytes[9] ^= 1;
    fs::write(&path, bytes).expect("the disk has room");
    assert!(archive.verified(&wanted[0]).expect_err("a bit is wrong").is_integrity());
    assert!(archive.read(&wanted[0].sha256, 1 << 20).expect_err("a bit is wrong").is_integrity());
    assert!(archive.verified(&wanted[1]).expect_err("it was not fetched").is_absence());
}
