//! docs/tutorials/analysis.md, typed as it stands there; then the same by a user without rights.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::process::Command;

use varve_system::{Equipment, Outcome, fuse_is_missing, programs_are_missing, shell_blocks};

use crate::packages_are_missing;
use crate::typist::Typist;

const PAGE: &str = include_str!("../../../../docs/tutorials/analysis.md");
/// What is needed of Debian, by a file of it.
const TOOLS: [(&str, &str); 1] = [("/usr/bin/mmdebstrap", "mmdebstrap")];
/// The number of a user without any rights.
const NOBODY: u32 = 65534;

#[test]
fn the_same_environment_gives_the_same_bytes_everywhere() {
    if packages_are_missing(&TOOLS) || fuse_is_missing() || programs_are_missing(&["setpriv", "unshare"]) {
        return;
    }
    let Some(equipment) = Equipment::find() else { return };
    let pip = Command::new("python3").args(["-m", "pip", "--version"]).output();
    if !pip.is_ok_and(|pip| pip.status.success()) {
        assert!(std::env::var_os("CI").is_none(), "CI must have pip");
        println!("skipped: pip is not installed");
        return;
    }
    let mut typist = Typist::new("127.0.0.1");
    for block in shell_blocks(PAGE).expect("because its fences are marked") {
        if block.contains("varve env import") {
            typist.stop_server();
        }
        typist.enter(block);
    }
    let said = typist.said.join("");
    for expected in
        ["the two versions make different events", "hello from g++ 12", "there is no make", "analysis-2026.2"]
    {
        assert!(said.contains(expected), "'{expected}' is not in what was said:\n{said}");
    }
    let events = fs::read_to_string(typist.installation().path("work/first.txt")).expect("it was made");
    assert!(events.lines().count() > 1000 && events.starts_with("0 "), "{events}");
    by_a_user_without_rights(&typist, &equipment);
}

/// Takes the archive in and runs, with and without the device, and in a machine.
fn by_a_user_without_rights(typist: &Typist, equipment: &Equipment) {
    if !rustix::process::geteuid().is_root() {
        println!("skipped: only root can become another user");
        return;
    }
    let installation = typist.installation();
    let (own, device) = (installation.directory("own"), installation.path("fuse"));
    let program = installation.path("varve");
    fs::copy(installation.command::<&str>(&[]).get_program(), &program).expect("because there is room");
    fs::set_permissions(installation.path(""), fs::Permissions::from_mode(0o755))
        .expect("because it is ours");
    for name in ["pythia-8.312.0.tar.zst", "events.py", "first.txt"] {
        fs::copy(installation.path("work").join(name), own.join(name)).expect("because the page made it");
        chown(own.join(name), Some(NOBODY), Some(NOBODY)).expect("because this is root");
    }
    chown(&own, Some(NOBODY), Some(NOBODY)).expect("because this is root");
    let made = Command::new("mknod").arg(&device).args(["-m", "666", "c", "10", "229"]).status();
    assert!(made.is_ok_and(|status| status.success()), "a device can't be made");
    let script = "
        test $(id -u) = 65534
        $VARVE env import pythia-8.312.0.tar.zst
        $VARVE run --env pythia-8.312.0 -- python3 events.py > mounted.txt
        cmp first.txt mounted.txt
        $VARVE run --env pythia-8.312.0 --no-fuse -- python3 events.py > filled.txt
        cmp first.txt filled.txt
        $VARVE run --vm --kernel \"$KERNEL\" --guest \"$GUEST\" --env pythia-8.312.0 -- python3 events.py > machine.txt
        cmp first.txt machine.txt";
    let become_user = "mount --bind \"$DEVICE\" /dev/fuse; exec setpriv --reuid=65534 --regid=65534 --clear-groups \
                       --inh-caps=-all --bounding-set=-all sh -euxc \"$1\"";
    let mut command = Command::new("unshare");
    command.args(["--mount", "sh", "-euc", become_user, "sh", script]).current_dir(&own);
    let [kernel, guest] = equipment.copy_to(&own);
    command.env("KERNEL", kernel).env("GUEST", guest);
    command.env("VARVE", &program).env("VARVE_HOME", own.join("home")).env("DEVICE", &device);
    let Outcome { code, stdout, stderr } = installation.end(command);
    assert_eq!(code, Some(0), "{stdout}{stderr}");
}
