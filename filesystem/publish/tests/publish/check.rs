//! A sound repository has no findings; whatever is wrong with one is found.
#![allow(clippy::print_stdout)]

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use varve_content::{Algorithm, ObjectKind, ObjectName};
use varve_publish::{CheckOptions, CheckReport, FindingKind, NoProgress, SettingsFile, check};
use varve_repository::{PublicKeys, Trust};
use varve_store::DirectoryStore;
use varve_testkit::{Fixture, Random, Scratch, TreeBuilder};

use crate::fixture::{check_at, name, now, trust};
use crate::workshop::{self, Workshop};

fn copy(fixture: &Fixture) -> Scratch {
    let scratch = Scratch::new();
    fixture.copy_served(&scratch).expect("because it is writable");
    scratch
}

fn kinds(report: &CheckReport) -> Vec<FindingKind> {
    let mut kinds: Vec<_> = report.findings.iter().map(|finding| finding.kind).collect();
    kinds.dedup();
    kinds
}

#[test]
fn fixtures_are_sound() {
    for fixture in Fixture::all() {
        for data in [false, true] {
            let report = check_at(&fixture, &fixture.served(), data);
            for finding in &report.findings {
                println!("{}: {finding}", fixture.name());
            }
            assert!(report.is_sound(), "{}: {} findings", fixture.name(), report.findings.len());
            assert!(report.catalogs > 1 && report.entries > 10 && report.referenced_objects > 10);
            assert_eq!(report.hashed_objects, if data { report.stored_objects } else { 0 });
        }
    }
}

/// Every file that is served, but for those that nothing vouches for.
fn vouched_files(directory: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(directory).expect("because it was copied").flatten() {
        let path = entry.path();
        if path.is_dir() {
            files.extend(vouched_files(&path));
        } else if !matches!(
            entry.file_name().to_str(),
            Some(
                ".cvmfs_master_replica"
                    | ".cvmfs_status.json"
                    | ".cvmfs_last_snapshot"
                    | ".cvmfspublished.next"
            )
        ) {
            files.push(path);
        }
    }
    files.sort();
    files
}

#[test]
fn one_flipped_bit_in_any_file_is_found() {
    for fixture in Fixture::all() {
        let scratch = copy(&fixture);
        let clean = check_at(&fixture, &scratch, true).findings;
        let files = vouched_files(&scratch);
        assert!(files.len() > 15);
        for (number, path) in files.iter().enumerate() {
            let sound = fs::read(path).expect("because it was copied");
            // Another bit of every file, so that heads, middles and ends are hit.
            let bit = number * 7919 % (sound.len() * 8);
            let mut damaged = sound.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            fs::write(path, &damaged).expect("because it is writable");
            let report = check_at(&fixture, &scratch, true);
            assert!(report.findings != clean, "bit {bit} of {} was not found", path.display());
            fs::write(path, &sound).expect("because it is writable");
        }
        assert_eq!(check_at(&fixture, &scratch, true).findings, clean);
    }
}

#[test]
fn a_missing_object_is_found_without_reading_data() {
    let fixture = Fixture::sha1();
    let scratch = copy(&fixture);
    let store = DirectoryStore::open(scratch.path()).expect("because it was copied");
    let readme: ObjectName = "882510b2b3d659f767e960b0a40883452a9af910".parse().expect("a name");
    fs::remove_file(scratch.join("data").join(readme.path())).expect("because it is stored");
    let options = CheckOptions { data: false, threads: 1 };
    let report = check(&store, &name(&fixture), &trust(&fixture), now(), options, &NoProgress);
    assert_eq!(kinds(&report), [FindingKind::ObjectMissing]);
    let finding = &report.findings[0];
    assert_eq!(finding.path.as_deref(), Some("/README.txt"));
    assert_eq!(finding.object.as_deref(), Some("882510b2b3d659f767e960b0a40883452a9af910"));
}

#[test]
fn a_missing_catalog_is_found_and_the_rest_checked() {
    let fixture = Fixture::sha1();
    let scratch = copy(&fixture);
    let nested: ObjectName = "57b8f0a8d920f903d47e733666de7e31bab8dfd2C".parse().expect("a name");
    fs::remove_file(scratch.join("data").join(nested.path())).expect("because it is stored");
    let report = check_at(&fixture, &scratch, false);
    assert!(kinds(&report).contains(&FindingKind::Catalog), "{:?}", report.findings);
    assert!(report.findings.iter().all(|finding| finding.path.as_deref() == Some("/nested2")));
    assert!(report.entries > 100);
}

