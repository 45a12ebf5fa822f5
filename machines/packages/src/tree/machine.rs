//! The configuration that makes a tree a machine's, or a container's, whatever packages it has: the files that a machine
//! booted from a repository needs, and none that a user of it would have to undo.

use std::io;
use std::path::Path;

use super::error::TreeError;
use super::program;
use super::record::Role;
use super::rooted::Root;
use super::work::Work;

/// Directories that are there, empty, in every tree.
const DIRECTORIES: &[&str] =
    &["cvmfs", "dev", "proc", "run", "sys", "tmp", "var/tmp", "mnt", "srv", "etc/varve"];

const HOSTS: &str = "127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n";

/// A file of a machine that has the program that it is for.
struct Provision {
    program: &'static str,
    path: &'static str,
    text: &'static str,
}

const PROVISIONS: &[Provision] = &[
    Provision {
        program: "usr/lib/systemd/systemd-networkd",
        path: "usr/lib/systemd/network/80-varve.network",
        text: include_str!("machine/80-varve.network"),
    },
    Provision {
        program: "usr/lib/systemd/systemd-networkd",
        path: "usr/lib/systemd/network/80-varve.link",
        text: include_str!("machine/80-varve.link"),
    },
    Provision {
        program: "usr/sbin/sshd",
        path: "usr/lib/systemd/system/varve-host-keys.service",
        text: include_str!("machine/varve-host-keys.service"),
    },
    Provision {
        program: "usr/bin/xrdp-keygen",
        path: "usr/lib/systemd/system/varve-xrdp-keys.service",
        text: include_str!("machine/varve-xrdp-keys.service"),
    },
    Provision {
        program: "usr/sbin/munged",
        path: "usr/lib/systemd/system/munge.service.d/varve.conf",
        text: include_str!("machine/munge.conf"),
    },
];

/// Units that a machine runs where it has them.
const ENABLED: &[&str] = &[
    "systemd-networkd.service",
    "systemd-resolved.service",
    "systemd-timesyncd.service",
    "ssh.service",
    "sshd.service",
    "varve-host-keys.service",
    "varve-xrdp-keys.service",
];

/// Units that would change a system whose version is pinned, or look for disks that it does not have.
const DISABLED: &[&str] = &[
    "apt-daily.timer",
    "apt-daily-upgrade.timer",
    "dnf-makecache.timer",
    "dpkg-db-backup.timer",
    "e2scrub_all.timer",
    "e2scrub_reap.service",
    "fstrim.timer",
    "man-db.timer",
];

/// Configures a tree.
pub(super) fn configure(root: &Root, role: Role, work: &Work, epoch: i64) -> Result<(), TreeError> {
    files(root, role).map_err(TreeError::io("configure", root.path()))?;
    if role == Role::Container || !root.has("usr/bin/systemctl") {
        return Ok(());
    }
    let has = |unit: &&&str| root.has(&format!("usr/lib/systemd/system/{unit}"));
    // Where another program has the network, it keeps it.
    let has_other_network = has(&&"NetworkManager.service");
    let enabled: Vec<_> = ENABLED
        .iter()
        .filter(has)
        .filter(|unit| !(has_other_network && **unit == "systemd-networkd.service"))
        .collect();
    let disabled: Vec<_> = DISABLED.iter().filter(has).collect();
    for (verb, units) in [("enable", enabled), ("disable", disabled)] {
        if !units.is_empty() {
            systemctl(root.path(), verb, &units, work, epoch)?;
        }
    }
    Ok(())
}

fn files(root: &Root, role: Role) -> io::Result<()> {
    for directory in DIRECTORIES {
        root.make_directory(directory)?;
    }
    root.write("etc/fstab", b"", 0o644)?;
    root.write("etc/hosts", HOSTS.as_bytes(), 0o644)?;
    if root.has("usr/share/zoneinfo/Etc/UTC") && !root.has("etc/localtime") {
        root.link("etc/localtime", "/usr/share/zoneinfo/Etc/UTC")?;
    }
    if role == Role::Container {
        // Empty, for what runs it to put its own in place.
        return root.write("etc/resolv.conf", b"", 0o644);
    }
    // Empty rather than missing: an own one is made by every boot, and nobody is asked anything.
    root.write("etc/machine-id", b"", 0o444)?;
    if !root.has("etc/locale.conf") && !root.has("etc/default/locale") {
        root.write("etc/default/locale", b"LANG=C.UTF-8\n", 0o644)?;
        root.write("etc/locale.conf", b"LANG=C.UTF-8\n", 0o644)?;
    }
    for provision in PROVISIONS.iter().filter(|provision| root.has(provision.program)) {
        root.write(provision.path, provision.text.as_bytes(), 0o644)?;
    }
    if root.has("usr/lib/systemd/systemd-resolved") {
        root.link("etc/resolv.conf", "../run/systemd/resolve/stub-resolv.conf")?;
    }
    if root.has("usr/lib/systemd/system/multi-user.target") {
        let graphical = root.has("etc/systemd/system/display-manager.service");
        let target = if graphical { "graphical.target" } else { "multi-user.target" };
        root.link("etc/systemd/system/default.target", &format!("/usr/lib/systemd/system/{target}"))?;
    }
    Ok(())
}

/// The tree's own systemctl knows what its units ask for.
fn systemctl(root: &Path, verb: &str, units: &[&&str], work: &Work, epoch: i64) -> Result<(), TreeError> {
    let mut chroot = program::clean("chroot", epoch, Path::new("/tmp"));
    chroot.arg(root).args(["/usr/bin/systemctl", "--quiet", verb]).args(units).env("SYSTEMD_OFFLINE", "1");
    program::run(&mut chroot, "chroot", "enable services", &work.log())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_gets_its_files_where_its_programs_are() {
        let tree = tempfile::tempdir().expect("a directory");
        let root = Root::open(tree.path()).expect("opened");
        root.write("etc/fstab", b"# UNCONFIGURED", 0o644).expect("written");
        root.write("usr/lib/systemd/systemd-networkd", b"", 0o755).expect("written");
        files(&root, Role::Machine).expect("configured");
        let read = |path: &str| root.read(path, 1000).expect("read");
        assert_eq!(read("etc/fstab").as_deref(), Some(&b""[..]));
        assert_eq!(read("etc/machine-id").as_deref(), Some(&b""[..]));
        assert!(root.has("cvmfs") && root.has("usr/lib/systemd/network/80-varve.network"));
        assert!(!root.has("usr/lib/systemd/system/varve-host-keys.service"));
    }

    #[test]
    fn a_container_has_neither_network_nor_identity() {
        let tree = tempfile::tempdir().expect("a directory");
        let root = Root::open(tree.path()).expect("opened");
        root.write("usr/lib/systemd/systemd-networkd", b"", 0o755).expect("written");
        files(&root, Role::Container).expect("configured");
        assert!(root.has("cvmfs") && root.has("etc/resolv.conf"));
        assert!(!root.has("usr/lib/systemd/network/80-varve.network") && !root.has("etc/machine-id"));
    }
}
