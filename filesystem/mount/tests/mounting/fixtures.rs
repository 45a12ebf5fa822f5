//! What CernVM-FS's own client shows of the fixtures is what our mounts show, for every tag.

use std::collections::HashSet;
use std::os::unix::fs::MetadataExt as _;

use serde_json::json;
use varve_testkit::{Fixture, assert_same, listing, magic_listing};

use crate::harness::{Mount, of_fixture};

/// The hash of the newest revision's root catalog: `magic.txt` was written by a client that was given this.
fn newest_root(fixture: &Fixture) -> String {
    let magic = fixture.magic(None).unwrap();
    magic.root.into_iter().find(|(name, _)| name == "root_hash").unwrap().1
}

#[test]
fn every_tag_looks_as_in_the_original() {
    for fixture in Fixture::all() {
        let tags = fixture.tags().unwrap();
        for tag in tags.iter().map(|tag| Some(tag.as_str())).chain([None]) {
            let mut settings = of_fixture(&fixture);
            settings["reference"] = match tag {
                Some(tag) => json!(tag),
                None => json!(newest_root(&fixture)),
            };
            let Some(mount) = Mount::new(settings) else { return };
            println!("{} {tag:?}", fixture.name());
            let nothing = |_: &str, _: usize| false;
            assert_same(&fixture.expected_text(tag).unwrap(), &listing(&mount.directory).unwrap(), &nothing);
            assert_same(
                &fixture.magic_text(tag).unwrap(),
                &magic_listing(&mount.directory).unwrap(),
                &nothing,
            );
        }
    }
}

#[test]
fn a_second_look_is_answered_from_the_cache_and_a_new_worker_keeps_the_inodes() {
    let fixture = Fixture::sha1();
    let Some(mount) = Mount::new(of_fixture(&fixture)) else { return };
    let expected = fixture.expected_text(None).unwrap();
    let nothing = |_: &str, _: usize| false;
    assert_same(&expected, &listing(&mount.directory).unwrap(), &nothing);
    let inodes = || -> Vec<u64> {
        fixture
            .expected(None)
            .unwrap()
            .iter()
            .map(|entry| {
                let path = mount.path(&String::from_utf8_lossy(&entry.path));
                path.symlink_metadata().map_or(0, |metadata| metadata.ino())
            })
            .collect()
    };
    let before = inodes();
    let misses = mount.status().repositories[0].cache_misses;
    assert!(misses > 0);
    mount.kill_worker();
    // The kernel forgets, so that the new worker is asked.
    std::fs::write("/proc/sys/vm/drop_caches", "3").ok();
    assert_same(&expected, &listing(&mount.directory).unwrap(), &nothing);
    assert_eq!(mount.status().repositories[0].cache_misses, 0);
    assert_eq!(inodes(), before);
}

#[test]
fn hard_links_share_an_inode_and_distinct_files_do_not() {
    let fixture = Fixture::sha1();
    let mut settings = of_fixture(&fixture);
    settings["reference"] = json!("v1");
    let Some(mount) = Mount::new(settings) else { return };
    let inode = |path: &str| mount.path(path).symlink_metadata().unwrap().ino();
    assert_eq!(inode("/hl/a"), inode("/hl/b"));
    assert_eq!(inode("/hl/x"), inode("/hl/y"));
    assert_ne!(inode("/hl/a"), inode("/hl/x"));
    let entries = fixture.expected(Some("v1")).unwrap();
    let single: Vec<_> = entries.iter().filter(|entry| entry.kind == 'd' || entry.nlink == 1).collect();
    let different: HashSet<u64> = single
        .iter()
        .map(|entry| {
            let path: &std::ffi::OsStr = std::os::unix::ffi::OsStrExt::from_bytes(&entry.path[1..]);
            mount.directory.join(path).symlink_metadata().unwrap().ino()
        })
        .collect();
    assert_eq!(different.len(), single.len());
}

#[test]
fn variables_of_links_are_the_clients() {
    let fixture = Fixture::sha1();
    let mut settings = of_fixture(&fixture);
    settings["variables"] = json!({ "FIX_VAR": "value", "FIX_B": "b" });
    let Some(mount) = Mount::new(settings) else { return };
    let target = |path: &str| std::fs::read_link(mount.path(path)).unwrap();
    assert_eq!(target("/links/var").to_str(), Some("value"));
    assert_eq!(target("/links/varabs").to_str(), Some("/opt/value/y"));
    assert_eq!(target("/links/vartwo").to_str(), Some("pre--mid-b-post"));
    assert_eq!(mount.path("/links/var").symlink_metadata().unwrap().len(), 5);
}

#[test]
fn names_and_errors_are_those_of_posix() {
    let Some(mount) = Mount::new(of_fixture(&Fixture::sha1())) else { return };
    let code = |path: &str| std::fs::metadata(mount.path(path)).unwrap_err().raw_os_error();
    let errno = |errno: rustix::io::Errno| Some(errno.raw_os_error());
    assert_eq!(code("/nowhere"), errno(rustix::io::Errno::NOENT));
    assert_eq!(code("/README.txt/below"), errno(rustix::io::Errno::NOTDIR));
    let refused = std::fs::write(mount.path("/new"), "x").unwrap_err();
    assert_eq!(refused.kind(), std::io::ErrorKind::ReadOnlyFilesystem);
    let space = rustix::fs::statvfs(&mount.directory).unwrap();
    assert!(space.f_files > 100 && space.f_blocks > 100 && space.f_bfree == 0);
}
