//! Programs that try to get out of a sandbox, and trees that try to lead out of it.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;
use std::process::Command;

use varve_system::{Sandboxes, User, programs_are_missing};

/// Builds the program that tries everything into a directory.
fn build(directory: &Path) {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("programs/hostile.c");
    let built = Command::new("cc")
        .args(["-static", "-O1", "-w", "-o"])
        .arg(directory.join("hostile"))
        .arg(source)
        .status();
    assert!(built.is_ok_and(|status| status.success()), "the hostile program can't be built");
}

#[test]
fn no_known_way_leads_out() {
    if programs_are_missing(&["cc"]) {
        return;
    }
    for user in [User::Root, User::Nobody] {
        let Some(sandboxes) = Sandboxes::new(user) else { return };
        build(&sandboxes.work());
        let pattern = fs::read_to_string("/proc/sys/kernel/core_pattern").unwrap();
        for options in [&[][..], &["--as-root"], &["--no-network"]] {
            let tried = sandboxes.inside(options, "exec 7< /etc/passwd; exec ./hostile");
            let escaped: Vec<_> = tried.lines().filter(|line| line.starts_with("ESCAPED")).collect();
            // The shell's own descriptor is not one that was inherited.
            assert_eq!(escaped, ["ESCAPED descriptor 7"], "{user:?} {options:?}");
            assert!(tried.contains("seccomp 2, no new privileges 1\nend\n"), "{tried}");
        }
        // With the host's own files, the kernel is as closed.
        let beside = ["run", "-r", Sandboxes::SOFTWARE, "--", "./hostile"];
        let tried = sandboxes.succeed(&beside);
        assert!(!tried.contains("ESCAPED") && tried.ends_with("end\n"), "{user:?}: {tried}");
        assert_eq!(fs::read_to_string("/proc/sys/kernel/core_pattern").unwrap(), pattern);
        sandboxes.wait_for_nothing();
    }
}

#[test]
fn descriptors_of_the_caller_stay_outside() {
    for user in [User::Root, User::Nobody] {
        let Some(sandboxes) = Sandboxes::new(user) else { return };
        let script = format!(
            "exec 9< /etc 8> leaked; exec 0< /etc; \"$VARVE\" run --system {} -- sh -c 'ls /proc/self/fd; ls -l /proc/self/fd/0'",
            Sandboxes::SYSTEM
        );
        let outcome = sandboxes.call_script(&script);
        let (descriptors, input) = outcome.stdout.split_once("l").expect("because the second list follows");
        // The last one is the list's own.
        assert_eq!(descriptors, "0\n1\n2\n3\n", "{}", outcome.stderr);
        assert!(input.trim().ends_with("/dev/null"), "{input}");
    }
}

#[test]
fn set_user_id_programs_give_nothing() {
    if programs_are_missing(&["cc"]) {
        return;
    }
    for user in [User::Root, User::Nobody] {
        let Some(sandboxes) = Sandboxes::new(user) else { return };
        build(&sandboxes.work());
        // Of another user than the one who runs it, in any case.
        let program = sandboxes.work().join("hostile");
        std::os::unix::fs::chown(&program, Some(12), Some(12)).unwrap();
        let plain = sandboxes.inside(&[], "./hostile ids");
        fs::set_permissions(&program, fs::Permissions::from_mode(0o6755)).unwrap();
        let script = "cp hostile /tmp/id; chmod 6755 /tmp/id; ./hostile ids; /tmp/id ids; grep CapEff /proc/self/status";
        let seen = sandboxes.inside(&[], script);
        assert_eq!(seen, format!("{plain}{plain}CapEff:\t0000000000000000\n"), "{user:?}");
    }
}

#[test]
fn links_in_a_tree_lead_nowhere_outside() {
    const NAME: &str = "links.lab.example";
    for user in [User::Root, User::Nobody] {
        let Some(sandboxes) = Sandboxes::new(user) else { return };
        let tree = sandboxes.own().join("links");
        fs::create_dir_all(tree.join("bin")).unwrap();
        fs::create_dir_all(tree.join("real/etc")).unwrap();
        fs::copy("/bin/busybox", tree.join("bin/busybox")).unwrap();
        for tool in ["sh", "cat", "ls", "touch", "mkdir"] {
            symlink("busybox", tree.join("bin").join(tool)).unwrap();
        }
        let outside = sandboxes.own().join("outside");
        fs::create_dir(&outside).unwrap();
        let away = format!("../../../../../..{}", outside.display());
        for (name, target) in [
            ("etc", "real/etc"),
            ("mnt", &away),
            ("cvmfs", outside.to_str().unwrap()),
            ("home", "/proc/1/root"),
        ] {
            symlink(target, tree.join(name)).unwrap();
        }
        for name in ["passwd", "resolv.conf"] {
            symlink(outside.join(name), tree.join("real/etc").join(name)).unwrap();
        }
        sandboxes.publish(NAME, &tree);
        let bind = format!("{}:/mnt/shown", sandboxes.work().display());
        let arguments =
            ["run", "--system", NAME, "-r", Sandboxes::SOFTWARE, "--bind", &bind, "--", "sh", "-c"];
        let hello = format!("/cvmfs/{}/hello", Sandboxes::SOFTWARE);
        let script = format!(
            "cat {hello}; ls /mnt/; cat /etc/passwd > /dev/null; touch /mnt/x /home/x /cvmfs/x; true"
        );
        let outcome = sandboxes.call(&[&arguments[..], &[&script]].concat());
        // It is shown within the tree or refused, but nothing of it is made outside.
        if outcome.code == Some(0) {
            assert!(outcome.stdout.starts_with("hello\n"), "{}{}", outcome.stdout, outcome.stderr);
        } else {
            assert_eq!(outcome.code, Some(125), "{}", outcome.stderr);
        }
        assert_eq!(fs::read_dir(&outside).unwrap().count(), 0, "{user:?}: something was made outside");
        sandboxes.wait_for_nothing();
    }
}
