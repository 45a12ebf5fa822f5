//! What is published is soon seen through a replica: each is told of it by the one before, long before it would ask.

use std::fs;
use std::process::Stdio;
use std::time::Duration;

use varve_system::{Installation, fuse_is_missing};
use varve_testkit::{ProcessGuard, wait_until};

const NAME: &str = "announced.lab.example";

const LIMIT: Duration = Duration::from_secs(60);

#[test]
fn a_mount_of_a_replica_shows_what_is_published_without_being_asked() {
    if fuse_is_missing() {
        return;
    }
    let (publisher, site) = (Installation::new(), Installation::new());
    let tree = publisher.directory("tree");
    fs::write(tree.join("state"), "first").expect("because the tree is ours");
    publisher.publish(NAME, &tree);
    let original = publisher.serve(None);
    let key = publisher.public_key(NAME);
    let key_text = key.to_str().expect("because scratch paths are text");
    let mut follow = site.command(&["replicate", "--follow", &original.url(NAME), "--key", key_text]);
    follow.stdout(Stdio::null()).stderr(Stdio::null());
    let mut follow = ProcessGuard::start(&mut follow).expect("because the program exists");
    let manifest = site.repository(NAME).join(".cvmfspublished");
    wait_until("the first copy", LIMIT, || manifest.exists());
    let replica = site.serve(None);
    let mounted = site.mount(NAME, &replica.url(NAME), &key, "mnt", &[]);
    let read = || fs::read_to_string(mounted.join("state")).expect("because it is there");
    assert_eq!(read(), "first");
    for state in ["second", "third"] {
        fs::write(tree.join("state"), state).expect("because the tree is ours");
        let path = tree.to_str().expect("because scratch paths are text");
        publisher.run(&["repo", "publish", NAME, path, "--checksum"]);
        // The time to live is 240 seconds: nobody would ask by himself for so long.
        wait_until("the mount to show it", LIMIT, || read() == state);
    }
    site.unmount(&mounted);
    follow.kill().expect("because it is our child");
}
