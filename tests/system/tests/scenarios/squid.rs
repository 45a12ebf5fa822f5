//! Mounts through a real squid: cold, from its cache, over an update, while it is away, and with an old manifest in it.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use varve_system::{Installation, fuse_is_missing};
use varve_testkit::{FaultyServer, Squid, TreeBuilder, wait_until};

const NAME: &str = "proxied.lab.example";
const LONG: Duration = Duration::from_secs(60);

/// A publisher, and the server in front of its repository.
struct Site {
    publisher: Installation,
    server: FaultyServer,
}

impl Site {
    fn new() -> Self {
        let publisher = Installation::new();
        publisher.run(&["repo", "create", NAME]);
        let server = FaultyServer::of_repository(NAME, &publisher.repository(NAME));
        // Enough for a cache to keep it, and little enough for a test to wait for.
        server.set_freshness(2);
        let site = Self { publisher, server };
        site.publish(b"first");
        site
    }

    fn publish(&self, content: &[u8]) {
        let tree = self.publisher.path("tree");
        let name = format!("of-{}", String::from_utf8_lossy(content).replace(' ', "-"));
        TreeBuilder::new(&tree).file("a", content).file(&name, content).finish();
        self.publisher.run(&[
            "repo",
            "publish",
            NAME,
            tree.to_str().expect("because scratch paths are text"),
        ]);
    }

    /// Mounts in a client's machine of its own.
    fn mount(&self, client: &Installation, proxies: &str) -> PathBuf {
        let url = format!("{}/cvmfs/{NAME}", self.server.url());
        let options = ["--proxy", proxies, "--refresh", "1", "--deadline", "20"];
        client.mount(NAME, &url, &self.publisher.public_key(NAME), "mnt", &options)
    }
}

fn read(mounted: &Path, file: &str) -> Result<String, Option<i32>> {
    fs::read_to_string(mounted.join(file)).map_err(|error| error.raw_os_error())
}

#[test]
fn the_second_client_is_served_by_squid_and_both_see_the_update() {
    if fuse_is_missing() {
        return;
    }
    let Some(squid) = Squid::start("") else { return };
    let site = Site::new();
    let clients = [Installation::new(), Installation::new()];
    site.server.set_freshness(3600);
    let first = site.mount(&clients[0], &squid.url());
    assert_eq!(read(&first, "a").as_deref(), Ok("first"));
    let objects = site.server.count("/data/");
    assert!(objects > 0);
    let second = site.mount(&clients[1], &squid.url());
    assert_eq!(read(&second, "a").as_deref(), Ok("first"));
    assert_eq!(site.server.count("/data/"), objects, "squid has them");
    assert!(squid.log("/data/").iter().any(|access| access.result.contains("HIT/200")));
    clients[0].unmount(&first);
    clients[1].unmount(&second);
}

#[test]
fn an_update_is_seen_when_the_manifest_is_no_longer_fresh() {
    if fuse_is_missing() {
        return;
    }
    let Some(squid) = Squid::start("") else { return };
    let site = Site::new();
    let client = Installation::new();
    let mounted = site.mount(&client, &squid.url());
    assert_eq!(read(&mounted, "a").as_deref(), Ok("first"));
    site.publish(b"second, and longer");
    wait_until("the update", LONG, || read(&mounted, "a").as_deref() == Ok("second, and longer"));
    assert_eq!(read(&mounted, "of-first").as_deref(), Ok("first"));
    client.unmount(&mounted);
}

#[test]
fn a_squid_that_goes_away_is_got_around_or_waited_for() {
    if fuse_is_missing() {
        return;
    }
    let Some(mut squid) = Squid::start("") else { return };
    let site = Site::new();
    let clients = [Installation::new(), Installation::new()];
    let around = site.mount(&clients[0], &format!("{};DIRECT", squid.url()));
    let through = site.mount(&clients[1], &squid.url());
    for mounted in [&around, &through] {
        assert_eq!(read(mounted, "a").as_deref(), Ok("first"));
    }
    squid.stop();
    site.publish(b"second, and longer");
    wait_until("the update", LONG, || read(&around, "a").as_deref() == Ok("second, and longer"));
    // What is there stays there; what isn't, isn't had, until squid is back.
    assert_eq!(read(&through, "a").as_deref(), Ok("first"));
    squid.restart();
    wait_until("the update", LONG, || read(&through, "a").as_deref() == Ok("second, and longer"));
    clients[0].unmount(&around);
    clients[1].unmount(&through);
}

#[test]
fn an_old_manifest_is_good_for_a_start_and_never_a_way_back() {
    if fuse_is_missing() {
        return;
    }
    // As some sites have it: nothing is asked for again, whatever anybody says.
    let greedy = "refresh_pattern . 1440 100% 1440 override-expire ignore-reload";
    let Some(squid) = Squid::start(greedy) else { return };
    let site = Site::new();
    let clients = [Installation::new(), Installation::new(), Installation::new()];
    let first = site.mount(&clients[0], &squid.url());
    site.publish(b"second, and longer");
    // One that has seen the new revision, and then has squid alone.
    let direct = site.mount(&clients[1], "DIRECT");
    assert_eq!(read(&direct, "a").as_deref(), Ok("second, and longer"));
    clients[1].unmount(&direct);
    let url = format!("{}/cvmfs/{NAME}", site.server.url());
    let (key, at) = (site.publisher.public_key(NAME), clients[1].path("mnt"));
    let refused = clients[1].try_mount(NAME, &url, &key, &at, &["--proxy", &squid.url()]);
    assert_eq!(refused.code, Some(1), "{refused:?}");
    assert!(refused.stderr.contains("revision 2 after revision 3"), "{refused:?}");
    // Those that haven't stay where they are, without an error.
    let new = site.mount(&clients[2], &squid.url());
    assert_eq!(read(&first, "a").as_deref(), Ok("first"));
    assert_eq!(read(&new, "a").as_deref(), Ok("first"));
    clients[0].unmount(&first);
    clients[2].unmount(&new);
}
