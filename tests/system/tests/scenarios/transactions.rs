//! Transactions: what a writable view showed is what the next revision has, through refusals, kills and a restart.

use std::ffi::OsStr;
use std::fs::{self, File, Permissions};
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use varve_system::{Installation, overlays_are_missing};
use varve_testkit::{ProcessGuard, Random, TreeBuilder, TreeSize, assert_same, listing, unmount_below};

const NAME: &str = "edited.lab.example";

/// The places in a listing's line of the link count and of a link as it was published, which only our mounts tell.
const LINKS: usize = 7;
const PUBLISHED_LINK: usize = 11;

#[test]
fn changes_of_every_kind_are_published_as_the_view_showed_them() {
    if overlays_are_missing() {
        return;
    }
    let installation = Installation::new();
    let tree = installation.directory("tree");
    TreeBuilder::random(&tree, 21, TreeSize { directories: 12, files: 120, largest: 200_000 });
    TreeBuilder::new(&tree)
        .file("nested/.cvmfscatalog", "")
        .file("nested/deep/.cvmfscatalog", "")
        .file("nested/deep/file", "deep")
        .file("nested/plain", "plain")
        .file("moved/one", "1")
        .hard_link("moved/uno", "moved/one")
        .file("moved/sub/.cvmfscatalog", "")
        .file("moved/sub/file", "below")
        .file("moved/gone", "")
        .file("linked/a", "linked")
        .hard_link("linked/b", "linked/a")
        .file("large", Random::new(1).bytes(30 << 20))
        .file("replaced-by-directory", "file")
        .file("replaced-by-file/x", "")
        .file("emptied/x", "")
        .symlink("link", "large")
        .xattr("nested/plain", "user.color", "red")
        .finish();
    installation.publish(NAME, &tree);
    let view = open(&installation, &[]);
    let at = |path: &str| view.join(path);
    let written =
        |path: &str, bytes: &[u8]| fs::write(at(path), bytes).expect("because the view is writable");
    let changed = "because the view is writable";

    written("new", b"new");
    written("nested/deep/file", b"other");
    fs::set_permissions(at("large"), Permissions::from_mode(0o751)).expect(changed);
    fs::remove_file(at("moved/gone")).expect(changed);
    written("moved/sub/added", b"added");
    fs::rename(at("moved"), at("nested/target")).expect(changed);
    fs::rename(at("nested/target/sub"), at("sub")).expect(changed);
    fs::rename(at("nested/deep"), at("nested/deeper")).expect(changed);
    fs::rename(at("nested/deeper"), at("nested/deep")).expect(changed);
    fs::remove_file(at("replaced-by-directory")).expect(changed);
    fs::create_dir_all(at("replaced-by-directory/a/b")).expect(changed);
    fs::remove_dir_all(at("replaced-by-file")).expect(changed);
    written("replaced-by-file", b"file");
    fs::remove_dir_all(at("emptied")).expect(changed);
    fs::create_dir(at("emptied")).expect(changed);
    fs::remove_file(at("link")).expect(changed);
    symlink("new", at("link")).expect(changed);
    fs::hard_link(at("new"), at("also new")).expect(changed);
    fs::write(at("linked/c"), "beside the others").expect(changed);
    rustix::fs::setxattr(at("nested/plain"), "user.color", b"blue", rustix::fs::XattrFlags::empty())
        .expect(changed);
    rustix::fs::mknodat(
        rustix::fs::CWD,
        at("fifo"),
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::from_raw_mode(0o640),
        0,
    )
    .expect(changed);
    let expected = listing(&view).expect("because everything can be read");

    let report = installation.run(&["repo", "commit", NAME, "--tag", "edited", "--json"]);
    let report: serde_json::Value = serde_json::from_str(&report).expect("because --json prints JSON");
    // Neither the large file nor what was moved is read again.
    assert!(report["bytes_read"].as_u64().is_some_and(|bytes| bytes < 1000), "{report}");
    assert!(!view.join("new").exists(), "the view is gone");
    assert_same(&expected, &published(&installation, "edited"), &told_otherwise(&expected));
    installation.run(&["repo", "check", "--data", NAME]);

    // With nothing changed there is no new revision.
    open(&installation, &[]);
    let nothing = installation.run(&["repo", "commit", NAME]);
    assert!(nothing.contains("unchanged at revision 3"), "{nothing}");
}

