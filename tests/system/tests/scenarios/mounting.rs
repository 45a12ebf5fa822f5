//! Ways to mount: in the foreground, without root; and what a shell sees whose working directory is in an old revision.

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};
use varve_system::{Installation, fuse_is_missing};
use varve_testkit::{ProcessGuard, TreeBuilder, mounts_below, wait_until};

const NAME: &str = "mounting.lab.example";
const LONG: Duration = Duration::from_secs(60);

#[test]
fn a_mount_in_the_foreground_stays_until_it_is_ended() {
    use std::os::unix::process::CommandExt as _;
    if fuse_is_missing() {
        return;
    }
    let installation = Installation::new();
    let tree = installation.path("tree");
    TreeBuilder::new(&tree).file("a", b"content").finish();
    installation.publish(NAME, &tree);
    let directory = installation.directory("mnt");
    for by_signal in [true, false] {
        let mut command = installation.command(&["mount", "--foreground", NAME]);
        // A group of its own, as a shell makes it: the terminal's Ctrl-C reaches all of its processes.
        command.arg(&directory).process_group(0).stdout(Stdio::null());
        let mut mount = ProcessGuard::start(&mut command).expect("because the program exists");
        wait_until("the mount", LONG, || directory.join("a").exists());
        if by_signal {
            let group = i32::try_from(mount.id()).ok().and_then(Pid::from_raw).expect("because it runs");
            kill_process_group(group, Signal::INT).expect("because it runs");
        } else {
            installation.unmount(&directory);
        }
        let status = mount.wait(LONG).expect("because it is our child").expect("because it is told to end");
        assert_eq!(status.code(), Some(0), "ended by a signal: {by_signal}");
        assert!(mounts_below(&directory).is_empty());
    }
}

/// In a mount namespace of its own, where everybody may open the device, as on any desktop.
const WITHOUT_ROOT: &str = r#"
set -e
mknod "$SCRATCH/fuse" c 10 229
chmod 666 "$SCRATCH/fuse"
mount --bind "$SCRATCH/fuse" /dev/fuse
exec setpriv --reuid=65534 --regid=65534 --clear-groups sh -e -c '
    "$SCRATCH/varve" mount "$NAME" "$SCRATCH/own/mnt" --server "$URL" --key "$SCRATCH/key.pub"
    cat "$SCRATCH/own/mnt/a"
    "$SCRATCH/varve" umount "$SCRATCH/own/mnt"
    ! grep -q "$SCRATCH/own/mnt" /proc/self/mounts
'
"#;

#[test]
fn a_user_without_rights_mounts_by_the_helper() {
    let here = |program: &str| {
        let found = Path::new("/usr/bin").join(program).exists();
        if !found {
            println!("skipped: {program} is not installed");
        }
        found
    };
    if fuse_is_missing() || !["fusermount3", "setpriv", "unshare"].into_iter().all(here) {
        return;
    }
    if !rustix::process::geteuid().is_root() {
        println!("skipped: only root can become another user");
        return;
    }
    let installation = Installation::new();
    let tree = installation.path("tree");
    TreeBuilder::new(&tree).file("a", b"content").finish();
    installation.publish(NAME, &tree);
    let server = installation.serve(None);
    // The program and the key may lie where that user has no access.
    let program = installation.command::<&str>(&[]).get_program().to_owned();
    fs::copy(program, installation.path("varve")).expect("because there is room");
    fs::copy(installation.public_key(NAME), installation.path("key.pub")).expect("because there is room");
    let own = installation.directory("own");
    installation.directory("own/mnt");
    for path in [&own, &own.join("mnt")] {
        std::os::unix::fs::chown(path, Some(65534), Some(65534)).expect("because this is root");
    }
    let open_to_all = fs::Permissions::from_mode(0o755);
    fs::set_permissions(installation.path(""), open_to_all).expect("because the directory is ours");
    let output = Command::new("unshare")
        .args(["--mount", "sh", "-c", WITHOUT_ROOT])
        .env("SCRATCH", installation.path(""))
        .env("NAME", NAME)
        .env("URL", server.url(NAME))
        .env("VARVE_HOME", own.join("home"))
        .stdin(Stdio::null())
        .output()
        .expect("because unshare exists");
    let words = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{words}");
    assert!(String::from_utf8_lossy(&output.stdout).contains("content"), "{words}");
}

#[test]
fn with_claimed_ownership_every_file_belongs_to_who_mounts() {
    use std::os::unix::fs::MetadataExt as _;
    if fuse_is_missing() {
        return;
    }
    if !rustix::process::geteuid().is_root() {
        println!("skipped: only root can give files to another user");
        return;
    }
    let installation = Installation::new();
    let tree = installation.path("tree");
    TreeBuilder::new(&tree).file("directory/of-another", b"content").finish();
    std::os::unix::fs::chown(tree.join("directory/of-another"), Some(1234), Some(5678))
        .expect("because this is root");
    installation.publish(NAME, &tree);
    let server = installation.serve(None);
    let key = installation.public_key(NAME);
    let claim: &[&str] = &["--claim-ownership"];
    for (options, owner) in [(claim, (0, 0)), (&[], (1234, 5678))] {
        let mounted = installation.mount(NAME, &server.url(NAME), &key, "mnt", options);
        let seen = fs::metadata(mounted.join("directory/of-another")).expect("because it was published");
        assert_eq!((seen.uid(), seen.gid()), owner, "{options:?}");
        installation.unmount(&mounted);
    }
}

#[test]
fn an_old_working_directory_keeps_its_content_and_below_the_first_level_its_name() {
    if fuse_is_missing() {
        return;
    }
    let installation = Installation::new();
    let tree = installation.path("tree");
    TreeBuilder::new(&tree).file("a/b/content", b"old").finish();
    installation.publish(NAME, &tree);
    let server = installation.serve(None);
    let options = ["--refresh", "1"];
    let mounted =
        installation.mount(NAME, &server.url(NAME), &installation.public_key(NAME), "mnt", &options);
    let mut shell = Command::new("sh")
        .args(["-c", "echo inside; read line; cat content; echo; pwd -P"])
        .current_dir(mounted.join("a/b"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("because every system has a shell");
    let mut answers = BufReader::new(shell.stdout.take().expect("because it is piped")).lines();
    let mut answer = || answers.next().expect("because the shell answers").expect("because it is text");
    assert_eq!(answer(), "inside");
    TreeBuilder::new(&tree).file("a/b/content", b"new, and longer").finish();
    installation.run(&["repo", "publish", NAME, tree.to_str().expect("because scratch paths are text")]);
    wait_until("the new revision", LONG, || {
        fs::read(mounted.join("a/b/content")).is_ok_and(|content| content == b"new, and longer")
    });
    writeln!(shell.stdin.take().expect("because it is piped"), "go on").expect("because the shell reads");
    assert_eq!(answer(), "old");
    assert_eq!(Path::new(&answer()), mounted.join("a/b"));
    shell.wait().expect("because it is our child");
    installation.unmount(&mounted);
}
