//! `varve repo`, as somebody types it.

use std::path::Path;
use std::process::{Command, Output};

fn varve(home: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_varve"))
        .env("VARVE_HOME", home)
        .args(arguments)
        .output()
        .expect("because the program was built")
}

fn succeed(home: &Path, arguments: &[&str]) -> String {
    let output = varve(home, arguments);
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("because nothing else is printed")
}

fn code(home: &Path, arguments: &[&str]) -> Option<i32> {
    varve(home, arguments).status.code()
}

#[test]
fn what_no_kept_revision_needs_is_removed() {
    let scratch = tempfile::tempdir().expect("a temporary directory");
    let home = scratch.path().join("home");
    let tree = scratch.path().join("tree");
    std::fs::create_dir(&tree).expect("creatable");
    let name = "soft.example.org";
    assert_eq!(code(&home, &["repo", "gc", name]), Some(4));
    succeed(&home, &["repo", "create", name]);
    for text in ["1", "22", "333", "4444"] {
        std::fs::write(tree.join("a"), text).expect("writable");
        succeed(&home, &["repo", "publish", name, tree.to_str().expect("a plain path")]);
    }
    // All of that is younger than three days.
    let text = succeed(&home, &["repo", "gc", name]);
    assert!(text.starts_with("soft.example.org keeps 5 revisions: "), "{text}");
    assert!(text.contains("has removed 0 revisions and 0 automatic tags: "), "{text}");
    let keep = ["repo", "gc", name, "--keep-revisions", "2"];
    let text = succeed(&home, &[&keep[..], &["--dry-run"]].concat());
    assert!(text.contains("would remove 3 revisions and 3 automatic tags: "), "{text}");
    let report = |arguments: &[&str]| -> serde_json::Value {
        serde_json::from_str(&succeed(&home, &[arguments, &["--json"]].concat())).expect("because it is JSON")
    };
    let planned = report(&[&keep[..], &["--dry-run"]].concat());
    let done = report(&keep);
    assert_eq!((&planned["dry_run"], &done["dry_run"]), (&true.into(), &false.into()));
    for field in ["revisions_removed", "objects_removed", "bytes_removed", "tags_removed"] {
        assert_eq!(planned[field], done[field], "{field}");
    }
    assert_eq!((&done["revisions_kept"], &done["revisions_removed"]), (&2.into(), &3.into()));
    assert_eq!(report(&["repo", "check", "--data", name])["orphans"], 0);
    for wrong in [
        &["--keep-since", "yesterday"][..],
        &["--keep-revisions", "0"],
        &["--keep-days", "1", "--keep-since", "2026-11-21"],
    ] {
        assert_eq!(code(&home, &[&["repo", "gc", name][..], wrong].concat()), Some(2), "{wrong:?}");
    }
    std::fs::write(
        home.join("config/repositories").join(format!("{name}.toml")),
        "garbage-collectable = false\n",
    )
    .expect("writable");
    assert_eq!(code(&home, &["repo", "gc", name]), Some(2));
}

