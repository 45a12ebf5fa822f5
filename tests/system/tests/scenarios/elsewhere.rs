//! Copies and commits that don't stay on the publisher's disk: a replica in a bucket, a commit to a disk that is full.
#![allow(clippy::print_stdout)]

use std::ffi::CString;
use std::fs;
use std::path::{Path, PathBuf};

use rustix::mount::{MountFlags, UnmountFlags, mount, mount_remount, unmount};
use varve_system::{Installation, fuse_is_missing, overlays_are_missing};
use varve_testkit::{FaultyServer, Random, S3Server, TreeBuilder, TreeSize, assert_same, listing};

const NAME: &str = "elsewhere.lab.example";

#[test]
fn a_replica_in_a_bucket_is_copied_followed_collected_and_read() {
    let Some(bucket) = S3Server::start() else { return };
    let (publisher, site) = (Installation::new(), Installation::on_s3(&bucket.url()));
    let tree = publisher.path("tree");
    TreeBuilder::random(&tree, 9, TreeSize { directories: 8, files: 60, largest: 100_000 });
    TreeBuilder::new(&tree).file("nested/.cvmfscatalog", "").file("nested/file", "1").finish();
    publisher.publish(NAME, &tree);
    let server = publisher.serve(None);
    // The settings of a repository that the site keeps in the bucket serve for the replica too.
    let other = "other.lab.example";
    site.create(other, &[]);
    fs::copy(site.settings(other), site.settings(NAME)).expect("because the home is ours");
    let key = publisher.public_key(NAME);
    let key = key.to_str().expect("because scratch paths are text");
    let url = server.url(NAME);
    site.run(&["replicate", &url, "--key", key]);
    assert!(!site.repository(NAME).join("data").exists(), "nothing is kept on the disk");
    fs::write(tree.join("nested/file"), "22").expect("because the tree is ours");
    let path = tree.to_str().expect("because scratch paths are text");
    publisher.run(&["repo", "publish", NAME, path]);
    site.run(&["replicate", &url]);
    let again = site.run(&["replicate", &url, "--json"]);
    assert!(again.contains("\"is_new\": false"), "{again}");
    site.run(&["repo", "gc", NAME, "--keep-revisions", "1"]);
    site.run(&["repo", "check", "--data", NAME]);
    if fuse_is_missing() {
        return;
    }
    drop(server);
    let expected = listing(&tree).expect("because the tree is ours");
    let web = FaultyServer::new(&bucket.file("some/prefix"));
    let mounted = site.mount(NAME, &format!("{}/{NAME}", web.url()), Path::new(key), "mnt", &[]);
    let found = listing(&mounted).expect("because everything can be read");
    assert_same(&expected, &found, &|_, field| field == 7 || field == 11);
    site.unmount(&mounted);
}

#[test]
fn a_commit_to_a_full_disk_fails_and_is_repeated_when_there_is_room() {
    if overlays_are_missing() {
        return;
    }
    let installation = Installation::new();
    let Some(disk) = Disk::new(installation.directory("disk")) else { return };
    let storage = disk.0.join("objects");
    installation.create(NAME, &["--storage", storage.to_str().expect("because scratch paths are text")]);
    let view = PathBuf::from(installation.run(&["repo", "transaction", NAME]).trim());
    fs::write(view.join("large"), Random::new(3).bytes(20 << 20)).expect("because the view is writable");
    let failed = installation.call(&["repo", "commit", NAME]);
    assert_eq!(failed.code, Some(1), "{}", failed.stderr);
    assert!(failed.stderr.contains("No space left on device"), "{}", failed.stderr);
    installation.run(&["repo", "check", "--data", NAME]);
    fs::write(view.join("small"), "still writable").expect("because the commit failed");
    disk.resize("64m");
    installation.run(&["repo", "commit", NAME]);
    installation.run(&["repo", "check", "--data", NAME]);
    assert!(installation.run(&["repo", "info", NAME]).contains("2 files"));
}

/// A small file system in memory.
struct Disk(PathBuf);

impl Disk {
    /// `None`, and a word why, where none can be mounted.
    fn new(place: PathBuf) -> Option<Self> {
        match mount("varve-test", &place, "tmpfs", MountFlags::empty(), Some(options("8m").as_c_str())) {
            Ok(()) => Some(Self(place)),
            Err(error) => {
                println!("skipped: a tmpfs can't be mounted here: {error}");
                None
            }
        }
    }

    fn resize(&self, size: &str) {
        mount_remount(&self.0, MountFlags::empty(), options(size).as_c_str()).expect("because it is ours");
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _gone = unmount(&self.0, UnmountFlags::DETACH);
    }
}

fn options(size: &str) -> CString {
    CString::new(format!("size={size}")).expect("because it has no zero")
}
