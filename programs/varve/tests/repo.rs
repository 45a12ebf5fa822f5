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
