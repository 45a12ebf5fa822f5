//! What the making of a tree leaves in it that is not the system's: secrets that all machines would have in common, names
//! of this machine, logs, caches, times. With them gone, the same lock gives the same tree.

use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, Timespec, Timestamps};

use super::rooted::Root;

/// Directories of which nothing is kept.
const EMPTIED: &[&str] = &[
    "dev",
    "run",
    "tmp",
    "var/tmp",
    "var/cache/apt",
    "var/cache/dnf",
    "var/cache/fontconfig",
    "var/cache/man",
    "var/cache/yum",
    "var/lib/apt/lists",
    "var/lib/apt/mirrors",
];

/// Directories of which only directories are kept: services expect theirs, with its owner.
const WITHOUT_FILES: &[&str] = &["var/log", "var/lib/systemd/pstore", "var/spool/squid"];

/// Files that are removed. A `*` stands for any characters within the last name.
const REMOVED: &[&str] = &[
    // Keys and identities, which are each machine's own.
    "etc/ssh/ssh_host_*",
    "etc/ssl/private/ssl-cert-snakeoil.key",
    "etc/ssl/certs/ssl-cert-snakeoil.pem",
    "etc/munge/munge.key",
    "etc/xrdp/rsakeys.ini",
    "etc/iscsi/initiatorname.iscsi",
    "etc/nvme/hostid",
    "etc/nvme/hostnqn",
    "var/lib/dbus/machine-id",
    "var/lib/systemd/random-seed",
    "var/lib/systemd/credential.secret",
    "var/lib/NetworkManager/secret_key",
    // The name and the network of the machine that made the tree.
    "etc/hostname",
    "etc/mailname",
    "etc/.resolv.conf.systemd-resolved.bak",
    // Backups, locks and caches.
    "etc/passwd-",
    "etc/group-",
    "etc/shadow-",
    "etc/gshadow-",
    "etc/subuid-",
    "etc/subgid-",
    "etc/.pwd.lock",
    "var/cache/debconf/*-old",
    "var/cache/ldconfig/aux-cache",
    "var/lib/dpkg/*-old",
    "var/lib/dpkg/lock",
    "var/lib/dpkg/lock-frontend",
    "var/lib/dpkg/triggers/Lock",
    "var/lib/dpkg/available",
    "var/lib/rpm/.rpm.lock",
    "usr/lib/sysimage/rpm/.rpm.lock",
    "root/.bash_history",
    "root/.wget-hsts",
];

/// Removes the traces. What is missing is no error.
pub(super) fn remove(root: &Root) -> io::Result<()> {
    for directory in EMPTIED {
        root.empty(directory)?;
    }
    for directory in WITHOUT_FILES {
        root.empty_files(directory)?;
    }
    for pattern in REMOVED {
        let Some((before, after)) = pattern.split_once('*') else {
            root.remove(pattern)?;
            continue;
        };
        let (directory, prefix) = before.rsplit_once('/').unwrap_or(("", before));
        for name in root.names(directory)? {
            let Some(name) = name.to_str() else { continue };
            if name.len() >= prefix.len() + after.len() && name.starts_with(prefix) && name.ends_with(after) {
                root.remove(&format!("{directory}/{name}"))?;
            }
        }
    }
    Ok(())
}

/// Sets every time behind `latest` (seconds since 1970) back to it: they are the times of the making.
pub(super) fn clamp_times(top: &Path, latest: i64) -> io::Result<()> {
    let mut waiting: Vec<PathBuf> = vec![top.to_owned()];
    while let Some(path) = waiting.pop() {
        let metadata = path.symlink_metadata()?;
        if metadata.is_dir() {
            for entry in std::fs::read_dir(&path)? {
                waiting.push(entry?.path());
            }
        }
        if metadata.mtime() > latest || (metadata.mtime() == latest && metadata.mtime_nsec() > 0) {
            let time = Timespec { tv_sec: latest, tv_nsec: 0 };
            let times = Timestamps { last_access: time, last_modification: time };
            rustix::fs::utimensat(CWD, &path, &times, AtFlags::SYMLINK_NOFOLLOW)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn traces_go_and_the_system_stays() {
        let tree = tempfile::tempdir().expect("a directory");
        let root = Root::open(tree.path()).expect("opened");
        let gone = [
            "etc/ssh/ssh_host_rsa_key",
            "etc/ssh/ssh_host_rsa_key.pub",
            "etc/hostname",
            "etc/shadow-",
            "var/cache/debconf/templates.dat-old",
            "var/log/dpkg.log",
            "run/lock/x",
            "dev/null",
        ];
        let kept = ["etc/ssh/sshd_config", "etc/shadow", "var/cache/debconf/templates.dat", "usr/bin/dev"];
        for path in gone.iter().chain(&kept) {
            root.write(path, b"x", 0o644).expect("written");
        }
        remove(&root).expect("removed");
        for path in gone {
            assert!(!root.has(path), "{path}");
        }
        for path in kept {
            assert!(root.has(path), "{path}");
        }
        assert!(root.has("run") && root.has("dev") && !root.has("run/lock"));
        remove(&root).expect("there is nothing left to remove");
    }

    #[test]
    fn later_times_are_set_back_and_earlier_ones_stay() {
        let tree = tempfile::tempdir().expect("a directory");
        let root = Root::open(tree.path()).expect("opened");
        root.write("a/new", b"", 0o644).expect("written");
        root.link("a/link", "nowhere").expect("linked");
        let old = std::fs::File::create(tree.path().join("a/old")).expect("created");
        let long_ago = std::time::SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(1000);
        old.set_modified(long_ago).expect("set");
        clamp_times(tree.path(), 5000).expect("set back");
        let time = |path: &str| tree.path().join(path).symlink_metadata().expect("there").mtime();
        assert_eq!(["", "a", "a/new", "a/link", "a/old"].map(time), [5000, 5000, 5000, 5000, 1000]);
    }
}
