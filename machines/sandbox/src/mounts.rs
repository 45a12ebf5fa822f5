//! Mounts that are made first and shown afterwards: what is shown is finished, and the place is a descriptor, not a path that
//! somebody could change meanwhile.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use nix::libc;
use rustix::fs::{CWD, Mode, OFlags, ResolveFlags};
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, MoveMountFlags, OpenTreeFlags, fsconfig_create,
    fsconfig_set_flag, fsconfig_set_string, fsmount, fsopen, move_mount, open_tree,
};

use crate::bare;

/// A mount that nobody sees yet.
#[derive(Debug)]
pub(crate) struct Detached(OwnedFd);

/// Attributes of mounts.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Attributes {
    pub(crate) read_only: bool,
    /// Set-user-id bits mean nothing.
    pub(crate) no_set_id: bool,
    /// Device files mean nothing.
    pub(crate) no_devices: bool,
    pub(crate) no_programs: bool,
}

impl Attributes {
    /// For file systems that hold neither devices nor programs for other users.
    pub(crate) const PLAIN: Self =
        Self { read_only: false, no_set_id: true, no_devices: true, no_programs: false };

    pub(crate) fn read_only(self) -> Self {
        Self { read_only: true, ..self }
    }

    fn flags(self) -> MountAttrFlags {
        let mut flags = MountAttrFlags::empty();
        flags.set(MountAttrFlags::MOUNT_ATTR_RDONLY, self.read_only);
        flags.set(MountAttrFlags::MOUNT_ATTR_NOSUID, self.no_set_id);
        flags.set(MountAttrFlags::MOUNT_ATTR_NODEV, self.no_devices);
        flags.set(MountAttrFlags::MOUNT_ATTR_NOEXEC, self.no_programs);
        flags
    }
}

impl Detached {
    /// A new file system of a kind.
    pub(crate) fn new(kind: &str, options: &[(&str, &str)], attributes: Attributes) -> io::Result<Self> {
        let context = fsopen(kind, FsOpenFlags::FSOPEN_CLOEXEC)?;
        for (name, value) in options {
            if value.is_empty() {
                fsconfig_set_flag(&context, *name)?;
            } else {
                fsconfig_set_string(&context, *name, *value)?;
            }
        }
        fsconfig_create(&context)?;
        Ok(Self(fsmount(&context, FsMountFlags::FSMOUNT_CLOEXEC, attributes.flags())?))
    }

    /// A directory or file of the present tree, with everything that is mounted below it.
    pub(crate) fn of(path: &Path, attributes: Attributes) -> io::Result<Self> {
        Self::copy(CWD, path, OpenTreeFlags::AT_RECURSIVE, attributes)
    }

    /// A directory or file alone, without what is mounted below it.
    pub(crate) fn only(path: &Path, attributes: Attributes) -> io::Result<Self> {
        Self::copy(CWD, path, OpenTreeFlags::empty(), attributes)
    }

    /// What a descriptor stands for, with everything that is mounted below it.
    pub(crate) fn of_descriptor(descriptor: impl AsFd, attributes: Attributes) -> io::Result<Self> {
        let flags = OpenTreeFlags::AT_EMPTY_PATH | OpenTreeFlags::AT_RECURSIVE;
        Self::copy(descriptor.as_fd(), Path::new(""), flags, attributes)
    }

    fn copy(
        from: BorrowedFd<'_>,
        path: &Path,
        flags: OpenTreeFlags,
        attributes: Attributes,
    ) -> io::Result<Self> {
        let flags = flags | OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
        let copy = open_tree(from, path, flags)?;
        let attributes = u64::from(attributes.flags().bits());
        if attributes != 0 {
            bare::set_mount_attributes(&copy, attributes)?;
        }
        Ok(Self(copy))
    }

    /// Shows it on a directory, or on a file if it is one.
    pub(crate) fn show_on(&self, place: impl AsFd) -> io::Result<()> {
        let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH | MoveMountFlags::MOVE_MOUNT_T_EMPTY_PATH;
        Ok(move_mount(&self.0, "", place, "", flags)?)
    }

    /// As [`Self::show_on`], at a path of the present tree.
    pub(crate) fn show_at(&self, path: &Path) -> io::Result<()> {
        self.show_on(opened(path)?)
    }
}

impl AsFd for Detached {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// A path, as a place.
pub(crate) fn opened(path: &Path) -> io::Result<OwnedFd> {
    Ok(rustix::fs::open(path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty())?)
}

/// A path as programs see it whose root directory is `root`: neither `..` nor links lead out of it.
pub(crate) fn opened_in(root: impl AsFd, path: &Path) -> io::Result<OwnedFd> {
    let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
    loop {
        match rustix::fs::openat2(&root, path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty(), resolve) {
            // A rename somewhere got in between.
            Err(rustix::io::Errno::AGAIN) => {}
            result => return Ok(result?),
        }
    }
}

/// Whether a place is a directory.
pub(crate) fn is_directory(place: impl AsFd) -> io::Result<bool> {
    Ok(rustix::fs::FileType::from_raw_mode(rustix::fs::fstat(place)?.st_mode).is_dir())
}

/// The present path of a place.
pub(crate) fn path_of(place: impl AsFd) -> io::Result<PathBuf> {
    use std::os::fd::AsRawFd as _;
    std::fs::read_link(format!("/proc/self/fd/{}", place.as_fd().as_raw_fd()))
}

/// Makes the present tree follow what is mounted and unmounted outside, and nobody outside see what is mounted here.
pub(crate) fn follow_only() -> io::Result<()> {
    use rustix::mount::{MountPropagationFlags, mount_change};
    Ok(mount_change("/", MountPropagationFlags::DOWNSTREAM | MountPropagationFlags::REC)?)
}

/// Makes `root`, a mount point, what this process and all of its namespace see as `/`. The old tree is let go.
pub(crate) fn change_root(root: &Path) -> io::Result<()> {
    rustix::process::chdir(root)?;
    // The old root comes to lie over the new one, where it is taken away.
    rustix::process::pivot_root(".", ".")?;
    rustix::mount::unmount(".", rustix::mount::UnmountFlags::DETACH)?;
    rustix::process::chdir("/")?;
    Ok(())
}

/// What `open_tree` says on kernels before 5.2, and `mount_setattr` before 5.12.
pub(crate) fn is_missing_in_kernel(error: &io::Error) -> bool {
    error.raw_os_error() == Some(libc::ENOSYS)
}
