//! A writable view of a read-only directory: the kernel's overlayfs, which keeps what is changed in a directory of its own.

use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use rustix::fd::OwnedFd;
use rustix::io::Errno;
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, MountFlags, MoveMountFlags, fsconfig_create,
    fsconfig_set_flag, fsconfig_set_string, fsmount, fsopen, mount_bind, mount_remount, move_mount,
};

use crate::error::MountError;
use crate::fuse::{attach, mount_table};

/// The parts of an overlay. All of them exist, on file systems with extended attributes.
#[derive(Clone, Debug)]
pub struct Overlay<'a> {
    /// What the mount table shows as the source.
    pub source: &'a str,
    /// What shows through. It must not change while it does.
    pub lower: &'a Path,
    /// Where changes are kept.
    pub upper: &'a Path,
    /// A directory of the kernel's own, on the file system of `upper`.
    pub work: &'a Path,
    /// Whether set-user-id and set-group-id bits count.
    pub set_id: bool,
    /// Whether `upper` is to make sense over another `lower` too: then files are copied whole, and directories can't be renamed
    /// at once.
    pub self_contained: bool,
    /// Whether it is mounted in a user namespace. Then directories can't be renamed at once, but `mv` copies them.
    pub in_user_namespace: bool,
}

impl Overlay<'_> {
    /// Mounts it.
    ///
    /// # Errors
    /// [`MountError::Io`].
    pub fn mount(&self, at: &Path) -> Result<(), MountError> {
        let features: &[&[&str]] = match (self.in_user_namespace, self.self_contained) {
            (true, _) => &[&["userxattr"]],
            (false, true) => &[&["redirect_dir=off", "metacopy=off"], &[]],
            (false, false) => &[&["redirect_dir=on", "metacopy=on"], &[]],
        };
        let mut last = Errno::INVAL;
        for wanted in features {
            match self.open(wanted) {
                Ok(opened) => {
                    let moved =
                        move_mount(&opened, "", rustix::fs::CWD, at, MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH);
                    return moved.map_err(|errno| MountError::io("mount on", at)(errno.into()));
                }
                Err(Errno::INVAL | Errno::OPNOTSUPP) => {}
                Err(errno) => {
                    last = errno;
                    break;
                }
            }
        }
        Err(MountError::io("mount an overlay on", at)(last.into()))
    }

    fn open(&self, features: &[&str]) -> Result<OwnedFd, Errno> {
        let context = fsopen("overlay", FsOpenFlags::FSOPEN_CLOEXEC)?;
        fsconfig_set_string(&context, "source", self.source)?;
        for (key, path) in [("lowerdir", self.lower), ("upperdir", self.upper), ("workdir", self.work)] {
            fsconfig_set_string(&context, key, escaped(path))?;
        }
        for feature in features {
            match feature.split_once('=') {
                None => fsconfig_set_flag(&context, *feature)?,
                Some((feature, value)) => fsconfig_set_string(&context, feature, value)?,
            }
        }
        fsconfig_create(&context)?;
        let mut attributes = MountAttrFlags::MOUNT_ATTR_NODEV;
        attributes.set(MountAttrFlags::MOUNT_ATTR_NOSUID, !self.set_id);
        fsmount(&context, FsMountFlags::FSMOUNT_CLOEXEC, attributes)
    }
}

/// Makes a mounted overlay read-only, or writable again.
///
/// # Errors
/// [`MountError::Busy`] if a file in it is open for writing; [`MountError::Io`].
pub fn set_writable(at: &Path, writable: bool) -> Result<(), MountError> {
    let mut flags = MountFlags::NODEV | MountFlags::NOSUID;
    flags.set(MountFlags::RDONLY, !writable);
    match mount_remount(at, flags, "") {
        Err(Errno::BUSY) => Err(MountError::Busy { directory: at.to_owned() }),
        result => result.map_err(|errno| MountError::io("change the mount", at)(errno.into())),
    }
}

/// Shows a directory at another place too.
///
/// # Errors
/// [`MountError::Io`].
pub fn bind(directory: &Path, at: &Path) -> Result<(), MountError> {
    mount_bind(directory, at).map_err(|errno| MountError::io("mount on", at)(errno.into()))
}

/// Takes away what is mounted on a directory, if something is; with `lazy` also if it is in use.
///
/// # Errors
/// [`MountError::Busy`] if it is in use; [`MountError::Io`].
pub fn take_away(at: &Path, lazy: bool) -> Result<(), MountError> {
    let directory = mount_table::absolute(at)?;
    match attach::unmount(&directory, false) {
        Err(MountError::Busy { .. }) if lazy => attach::unmount(&directory, true),
        Err(MountError::NotMounted { .. }) => Ok(()),
        result => result,
    }
}

/// The kind of file system that is mounted on a directory and its source, as the mount table has them.
///
/// # Errors
/// [`MountError::Io`] if the table can't be read.
pub fn mounted_on(directory: &Path) -> Result<Option<(String, String)>, MountError> {
    let directory = mount_table::absolute(directory)?;
    Ok(mount_table::mounted_on(&directory)?.map(|mounted| (mounted.kind, mounted.source)))
}

/// In lists of directories `:` separates them, and `\` escapes.
fn escaped(path: &Path) -> PathBuf {
    let mut bytes = Vec::new();
    for &byte in path.as_os_str().as_bytes() {
        if matches!(byte, b':' | b'\\') {
            bytes.push(b'\\');
        }
        bytes.push(byte);
    }
    PathBuf::from(std::ffi::OsStr::from_bytes(&bytes))
}
