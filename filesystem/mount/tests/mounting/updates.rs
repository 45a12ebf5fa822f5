//! What applications see when the repository moves on while it is mounted.

use std::fs::File;
use std::io::Read as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use serde_json::{Value, json};
use varve_content::Algorithm;
use varve_repository::{ManifestFields, RepositoryName, SignedManifest, SigningKeys};
use varve_testkit::{Fixture, Scratch, assert_same, listing, wait_until};

use crate::harness::{LONG, Mount, settings};

/// A copy of the fixture that is moved from revision to revision.
struct Moving {
    fixture: Fixture,
    scratch: Scratch,
    keys: SigningKeys,
    newest: ManifestFields,
}

impl Moving {
    fn new() -> Self {
        let fixture = Fixture::sha1();
        let scratch = Scratch::new();
        fixture.copy_served(scratch.path()).unwrap();
        let name: RepositoryName = fixture.name().parse().unwrap();
        let keys = SigningKeys::load(&fixture.path("keys"), &name).unwrap();
        let bytes = std::fs::read(fixture.served().join(".cvmfspublished")).unwrap();
        let newest = SignedManifest::parse(&bytes).unwrap().claims().clone();
        Self { fixture, scratch, keys, newest }
    }

    /// Publishes the root catalog of a tag; that of `None` is the newest one.
    fn publish(&self, tag: Option<&str>) {
        let magic = self.fixture.magic(tag).unwrap();
        let of_root = |name: &str| magic.root.iter().find(|(other, _)| other == name).unwrap().1.clone();
        let fields = ManifestFields {
            root_catalog: of_root("root_hash").parse().unwrap(),
            root_catalog_size: 0,
            revision: of_root("revision").parse().unwrap(),
            ttl: std::time::Duration::from_secs(3600),
            ..self.newest.clone()
        };
        let manifest = self.keys.sign_manifest(fields, Algorithm::Sha1).unwrap();
        let place = self.scratch.path().join(".cvmfspublished");
        std::fs::write(place.with_extension("new"), manifest.to_bytes()).unwrap();
        std::fs::rename(place.with_extension("new"), place).unwrap();
    }

    fn settings(&self) -> Value {
        settings(self.fixture.name(), self.scratch.path(), &self.fixture.public_key())
    }
}

fn read(path: &Path) -> Vec<u8> {
    std::fs::read(path).unwrap()
}

#[test]
fn a_mount_follows_and_open_files_stay_as_they_were() {
    let moving = Moving::new();
    moving.publish(Some("v1"));
    let Some(mount) = Mount::new(moving.settings()) else { return };
    let nothing = |_: &str, _: usize| false;
    assert_same(
        &moving.fixture.expected_text(Some("v1")).unwrap(),
        &listing(&mount.directory).unwrap(),
        &nothing,
    );

    // Of what both revisions have, `chunked.bin` differs.
    let mut open = File::open(mount.path("/chunked.bin")).unwrap();
    let (before, inode) = (read(&mount.path("/chunked.bin")), open.metadata().unwrap().ino());
    assert!(!mount.path("/fresh").exists());
    let directory = File::open(mount.path("/names")).unwrap();
    let names = |directory: &File| -> Vec<String> {
        let mut names: Vec<_> = rustix::fs::Dir::read_from(directory)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
            .collect();
        names.sort();
        names
    };
    let names_before = names(&directory);

    moving.publish(Some("v2"));
    assert_eq!(mount.refresh().repositories[0].revision, 5);
    assert_same(
        &moving.fixture.expected_text(Some("v2")).unwrap(),
        &listing(&mount.directory).unwrap(),
        &nothing,
    );
    moving.publish(None);
    assert_eq!(mount.refresh().repositories[0].revision, 6);
    assert_same(&moving.fixture.expected_text(None).unwrap(), &listing(&mount.directory).unwrap(), &nothing);

    assert!(mount.path("/fresh/a/b/c").exists(), "its absence was remembered");
    assert_ne!(read(&mount.path("/chunked.bin")), before);
    assert_ne!(std::fs::metadata(mount.path("/chunked.bin")).unwrap().ino(), inode);
    let _ = std::fs::write("/proc/sys/vm/drop_caches", "3");
    let mut after = Vec::new();
    open.read_to_end(&mut after).unwrap();
    assert_eq!((after == before, open.metadata().unwrap().ino()), (true, inode));
    assert_eq!(names(&directory), names_before);

    // A new worker shows the revision that its predecessor showed, and the old inodes still have their content.
    mount.kill_worker();
    assert_eq!(mount.status().repositories[0].revision, 6);
    let _ = std::fs::write("/proc/sys/vm/drop_caches", "3");
    let mut again = vec![0; before.len()];
    std::os::unix::fs::FileExt::read_exact_at(&open, &mut again, 0).unwrap();
    assert!(again == before);
    assert_same(&moving.fixture.expected_text(None).unwrap(), &listing(&mount.directory).unwrap(), &nothing);
}

#[test]
fn a_mount_follows_by_itself() {
    let moving = Moving::new();
    moving.publish(Some("v2"));
    let mut settings = moving.settings();
    settings["refresh"] = json!(1);
    let Some(mount) = Mount::new(settings) else { return };
    assert!(!mount.path("/fresh").exists());
    moving.publish(None);
    wait_until("the new revision is shown", LONG, || mount.path("/fresh/a").exists());
}

#[test]
fn an_older_revision_is_not_shown_and_a_pinned_one_stays() {
    let moving = Moving::new();
    moving.publish(None);
    let Some(mount) = Mount::new(moving.settings()) else { return };
    moving.publish(Some("v1"));
    assert_eq!(mount.refresh().repositories[0].revision, 6);

    let mut pinned = moving.settings();
    pinned["reference"] = json!("v2");
    moving.publish(None);
    let Some(pinned) = Mount::new(pinned) else { return };
    assert_eq!(pinned.refresh().repositories[0].revision, 5);
    let nothing = |_: &str, _: usize| false;
    let expected = moving.fixture.expected_text(Some("v2")).unwrap();
    assert_same(&expected, &listing(&pinned.directory).unwrap(), &nothing);
}
