//! Several repositories below one mount point, attached when their names are looked up.

use std::os::unix::fs::MetadataExt as _;

use serde_json::json;
use varve_testkit::{Fixture, assert_same, listing, wait_until};

use crate::harness::{LONG, Mount, of_fixture};

#[test]
fn repositories_are_attached_by_name() {
    let settings = json!({ "tree": Fixture::all().map(|fixture| of_fixture(&fixture)) });
    let Some(mount) = Mount::new(settings) else { return };
    let shown = || -> Vec<String> {
        let entries = std::fs::read_dir(&mount.directory).unwrap();
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    };
    assert_eq!(shown(), Vec::<String>::new());
    assert!(!mount.path("unknown.example.org").exists());
    assert!(!mount.path("not a name").exists());
    for fixture in Fixture::all() {
        let text = listing(&mount.path(fixture.name())).unwrap();
        assert_same(&fixture.expected_text(None).unwrap(), &text, &|_, _| false);
    }
    let inodes = Fixture::all().map(|fixture| mount.path(fixture.name()).metadata().unwrap().ino());
    assert_ne!(inodes[0], inodes[1]);
    assert_eq!(mount.status().repositories.len(), 2);

    mount.kill_worker();
    let _ = std::fs::write("/proc/sys/vm/drop_caches", "3");
    for (fixture, inode) in Fixture::all().iter().zip(inodes) {
        assert_eq!(mount.path(fixture.name()).metadata().unwrap().ino(), inode);
        let text = listing(&mount.path(fixture.name())).unwrap();
        assert_same(&fixture.expected_text(None).unwrap(), &text, &|_, _| false);
    }
}

#[test]
fn catalogs_that_nobody_needs_leave_memory_and_come_back() {
    let fixture = Fixture::sha1();
    let mut settings = of_fixture(&fixture);
    settings["tidying"] = json!(10);
    let Some(mount) = Mount::new(settings) else { return };
    let expected = fixture.expected_text(None).unwrap();
    let open = std::fs::File::open(mount.path("/chunked.bin")).unwrap();
    for _ in 0..3 {
        assert_same(&expected, &listing(&mount.directory).unwrap(), &|_, _| false);
        wait_until("only the root catalog is in use", LONG, || mount.status().catalogs == 1);
        // Without these the kernel would answer most of it by itself.
        let _ = std::fs::write("/proc/sys/vm/drop_caches", "3");
    }
    let mut content = vec![0; open.metadata().unwrap().size() as usize];
    std::os::unix::fs::FileExt::read_exact_at(&open, &mut content, 0).unwrap();
    assert_eq!(content, std::fs::read(mount.path("/chunked.bin")).unwrap());
}

#[test]
fn repositories_that_nobody_entered_are_listed_and_attached_when_entered() {
    let fixture = Fixture::rmd160();
    let mut repository = of_fixture(&fixture);
    repository["listed"] = json!(true);
    let Some(mount) = Mount::new(json!({ "tree": [repository] })) else { return };
    let names: Vec<_> =
        std::fs::read_dir(&mount.directory).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(names, [fixture.name()]);
    assert_eq!(mount.status().repositories.len(), 0);
    let text = listing(&mount.path(fixture.name())).unwrap();
    assert_same(&fixture.expected_text(None).unwrap(), &text, &|_, _| false);
}
