//! User namespaces and the numbers of users in them.
//!
//! ```text
//! the caller's ── root here, which may mount (not for root, who may anyway) ── the command's: the user again, without privileges
//! ```

use std::fs;
use std::io;

use nix::sched::{CloneFlags, unshare};
use rustix::process::Pid;
use rustix::thread::CapabilitySet;

use crate::error::SandboxError;
use crate::mounts;
use crate::sandbox::Identity;
use crate::support::Obstacle;

/// Whether this process may mount without a user namespace.
pub(crate) fn may_mount() -> bool {
    rustix::thread::capabilities(None).is_ok_and(|sets| sets.effective.contains(CapabilitySet::SYS_ADMIN))
}

/// Gives this process, which has a single thread, a mount namespace of its own, and makes it root of a user namespace of its
/// own where it needs to be for that. Returns whether it does.
pub(crate) fn make_own() -> Result<bool, SandboxError> {
    let refused =
        |source: io::Error| SandboxError::Namespaces { obstacle: Obstacle::to_namespaces(), source };
    let user = !may_mount();
    if user {
        let (user, group) = (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
        unshare(CloneFlags::CLONE_NEWUSER | CloneFlags::CLONE_NEWNS)
            .map_err(|errno| refused(errno.into()))?;
        let own = "/proc/self";
        write_maps(own, &format!("0 {user} 1"), &format!("0 {group} 1"), true).map_err(refused)?;
    } else {
        unshare(CloneFlags::CLONE_NEWNS).map_err(|errno| refused(errno.into()))?;
    }
    mounts::follow_only().map_err(refused)?;
    Ok(user)
}

/// The numbers that a command's user namespace has, seen from the namespace above it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Numbers {
    users: String,
    groups: String,
}

impl Numbers {
    /// Of a user who is root of the namespace above: one number, its own or 0. `own` as the host has them.
    pub(crate) fn of_user(identity: Identity, own: (u32, u32)) -> Self {
        let (user, group) = match identity {
            Identity::Own => own,
            Identity::Root => (0, 0),
        };
        Self { users: format!("{user} 0 1"), groups: format!("{group} 0 1") }
    }

    /// Of somebody who may mount: all that the present namespace has, unchanged.
    pub(crate) fn unchanged() -> io::Result<Self> {
        let same = |table: &str| Some(fs::read_to_string(table).ok()?.lines().filter_map(extent).collect());
        let read = |table| same(table).ok_or_else(|| io::Error::from(io::ErrorKind::InvalidData));
        Ok(Self { users: read("/proc/self/uid_map")?, groups: read("/proc/self/gid_map")? })
    }

    /// Gives them to a process that is alone in a new user namespace below this process' own.
    pub(crate) fn give(&self, process: Pid) -> io::Result<()> {
        write_maps(&format!("/proc/{}", process.as_raw_nonzero()), &self.users, &self.groups, false)
    }
}

/// `inside outside length` becomes `inside inside length`.
fn extent(line: &str) -> Option<String> {
    let mut fields = line.split_whitespace();
    let (inside, length) = (fields.next()?, fields.nth(1)?);
    Some(format!("{inside} {inside} {length}\n"))
}

fn write_maps(process: &str, users: &str, groups: &str, unprivileged: bool) -> io::Result<()> {
    if unprivileged {
        // Without this, no group may be mapped.
        fs::write(format!("{process}/setgroups"), "deny")?;
    }
    fs::write(format!("{process}/uid_map"), users)?;
    fs::write(format!("{process}/gid_map"), groups)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_stay_what_they_are() {
        assert_eq!(extent("         0          0 4294967295").as_deref(), Some("0 0 4294967295\n"));
        assert_eq!(extent("     1000     100000      65536").as_deref(), Some("1000 1000 65536\n"));
        assert_eq!(extent("1000 5"), None);
        let own = Numbers::of_user(Identity::Own, (1000, 100));
        assert_eq!((own.users.as_str(), own.groups.as_str()), ("1000 0 1", "100 0 1"));
    }
}
