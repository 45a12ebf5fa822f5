//! `varve repo shell`: commands in a writable view, as root and without any privileges.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::process::{Command, Stdio};

use varve_system::{Installation, fuse_is_missing, overlays_are_missing};
use varve_testkit::{TreeBuilder, mounts_below};

const NAME: &str = "shell.lab.example";

#[test]
fn what_a_command_changes_is_published_if_it_succeeds() {
    if overlays_are_missing() {
        return;
    }
    let installation = Installation::new();
    let tree = installation.directory("tree");
    TreeBuilder::new(&tree).file("part/file", "1").finish();
    installation.publish(NAME, &tree);
    installation.run(&["repo", "shell", NAME, "/part", "--tag", "v2", "--", "sh", "-c", "echo 2 > file"]);
    assert_eq!(revision(&installation), 3);

    let failed = installation.call(&["repo", "shell", NAME, "--", "sh", "-c", "rm -r part; exit 3"]);
    assert_eq!(failed.code, Some(1), "{}", failed.stderr);
    assert!(
        failed.stderr.contains("dropped") && failed.stderr.contains("exit status: 3"),
        "{}",
        failed.stderr
    );
    let missing = installation.call(&["repo", "shell", NAME, "--", "/no/such/program"]);
    assert_eq!(missing.code, Some(4), "{}", missing.stderr);
    assert_eq!(revision(&installation), 3);

    // One that is open already is continued, and stays open where the command fails.
    let view = installation.run(&["repo", "transaction", NAME]);
    fs::write(format!("{}/by hand", view.trim()), "").expect("because the view is writable");
    let failed = installation.call(&["repo", "shell", NAME, "--", "test", "-e", "no such file"]);
    assert!(failed.stderr.contains("stays open"), "{}", failed.stderr);
    // Without a terminal, a shell is a command.
    let mut shell =
        installation.shell(&format!("echo 'test -e \"by hand\" && rm part/file' | varve repo shell {NAME}"));
    shell.env("SHELL", "/bin/sh");
    let ended = installation.end(shell);
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    assert_eq!(revision(&installation), 4);
    let changed = installation.run(&["repo", "diff", NAME, "v2", "trunk"]);
    assert!(changed.contains("by hand") && changed.contains("/part/file"), "{changed}");
    assert!(mounts_below(&installation.path("home")).is_empty());
}

/// In a mount namespace of its own, where everybody may open the device, as on any desktop.
const WITHOUT_ROOT: &str = r#"
set -e
mknod "$SCRATCH/fuse" c 10 229
chmod 666 "$SCRATCH/fuse"
mount --bind "$SCRATCH/fuse" /dev/fuse
exec setpriv --reuid=65534 --regid=65534 --clear-groups --inh-caps=-all --bounding-set=-all sh -e -c '
    cd "$SCRATCH/own"
    varve=$SCRATCH/varve
    mkdir -p tree/a/b
    echo one > tree/a/one
    ln tree/a/one tree/a/uno
    chmod 555 tree/a/b
    $varve repo create "$NAME"
    $varve repo publish "$NAME" tree
    $varve repo shell "$NAME" -- sh -e -c "
        test \$(id -u) = 65534
        test \$(stat -c %u a/one) = 65534
        echo two > two
        mv a/one a/moved
        chmod 755 a/b
        echo three > a/b/three
        chmod 555 a/b
        rm a/uno
        ! $varve repo commit $NAME"
    ! $varve repo shell "$NAME" -- rm two nothing
    ! $varve repo transaction "$NAME"
    mkdir mnt
    $varve repo check --data "$NAME"
    $varve repo diff "$NAME" trunk-previous trunk
    ! grep -q "$SCRATCH/own" /proc/self/mounts
    test -z "$(ls home/transactions)"
'
"#;

#[test]
fn no_privileges_are_needed() {
    let missing = |program: &&str| !std::path::Path::new("/usr/bin").join(program).exists();
    if let Some(program) = ["setpriv", "unshare"].iter().find(|program| missing(program)) {
        println!("skipped: {program} is not installed");
        return;
    }
    if fuse_is_missing() || !rustix::process::geteuid().is_root() {
        println!("skipped: only root can become another user");
        return;
    }
    let installation = Installation::new();
    let program = installation.command::<&OsStr>(&[]).get_program().to_owned();
    fs::copy(program, installation.path("varve")).expect("because there is room");
    let own = installation.directory("own");
    std::os::unix::fs::chown(&own, Some(65534), Some(65534)).expect("because this is root");
    fs::set_permissions(installation.path(""), fs::Permissions::from_mode(0o755))
        .expect("because the directory is ours");
    let output = Command::new("unshare")
        .args(["--mount", "sh", "-c", WITHOUT_ROOT])
        .env("SCRATCH", installation.path(""))
        .env("NAME", NAME)
        .env("VARVE_HOME", own.join("home"))
        .stdin(Stdio::null())
        .output()
        .expect("because unshare exists");
    let (words, said) = (String::from_utf8_lossy(&output.stderr), String::from_utf8_lossy(&output.stdout));
    assert!(output.status.success(), "{words}");
    assert!(words.contains("in use by another process"), "{words}");
    for changed in ["A /two", "A /a/moved", "R /a/one", "R /a/uno", "A /a/b/three"] {
        assert!(said.contains(changed), "{changed} in {said}");
    }
}

fn revision(installation: &Installation) -> u64 {
    let report = installation.run(&["repo", "info", NAME, "--json"]);
    let report: serde_json::Value = serde_json::from_str(&report).expect("because --json prints JSON");
    report["revision"].as_u64().expect("because it has a revision")
}