#[test]
fn what_would_be_in_the_way_is_refused() {
    if overlays_are_missing() {
        return;
    }
    let installation = Installation::new();
    let tree = installation.directory("tree");
    TreeBuilder::new(&tree).file("part/file", "1").file("beside", "2").finish();
    installation.publish(NAME, &tree);
    let before = installation.run(&["repo", "info", NAME]);
    refused(&installation, &["repo", "commit", NAME], 4, "no transaction");
    refused(&installation, &["repo", "transaction", NAME, "/nowhere"], 4, "no directory /nowhere");

    let view = open(&installation, &["/part"]);
    let outside = fs::write(view.join("beside"), "3").expect_err("because only a part may be changed");
    assert_eq!(outside.kind(), std::io::ErrorKind::ReadOnlyFilesystem);
    fs::write(view.join("part/file"), "3").expect("because this is the part");
    let tree = tree.to_str().expect("because scratch paths are text");
    for verb in [
        &["repo", "transaction", NAME][..],
        &["repo", "publish", NAME, tree],
        &["repo", "ingest", NAME, "--delete", "/part"],
        &["repo", "rollback", NAME],
    ] {
        refused(&installation, verb, 6, "is open");
    }
    let file = File::create(view.join("part/open")).expect("because the view is writable");
    refused(&installation, &["repo", "commit", NAME], 6, "in use");
    fs::write(view.join("part/after"), "still writable").expect("because the commit was refused");
    drop(file);
    refused(&installation, &["repo", "commit", NAME, "--tag", "trunk"], 2, "trunk");
    installation.run(&["repo", "abort", NAME]);
    assert_eq!(installation.run(&["repo", "info", NAME]), before);

    let view = open(&installation, &["/part"]);
    assert_eq!(fs::read(view.join("part/file")).expect("because it is published"), b"1");
    fs::write(view.join("part/file"), "4").expect("because the view is writable");
    installation.run(&["repo", "commit", NAME]);
    assert!(published(&installation, "trunk").contains("/part/file"));
}

#[test]
fn a_killed_commit_and_a_restart_lose_nothing() {
    if overlays_are_missing() {
        return;
    }
    let installation = Installation::new();
    let tree = installation.directory("tree");
    TreeBuilder::random(&tree, 5, TreeSize { directories: 10, files: 60, largest: 100_000 });
    installation.publish(NAME, &tree);
    let mut random = Random::new(6);
    let mut usual = Duration::from_millis(300);
    for round in 0..12 {
        let view = open(&installation, &[]);
        for file in 0..20 {
            let name = view.join(format!("round{}/{file}", round % 5));
            fs::create_dir_all(name.parent().expect("because it has one")).expect("because it is writable");
            fs::write(name, random.bytes(50_000)).expect("because the view is writable");
        }
        let expected = listing(&view).expect("because everything can be read");
        let mut commit = installation.command(&["repo", "commit", NAME]);
        commit.stdout(Stdio::null()).stderr(Stdio::null());
        let begun = Instant::now();
        let mut process = ProcessGuard::start(&mut commit).expect("because the program exists");
        match process.wait(usual.mul_f64(random.below(1000) as f64 / 1000.0)).expect("because it is ours") {
            Some(status) => {
                assert!(status.success());
                usual = usual.min(begun.elapsed());
            }
            None => {
                process.kill().expect("because it is our child");
            }
        }
        if round % 2 == 0 {
            // What is mounted does not outlive a restart.
            unmount_below(&installation.path("home"));
        }
        installation.run(&["repo", "check", "--data", NAME]);
        let outcome = installation.call(&["repo", "transaction", NAME]);
        if outcome.code == Some(0) && outcome.stderr.contains("mounted again") {
            assert_same(
                &expected,
                &listing(Path::new(outcome.stdout.trim())).expect("because everything can be read"),
                &|_, _| false,
            );
        }
        // Either it was not committed yet, or it was but not ended, or it is over.
        installation.run(&["repo", "commit", NAME]);
        assert_same(&expected, &published(&installation, "trunk"), &told_otherwise(&expected));
    }
    installation.run(&["repo", "check", "--data", NAME]);
}

/// Opens a transaction and returns its view.
fn open(installation: &Installation, more: &[&str]) -> PathBuf {
    let arguments = [&["repo", "transaction", NAME], more].concat();
    PathBuf::from(installation.run(&arguments).trim())
}

fn refused(installation: &Installation, arguments: &[&str], code: i32, words: &str) {
    let outcome = installation.call(arguments);
    assert_eq!(outcome.code, Some(code), "{arguments:?}: {}", outcome.stderr);
    assert!(outcome.stderr.contains(words), "{arguments:?}: {}", outcome.stderr);
}

/// What a revision shows, through a mount of its own.
pub(crate) fn published(installation: &Installation, tag: &str) -> String {
    let mounted = installation.directory("mnt/published");
    let target = format!("{NAME}@{tag}");
    installation.run(&[OsStr::new("mount"), target.as_ref(), mounted.as_ref()]);
    let found = listing(&mounted).expect("because everything can be read");
    installation.unmount(&mounted);
    found
}

/// What overlays tell otherwise than our mounts: they count no links of directories.
fn told_otherwise(listing: &str) -> impl Fn(&str, usize) -> bool {
    let directories: std::collections::HashSet<String> = listing
        .lines()
        .filter_map(|line| line.split_once('\t'))
        .filter(|(_, rest)| rest.starts_with('d'))
        .map(|(path, _)| path.to_owned())
        .collect();
    move |path, field| field == PUBLISHED_LINK || field == LINKS && directories.contains(path)
}
