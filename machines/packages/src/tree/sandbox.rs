//! Where the scripts of packages run: as root of namespaces of their own, without a network, without this machine's
//! processes, name and mounts, and without capabilities that reach beyond. For those who are not root, a user namespace with
//! their subordinate ids makes them root.

use std::path::Path;
use std::process::Command;

/// What no script of a package does to the tree that it belongs to, but could do to this machine.
const DROPPED: &str = "-mknod,-sys_module,-sys_rawio,-sys_boot,-sys_time,-sys_pacct,-sys_ptrace,-syslog,-wake_alarm,\
    -block_suspend,-audit_control,-mac_admin,-mac_override,-bpf,-perfmon";

/// How a sandbox comes about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Privilege {
    /// By a process of root.
    Root,
    /// By anybody with subordinate ids in `/etc/subuid` and `/etc/subgid`.
    User,
}

impl Privilege {
    const fn flags(self) -> &'static [&'static str] {
        match self {
            Self::Root => &[],
            Self::User => &["--user", "--map-root-user", "--map-auto"],
        }
    }
}

/// The command that runs `program` (arguments are still to be added) in a sandbox.
#[must_use]
pub fn sandbox(privilege: Privilege, program: &Path) -> Command {
    let mut command = Command::new("unshare");
    command
        .args(privilege.flags())
        .args(["--mount", "--net", "--ipc", "--uts", "--cgroup", "--pid", "--fork", "--kill-child"])
        .args(["--mount-proc", "--", "setpriv"])
        .arg(format!("--bounding-set={DROPPED}"))
        .arg("--")
        .arg(program);
    command
}

/// The command that runs `program` with the ids that a tree built by this user has: root sees them without it.
#[must_use]
pub fn with_ids_of_trees(privilege: Privilege, program: &Path) -> Command {
    match privilege {
        Privilege::Root => Command::new(program),
        Privilege::User => {
            let mut command = Command::new("unshare");
            command.args(privilege.flags()).arg("--").arg(program);
            command
        }
    }
}
