//! The kernel's own file systems: what has to be mounted before anything can be asked of the kernel.

use std::ffi::CStr;
use std::fs;
use std::path::Path;

use rustix::io::Errno;
use rustix::mount::{MountFlags, mount};

use crate::error::GuestError;

struct KernelMount {
    at: &'static str,
    kind: &'static str,
    flags: MountFlags,
    options: &'static CStr,
}

const MOUNTS: [KernelMount; 4] = [
    KernelMount {
        at: "/proc",
        kind: "proc",
        flags: MountFlags::NOSUID.union(MountFlags::NODEV).union(MountFlags::NOEXEC),
        options: c"",
    },
    KernelMount {
        at: "/sys",
        kind: "sysfs",
        flags: MountFlags::NOSUID.union(MountFlags::NODEV).union(MountFlags::NOEXEC),
        options: c"",
    },
    KernelMount { at: "/dev", kind: "devtmpfs", flags: MountFlags::NOSUID, options: c"mode=0755" },
    // Programs are run from there: the guest itself.
    KernelMount {
        at: "/run",
        kind: "tmpfs",
        flags: MountFlags::NOSUID.union(MountFlags::NODEV),
        options: c"mode=0755,size=25%",
    },
];

/// The directories that are handed on to the operating system as they are.
pub(crate) fn directories() -> impl Iterator<Item = &'static str> {
    MOUNTS.iter().map(|mount| mount.at)
}

/// Mounts them; those that are mounted already are left alone.
///
/// # Errors
/// [`GuestError::Io`].
pub(crate) fn mount_all() -> Result<(), GuestError> {
    for KernelMount { at, kind, flags, options } in &MOUNTS {
        let path = Path::new(at);
        fs::create_dir_all(path).map_err(GuestError::io("create", path))?;
        match mount(*kind, path, *kind, *flags, *options) {
            Ok(()) | Err(Errno::BUSY) => {}
            Err(errno) => return Err(GuestError::io("mount", path)(errno.into())),
        }
    }
    Ok(())
}