#[test]
fn objects_that_nothing_refers_to_are_counted_only() {
    let fixture = Fixture::sha1();
    let scratch = copy(&fixture);
    let before = check_at(&fixture, &scratch, true);
    let orphan = ObjectName::new(Algorithm::Sha1.hash(b"nobody wants me"), ObjectKind::Chunk);
    let path = scratch.join("data").join(orphan.path());
    fs::create_dir_all(path.parent().expect("because it is in a directory")).expect("because it is writable");
    fs::write(&path, b"nobody wants me").expect("because it is writable");
    let report = check_at(&fixture, &scratch, true);
    assert_eq!(report.findings, before.findings);
    assert_eq!((report.orphans, report.orphaned_bytes), (before.orphans + 1, before.orphaned_bytes + 15));
    assert!(report.orphan_list.contains(&(orphan, 15)));
    // Damage is found in it all the same.
    fs::write(&path, b"nobody wants mE").expect("because it is writable");
    assert!(kinds(&check_at(&fixture, &scratch, true)).contains(&FindingKind::ObjectDamaged));
}

#[test]
fn an_expired_whitelist_and_a_foreign_key_are_found() {
    let fixture = Fixture::sha1();
    let store = DirectoryStore::open(fixture.served()).expect("because it is there");
    let options = CheckOptions { data: false, threads: 1 };
    let later = now() + Duration::from_secs(40 * 365 * 24 * 3600);
    let report = check(&store, &name(&fixture), &trust(&fixture), later, options, &NoProgress);
    assert!(kinds(&report).contains(&FindingKind::Whitelist), "{:?}", report.findings);
    let other = trust(&Fixture::rmd160());
    let report = check(&store, &name(&fixture), &other, now(), options, &NoProgress);
    assert!(kinds(&report).contains(&FindingKind::Whitelist), "{:?}", report.findings);
    assert!(report.catalogs > 1, "because everything else is checked all the same");
}

#[test]
fn another_revisions_reflog_and_history_are_found() {
    let fixture = Fixture::sha1();
    let scratch = copy(&fixture);
    fs::remove_file(scratch.join(".cvmfsreflog")).expect("because it was copied");
    assert!(kinds(&check_at(&fixture, &scratch, false)).contains(&FindingKind::Reflog));
    let other = Fixture::rmd160().served().join(".cvmfsreflog");
    fs::copy(other, scratch.join(".cvmfsreflog")).expect("because it is writable");
    let report = check_at(&fixture, &scratch, false);
    let problems: Vec<_> = report.findings.iter().map(|finding| finding.problem.as_str()).collect();
    assert!(problems.contains(&"is not the one that the manifest names"), "{problems:?}");
    assert!(problems.contains(&"is that of fix2-rmd160.lab.example"), "{problems:?}");
}

/// A repository with nested catalogs, chunks, links, tags and three revisions.
fn published() -> Workshop {
    let workshop = Workshop::with_repository(SettingsFile::default());
    let (mut tree, refused) = TreeBuilder::odd(&workshop.tree);
    for line in refused {
        println!("left out: {line}");
    }
    tree.file("names/.cvmfscatalog", "").file("hard/below/.cvmfscatalog", "").file("hard/below/x", "x");
    tree.file("large", Random::new(1).text(9 << 20)).finish();
    workshop.publish(10);
    tree.remove("sizes").file("same/one", "something else").hard_link("hard/d", "hard/a").finish();
    workshop.publish(20);
    workshop
}

fn check_workshop(workshop: &Workshop) -> CheckReport {
    let store = DirectoryStore::open(&workshop.local.directory).expect("because it was published");
    let keys = PublicKeys::load(&[workshop.local.keys.as_path()]).expect("because they were made");
    let options = CheckOptions { data: true, threads: 2 };
    let now = workshop::at(30);
    check(&store, &workshop.local.name, &Trust::in_keys(keys), now, options, &NoProgress)
}

#[test]
fn what_varve_publishes_is_sound() {
    let report = check_workshop(&published());
    assert!(report.is_sound(), "{:#?}", report.findings);
    assert!(report.catalogs == 5 && report.entries > 200, "{report:?}");
    assert_eq!(report.orphans, 0, "{:?}", report.orphan_list);
}

#[test]
fn one_flipped_bit_in_anything_that_varve_publishes_is_found() {
    let workshop = published();
    let files = vouched_files(&workshop.local.directory);
    assert!(files.len() > 50);
    for (number, path) in files.iter().enumerate() {
        // All files of the fixtures are tried above; here every third object and all other files.
        if number % 3 != 0 && path.starts_with(workshop.local.directory.join("data")) {
            continue;
        }
        let sound = fs::read(path).expect("because it was published");
        if sound.is_empty() {
            continue;
        }
        let mut damaged = sound.clone();
        let bit = (number * 7919 + 13) % (sound.len() * 8);
        damaged[bit / 8] ^= 1 << (bit % 8);
        fs::write(path, &damaged).expect("because it is writable");
        assert!(!check_workshop(&workshop).is_sound(), "bit {bit} of {} was not found", path.display());
        fs::write(path, &sound).expect("because it is writable");
    }
    assert!(check_workshop(&workshop).is_sound());
}
