//! What of this host stands in the way of a sandbox, and what can be done about it.

use std::fs;
use std::path::Path;

/// What stands in the way.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum Obstacle {
    /// `kernel.unprivileged_userns_clone` is 0.
    UsersHaveNoNamespaces,
    /// `user.max_user_namespaces` is 0.
    NoUserNamespaces,
    /// `kernel.apparmor_restrict_unprivileged_userns` is 1.
    AppArmor,
    /// A filter of system calls is on this process, as in a container.
    Container,
    /// Parts of `/proc` are hidden, so that no other may be mounted.
    MaskedProc,
    /// `/dev/fuse` isn't there, or may not be opened.
    NoFuse,
    /// The kernel is older than the calls that this needs.
    OldKernel,
}

impl Obstacle {
    /// Looks for what may have refused a namespace.
    pub(crate) fn to_namespaces() -> Option<Self> {
        let setting = |path: &str| fs::read_to_string(path).ok().map(|text| text.trim().to_owned());
        let is = |path: &str, value: &str| setting(path).as_deref() == Some(value);
        if is("/proc/sys/kernel/unprivileged_userns_clone", "0") {
            return Some(Self::UsersHaveNoNamespaces);
        }
        if is("/proc/sys/user/max_user_namespaces", "0") {
            return Some(Self::NoUserNamespaces);
        }
        if is("/proc/sys/kernel/apparmor_restrict_unprivileged_userns", "1") {
            return Some(Self::AppArmor);
        }
        let filtered = fs::read_to_string("/proc/self/status")
            .is_ok_and(|status| status.lines().any(|line| line.trim_end() == "Seccomp:\t2"));
        let in_container = ["/.dockerenv", "/run/.containerenv"].iter().any(|mark| Path::new(mark).exists());
        (filtered || in_container).then_some(Self::Container)
    }

    /// What to do about it.
    pub fn hint(&self) -> String {
        match self {
            Self::UsersHaveNoNamespaces => {
                "this host lets only root make user namespaces: `sysctl kernel.unprivileged_userns_clone=1` lets everybody"
            }
            Self::NoUserNamespaces => {
                "user namespaces are switched off: `sysctl user.max_user_namespaces=10000` switches them on"
            }
            Self::AppArmor => {
                "AppArmor lets only chosen programs make user namespaces: \
                 `sysctl kernel.apparmor_restrict_unprivileged_userns=0` lets all, a profile with `userns,` for varve lets it alone"
            }
            Self::Container => {
                "this container may not make namespaces: start it with --privileged, or, with Docker, \
                 --security-opt seccomp=unconfined --security-opt apparmor=unconfined --security-opt systempaths=unconfined \
                 --device /dev/fuse"
            }
            Self::MaskedProc => {
                "parts of /proc are hidden here, so the kernel allows no /proc of its own: start the container with \
                 --security-opt systempaths=unconfined (Docker), --security-opt unmask=ALL (Podman), or --privileged"
            }
            Self::NoFuse => {
                "repositories are mounted through /dev/fuse, which every user must be able to open: `modprobe fuse` makes it, \
                 --device /dev/fuse shows it to a container"
            }
            Self::OldKernel => "Linux 5.12 or later is needed",
        }
        .to_owned()
    }
}