#[test]
fn a_repository_is_made_published_and_rolled_back() {
    let scratch = tempfile::tempdir().expect("a temporary directory");
    let home = scratch.path().join("home");
    let tree = scratch.path().join("tree");
    std::fs::create_dir(&tree).expect("creatable");
    std::fs::write(tree.join("a"), "1").expect("writable");
    let tree = tree.to_str().expect("a plain path");
    let name = "soft.example.org";
    assert_eq!(code(&home, &["repo", "info", name]), Some(4));
    succeed(&home, &["repo", "create", name, "--description", "software"]);
    assert_eq!(code(&home, &["repo", "create", name]), Some(2));
    let text = succeed(&home, &["repo", "publish", name, tree, "--tag", "v1", "-m", "first"]);
    assert!(text.starts_with("soft.example.org is at revision 2, root catalog "), "{text}");
    assert_eq!(
        succeed(&home, &["repo", "publish", name, tree]),
        "soft.example.org is unchanged at revision 2\n"
    );
    assert_eq!(code(&home, &["repo", "publish", name, tree, "--tag", "v1"]), Some(2));
    let report: serde_json::Value =
        serde_json::from_str(&succeed(&home, &["repo", "publish", name, tree, "--at", "x/y", "--json"]))
            .expect("because it is JSON");
    assert_eq!((&report["revision"], &report["files"]), (&3.into(), &1.into()));
    let info: serde_json::Value =
        serde_json::from_str(&succeed(&home, &["repo", "info", name, "--json"])).expect("because it is JSON");
    assert_eq!((&info["files"], &info["directories"]), (&2.into(), &3.into()));
    assert!(succeed(&home, &["repo", "info", name]).contains("2 files with 2 B, 3 directories"));
    succeed(&home, &["repo", "tag", "add", name, "now", "-m", "text"]);
    assert_eq!(code(&home, &["repo", "tag", "add", name, "now"]), Some(2));
    let text = succeed(&home, &["repo", "rollback", name, "v1"]);
    assert_eq!(text, "soft.example.org is at revision 4, which is v1 again\n");
    assert_eq!(code(&home, &["repo", "tag", "remove", name, "now"]), Some(4));
    let tags = succeed(&home, &["repo", "tag", "list", name]);
    assert!(tags.lines().any(|line| line.starts_with("v1") && line.contains("first")), "{tags}");
    succeed(&home, &["repo", "resign", name, "--days", "7"]);
    let listed = succeed(&home, &["repo", "list"]);
    assert!(listed.lines().any(|line| line.starts_with(name) && line.contains(" 1 B ")), "{listed}");
    let listed: serde_json::Value =
        serde_json::from_str(&succeed(&home, &["repo", "list", "--json"])).expect("because it is JSON");
    let info: serde_json::Value =
        serde_json::from_str(&succeed(&home, &["repo", "info", name, "--json"])).expect("because it is JSON");
    for key in ["revision", "published", "tags", "files", "bytes", "directory"] {
        assert_eq!(listed[0][key], info[key], "{key}");
    }
    std::fs::create_dir(home.join("repositories/broken.example.org")).expect("creatable");
    let listed = succeed(&home, &["repo", "list"]);
    assert!(
        listed.lines().any(|line| line.starts_with("broken.example.org") && line.contains(" - ")),
        "{listed}"
    );
}

#[test]
fn an_archive_is_ingested_or_refused() {
    let scratch = tempfile::tempdir().expect("a temporary directory");
    let home = scratch.path().join("home");
    std::fs::create_dir_all(scratch.path().join("tree")).expect("creatable");
    std::fs::write(scratch.path().join("tree/a"), "1").expect("writable");
    let (tree, archive) = (scratch.path().join("tree"), scratch.path().join("a.tar.gz"));
    let packed = Command::new("tar").arg("-czf").arg(&archive).arg("-C").arg(&tree).arg("a").status();
    assert!(packed.is_ok_and(|status| status.success()));
    let archive = archive.to_str().expect("a plain path");
    let name = "soft.example.org";
    assert_eq!(code(&home, &["repo", "ingest", name, archive]), Some(4));
    succeed(&home, &["repo", "create", name]);
    assert_eq!(code(&home, &["repo", "ingest", name]), Some(2));
    assert_eq!(code(&home, &["repo", "ingest", name, "missing.tar"]), Some(4));
    let text =
        succeed(&home, &["repo", "ingest", name, archive, "--at", "x/y", "--tag", "v1", "-m", "first"]);
    assert!(text.contains("1 entries seen, 1 files of 1 B read"), "{text}");
    assert_eq!(code(&home, &["repo", "ingest", name, archive, "--tag", "v1"]), Some(2));
    let text = succeed(&home, &["repo", "ingest", name, archive, "--at", "/x/y"]);
    assert_eq!(text, "soft.example.org is unchanged at revision 2\n");
    let output = varve(&home, &["repo", "ingest", name, "--delete", "x", "--delete", "z", "--json"]);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("/z: nothing is there to delete"), "{said}");
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).expect("because it is JSON");
    assert_eq!((&report["revision"], &report["entries"]), (&3.into(), &0.into()));
    let bytes = std::fs::read(archive).expect("readable");
    std::fs::write(archive, &bytes[..bytes.len() - 4]).expect("writable");
    let output = varve(&home, &["repo", "ingest", name, archive]);
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1));
    assert!(
        said.contains("can't be ingested: at byte ") && said.contains("the archive is cut off"),
        "{said}"
    );
    assert!(succeed(&home, &["repo", "info", name]).contains("0 files"));
}
