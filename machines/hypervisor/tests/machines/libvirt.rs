//! The suite on libvirt, whose daemon runs here for one test, with its files in a mount name space of its own: nothing of the
//! host's libvirt is touched.

use std::fs;
use std::process::{Command, Stdio};
use std::time::Duration;

use varve_hypervisor::{BackEnd, Libvirt, Qemu};
use varve_testkit::{ProcessGuard, Scratch, wait_until};

use super::suite::{self, Suite};

/// Empty directories in place of the host's, and the user that the package's configuration would make.
const PREPARE: &str = r#"set -e
for directory in /run/libvirt /var/lib/libvirt /etc/libvirt /var/log/libvirt /var/cache/libvirt; do
    mkdir -p "$directory"
    mount -t tmpfs tmpfs "$directory"
done
(cat /etc/passwd; echo libvirt-qemu:x:64055:64055::/nonexistent:/usr/sbin/nologin) > "$1/passwd"
(cat /etc/group; echo libvirt-qemu:x:64055:; echo kvm:x:64056:) > "$1/group"
mount --bind "$1/passwd" /etc/passwd
mount --bind "$1/group" /etc/group
cp "$1/qemu.conf" /etc/libvirt/
exec libvirtd --config "$1/libvirtd.conf" --pid-file "$1/pid"
"#;

/// Everything as root, in files, without what a small host doesn't have.
const QEMU: &str = r#"security_driver = "none"
user = "root"
group = "root"
dynamic_ownership = 0
remember_owner = 0
cgroup_controllers = []
namespaces = []
stdio_handler = "file"
"#;

/// The daemon of one test. The suite comes first, so that its machines go before the daemon does.
struct Daemon {
    suite: Suite,
    _daemon: ProcessGuard,
    _scratch: Scratch,
}

fn libvirt() -> Option<Daemon> {
    let there = |program: &str| {
        let version =
            Command::new(program).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
        version.is_ok_and(|status| status.success())
    };
    if !(there("libvirtd") && there("virsh") && Qemu::is_installed()) {
        assert!(std::env::var_os("CI").is_none(), "libvirt must be there in CI");
        println!(
            "skipped: libvirt is not installed (Debian: libvirt-clients libvirt-daemon libvirt-daemon-driver-qemu)"
        );
        return None;
    }
    if !rustix::process::geteuid().is_root() {
        println!("skipped: only root gives a daemon a mount name space of its own");
        return None;
    }
    let scratch = Scratch::new();
    let path = scratch.path().display();
    fs::write(scratch.join("qemu.conf"), QEMU).expect("because it is writable");
    let configuration = format!(
        "unix_sock_dir = \"{path}\"\nauth_unix_rw = \"none\"\nlog_outputs = \"3:file:{path}/libvirtd.log\"\n"
    );
    fs::write(scratch.join("libvirtd.conf"), configuration).expect("because it is writable");
    let mut command = Command::new("unshare");
    command.args(["--mount", "sh", "-c", PREPARE, "sh"]).arg(scratch.path()).stdin(Stdio::null());
    command.stdout(Stdio::null()).stderr(Stdio::null());
    let daemon = ProcessGuard::start(&mut command).expect("because unshare is there");
    let uri = format!("qemu+unix:///system?socket={path}/libvirt-sock");
    wait_until("libvirtd", Duration::from_secs(120), || {
        let mut version = Command::new("virsh");
        version.args(["--connect", &uri, "version"]).stdout(Stdio::null()).stderr(Stdio::null());
        version.status().is_ok_and(|status| status.success())
    });
    let back_end = |cache: &std::path::Path| -> Box<dyn varve_hypervisor::Hypervisor> {
        Box::new(Libvirt::new(Some(uri), cache.to_owned()))
    };
    let suite = Suite::new(back_end, BackEnd::Libvirt)?;
    Some(Daemon { suite, _daemon: daemon, _scratch: scratch })
}

#[test]
fn lives_and_dies() {
    if let Some(daemon) = libvirt() {
        suite::lives_and_dies(&daemon.suite);
    }
}

#[test]
fn keeps_its_memory() {
    if let Some(daemon) = libvirt() {
        suite::keeps_its_memory(&daemon.suite);
    }
}
