//! Two mounts that share one cache with a quota smaller than the tree read everything correctly at once.

use varve_system::{Installation, fuse_is_missing};
use varve_testkit::{TreeBuilder, TreeSize, assert_same, listing};

const NAME: &str = "quota.lab.example";

#[test]
fn a_cache_smaller_than_the_tree_is_only_slower() {
    if fuse_is_missing() {
        return;
    }
    let installation = Installation::new();
    let tree = installation.path("tree");
    TreeBuilder::random(&tree, 7, TreeSize { directories: 40, files: 2000, largest: 200_000 });
    let expected = listing(&tree).expect("because the tree is ours");
    installation.publish(NAME, &tree);
    let server = installation.serve(None);
    let key = installation.public_key(NAME);
    let cache = installation.path("cache");
    let options =
        ["--cache", cache.to_str().expect("because scratch paths are text"), "--cache-quota", "4MiB"];
    let mounts = ["one", "two"].map(|at| installation.mount(NAME, &server.url(NAME), &key, at, &options));
    let readers = mounts.clone().map(|mounted| std::thread::spawn(move || listing(&mounted)));
    for reader in readers {
        let found =
            reader.join().expect("because the reader does not panic").expect("because all can be read");
        assert_same(&expected, &found, &of_a_mount);
    }
    for mounted in mounts {
        installation.unmount(&mounted);
    }
}

/// Names of one file in several directories are files of their own in a repository; the last field is the mount's alone.
fn of_a_mount(_path: &str, field: usize) -> bool {
    field == 7 || field == 11
}
