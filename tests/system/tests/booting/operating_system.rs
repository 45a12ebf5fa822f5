//! The smallest operating system: a static shell as init, which shows what it sees, does what a test wants, and goes the way
//! that systemd goes to shut down.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use varve_system::Installation;

/// The repository of these operating systems.
pub(crate) const NAME: &str = "os.lab.example";
/// Debian: busybox-static.
const SHELL: &str = "/bin/busybox";

/// The init: what it runs between is the test's.
const INIT: &str = r#"#!/bin/busybox sh
export PATH=/bin:/sbin
busybox mkdir -p /bin /sbin
busybox --install -s /bin
echo "OS: $(cat /etc/release)"
BETWEEN
echo "OS: end"
mount --bind /run/initramfs /run/initramfs
cd /run/initramfs
mkdir -p oldroot proc dev sys run
pivot_root . oldroot
exec /oldroot/bin/busybox chroot . /shutdown poweroff </oldroot/dev/console >/oldroot/dev/console 2>&1
"#;

/// Makes and publishes an operating system whose init does this. `None`, and it says so, if there is no static shell.
pub(crate) fn publish(installation: &Installation, script: &str) -> Option<()> {
    if !Path::new(SHELL).exists() {
        assert!(std::env::var_os("CI").is_none(), "there is no {SHELL}, and CI must have it");
        println!("skipped: there is no {SHELL} (Debian: busybox-static)");
        return None;
    }
    let tree = installation.directory("os");
    for directory in ["bin", "sbin", "etc", "tmp", "root"] {
        fs::create_dir_all(tree.join(directory)).unwrap();
    }
    fs::copy(SHELL, tree.join("bin/busybox")).unwrap();
    fs::write(tree.join("etc/release"), "tiny 1\n").unwrap();
    fs::write(tree.join("etc/passwd"), "root:x:0:0:root:/root:/bin/sh\n").unwrap();
    fs::write(tree.join("etc/group"), "root:x:0:\n").unwrap();
    fs::write(tree.join("etc/shadow"), "root:*:20000:0:99999:7:::\n").unwrap();
    fs::write(tree.join("sbin/init"), INIT.replace("BETWEEN", script)).unwrap();
    for program in ["bin/busybox", "sbin/init"] {
        fs::set_permissions(tree.join(program), fs::Permissions::from_mode(0o755)).unwrap();
    }
    installation.publish(NAME, &tree);
    Some(())
}

/// The image's settings for it, served at this port of the machine's host.
pub(crate) fn boot_settings(installation: &Installation, port: u16) -> String {
    let key = fs::read_to_string(installation.public_key(NAME)).unwrap();
    format!(
        "repository = '{NAME}'\nservers = ['http://10.0.2.2:{port}/cvmfs/@fqrn@']\nkeys = ['''\n{key}''']\n"
    )
}
