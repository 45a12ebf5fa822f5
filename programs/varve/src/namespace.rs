//! Name spaces of the kernel, for mounting without privileges. To be entered while the process has a single thread.

use std::io;

use nix::sched::{CloneFlags, unshare};
use rustix::mount::{MountPropagationFlags, mount_change};
use rustix::thread::CapabilitySet;

/// Whether this process may mount for the whole machine, or at least for all of its container.
pub(crate) fn may_mount() -> bool {
    rustix::thread::capabilities(None).is_ok_and(|sets| sets.effective.contains(CapabilitySet::SYS_ADMIN))
}

/// Makes this process root in a user name space of its own, where it may mount without anybody seeing it.
pub(crate) fn become_root() -> io::Result<()> {
    let (user, group) = (rustix::process::getuid().as_raw(), rustix::process::getgid().as_raw());
    unshare(CloneFlags::CLONE_NEWUSER | CloneFlags::CLONE_NEWNS)?;
    map((0, user), (0, group))?;
    Ok(mount_change("/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC)?)
}

/// Gives the process, made root by [`become_root`], its user's and group's numbers again, and no privileges.
pub(crate) fn become_user(user: u32, group: u32) -> io::Result<()> {
    unshare(CloneFlags::CLONE_NEWUSER)?;
    map((user, 0), (group, 0))
}

/// Names one user and one group: inside, outside.
fn map(user: (u32, u32), group: (u32, u32)) -> io::Result<()> {
    // Without this, no group may be mapped by the unprivileged.
    std::fs::write("/proc/self/setgroups", "deny")?;
    std::fs::write("/proc/self/uid_map", format!("{} {} 1", user.0, user.1))?;
    std::fs::write("/proc/self/gid_map", format!("{} {} 1", group.0, group.1))
}
