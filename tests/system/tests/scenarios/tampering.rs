//! One flipped bit, anywhere in what is stored: the check finds it, and the mount refuses it.

use std::fs;
use std::path::{Path, PathBuf};

use varve_system::{Installation, fuse_is_missing};
use varve_testkit::{Random, TreeBuilder, listing};

const NAME: &str = "tampered.lab.example";

#[test]
fn every_flipped_bit_is_found_and_refused() {
    let installation = Installation::new();
    let tree = installation.path("tree");
    let mut builder = TreeBuilder::new(&tree);
    builder.file("a", b"first").file("d/b", b"second").file("d/.cvmfscatalog", b"").symlink("link", "a");
    builder.file("d/large", Random::new(1).bytes(5 << 20));
    builder.finish();
    let path = tree.to_str().expect("because scratch paths are text");
    installation.run(&["repo", "create", NAME]);
    installation.run(&["repo", "publish", NAME, path, "--tag", "v1", "-m", "first"]);
    installation.run(&["repo", "check", "--data", NAME]);
    let expected = listing(&tree).expect("because the tree is ours");
    let server = installation.serve(None);
    let mut random = Random::new(2);
    let mut unread = vec![];
    for file in files(&installation.repository(NAME)) {
        let good = fs::read(&file).expect("because the repository is ours");
        if [".cvmfs_master_replica", ".cvmfspublished.next"].iter().any(|name| file.ends_with(name)) {
            // The mark of a stratum 0 means something by being there; the next manifest is read after a crash only.
            continue;
        }
        let mut bad = good.clone();
        let bit = random.below(8 * good.len() as u64) as usize;
        bad[bit / 8] ^= 1 << (bit % 8);
        fs::write(&file, &bad).expect("because the repository is ours");

        let checked = installation.call(&["repo", "check", "--data", NAME]);
        assert_ne!(checked.code, Some(0), "bit {bit} of {} was not found", file.display());
        if !fuse_is_missing() {
            let at = installation.directory("mnt");
            let key = installation.public_key(NAME);
            let cache = installation.path(&format!("cache-{bit}"));
            let cache = cache.to_str().expect("because scratch paths are text");
            let mounted = installation.try_mount(NAME, &server.url(NAME), &key, &at, &["--cache", cache]);
            if mounted.code == Some(0) {
                match listing(&at) {
                    // What no reader of this revision needs may be damaged, but nothing wrong may come through.
                    Ok(found) => {
                        assert_eq!(found.lines().count(), expected.lines().count());
                        unread.push(file.clone());
                    }
                    Err(error) => assert!(format!("{error:#}").contains("os error 5"), "{error:#}"),
                }
                installation.unmount(&at);
            } else {
                assert!(mounted.stderr.contains("error"), "{mounted:?}");
            }
        }
        fs::write(&file, &good).expect("because the repository is ours");
    }
    installation.run(&["repo", "check", "--data", NAME]);
    // Old catalogs and histories, the log of references, and the description are not read by a mount.
    assert!(unread.len() <= 6, "{unread:?}");
}

/// Every file below a directory, sorted.
fn files(directory: &Path) -> Vec<PathBuf> {
    let mut found = vec![];
    for entry in fs::read_dir(directory).expect("because the repository is ours") {
        let path = entry.expect("because the repository is ours").path();
        if path.is_dir() { found.extend(files(&path)) } else { found.push(path) }
    }
    found.sort();
    found
}
