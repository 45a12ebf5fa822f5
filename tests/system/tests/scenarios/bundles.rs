//! Small files come by the bundle: few requests, the same bytes, also from a server that knows no bundles, and offline.

use std::fs;

use varve_system::{Installation, fuse_is_missing};
use varve_testkit::{FaultyServer, TreeBuilder, TreeSize, assert_same, listing};

const NAME: &str = "bundles.lab.example";
const FILES: usize = 1500;

/// Names of one file in several directories are files of their own in a repository; the last field is the mount's alone.
fn of_a_mount(_path: &str, field: usize) -> bool {
    field == 7 || field == 11
}

/// Reads a mount twice, over a remount without a server in between, and counts the requests.
fn check(
    installation: &Installation,
    url: &str,
    expected: &str,
    requests: impl Fn() -> usize,
    stop: impl FnOnce(),
) -> usize {
    let key = installation.public_key(NAME);
    let cache = installation.path("cache");
    let options = ["--cache", cache.to_str().expect("because scratch paths are text")];
    let mounted = installation.mount(NAME, url, &key, "mount", &options);
    assert_same(expected, &listing(&mounted).expect("because all can be read"), &of_a_mount);
    installation.unmount(&mounted);
    let made = requests();
    stop();
    let mounted = installation.mount(NAME, url, &key, "mount", &options);
    assert_same(expected, &listing(&mounted).expect("because all is cached"), &of_a_mount);
    installation.unmount(&mounted);
    made
}

fn published() -> (Installation, String) {
    let installation = Installation::new();
    let tree = installation.path("tree");
    TreeBuilder::random(&tree, 11, TreeSize { directories: 60, files: FILES, largest: 20_000 });
    installation.publish(NAME, &tree);
    let expected = listing(&tree).expect("because the tree is ours");
    (installation, expected)
}

#[test]
fn a_walk_over_small_files_needs_few_requests_and_then_none() {
    if fuse_is_missing() {
        return;
    }
    let (installation, expected) = published();
    let log = installation.path("access.log");
    let log_path = log.to_str().expect("because scratch paths are text");
    let command = installation.command(&["serve", "--listen", "127.0.0.1:0", "--access-log", log_path]);
    let mut server = installation.start_server(command);
    let url = server.url(NAME);
    let requests = || fs::read_to_string(&log).map_or(0, |log| log.lines().count());
    let made = check(&installation, &url, &expected, requests, || {
        server.process().kill().expect("because it runs");
    });
    assert!(made < FILES / 4, "{made} requests");
}

#[test]
fn a_server_without_bundles_gives_the_same() {
    if fuse_is_missing() {
        return;
    }
    let (installation, expected) = published();
    let server = FaultyServer::of_repository(NAME, &installation.repository(NAME));
    let url = format!("{}/cvmfs/{NAME}", server.url());
    let count = || server.count("/batch/");
    assert_eq!(
        check(&installation, &url, &expected, count, || server
            .add(varve_testkit::Rule::new("", varve_testkit::Fault::Close))),
        1
    );
}
