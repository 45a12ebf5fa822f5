//! Joins a connection to a directory and parts them again: mount(2) and umount(2), or `fusermount3` without the right to.

use std::ffi::CString;
use std::io::{IoSliceMut, Read as _};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd as _, OwnedFd};
use std::path::Path;
use std::process::{Command, Stdio};

use rustix::fs::{Mode, OFlags};
use rustix::io::{Errno, FdFlags};
use rustix::mount::{MountFlags, UnmountFlags};
use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags};
use serde::{Deserialize, Serialize};

use super::mount_table::{self, Mounted};
use crate::error::MountError;
use crate::order::{Access, MountOrder};

pub(crate) const DEVICE_FILE: &str = "/dev/fuse";
const HELPER: &str = "fusermount3";
/// What the kernel calls our file systems in the mount table.
const KIND: &str = "fuse.varve";
/// The largest request that Linux makes without being told otherwise.
pub(crate) const LARGEST_REQUEST: u32 = 1 << 20;
/// How far the kernel reads ahead. As much is read around each page of a program that is touched first, most of it in vain:
/// more than this costs a compiler's start more than large files gain over the kernel's 128 KiB.
const READAHEAD: u32 = LARGEST_REQUEST / 4;

/// The number by which the kernel tells mounted file systems apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Device {
    pub(crate) major: u32,
    pub(crate) minor: u32,
}

/// A connection to the kernel that a directory is mounted through.
#[derive(Debug)]
pub(crate) struct Attached {
    pub(crate) connection: OwnedFd,
    pub(crate) device: Device,
}

/// Makes a new connection and mounts the directory through it.
pub(crate) fn attach(order: &MountOrder) -> Result<Attached, MountError> {
    let connection = match mount_directly(order) {
        Err(Errno::PERM | Errno::ACCESS) => mount_by_helper_as_allowed(order)?,
        Err(errno) => return Err(MountError::io("mount", &order.directory)(errno.into())),
        Ok(connection) => connection,
    };
    let mounted = mount_table::mounted_on(&order.directory)?
        .ok_or_else(|| MountError::NotMounted { directory: order.directory.clone() })?;
    Ok(Attached { connection, device: mounted.device })
}

/// Clears what a dead server left behind.
///
/// # Errors
/// [`MountError::Occupied`] if a live file system is mounted there.
pub(crate) fn clear(directory: &Path) -> Result<(), MountError> {
    while let Some(mounted) = mount_table::mounted_on(directory)? {
        if !is_dead(&mounted) {
            return Err(MountError::Occupied {
                directory: directory.to_owned(),
                source_name: mounted.source,
            });
        }
        tracing::info!(directory = %directory.display(), "clearing the mount that a dead server left behind");
        unmount(directory, true)?;
    }
    Ok(())
}

/// Unmounts the directory. With `lazy` it disappears at once, and the file system ends with its last open file.
///
/// # Errors
/// [`MountError::Busy`] if files are in use and it isn't lazy.
pub(crate) fn unmount(directory: &Path, lazy: bool) -> Result<(), MountError> {
    let flags = if lazy { UnmountFlags::DETACH } else { UnmountFlags::empty() };
    match rustix::mount::unmount(directory, flags | UnmountFlags::NOFOLLOW) {
        Ok(()) => Ok(()),
        Err(Errno::BUSY) => Err(MountError::Busy { directory: directory.to_owned() }),
        Err(Errno::INVAL) => Err(MountError::NotMounted { directory: directory.to_owned() }),
        Err(Errno::PERM) => unmount_by_helper(directory, lazy),
        Err(errno) => Err(MountError::io("unmount", directory)(errno.into())),
    }
}

/// Unmounts the directory if it is still this file system that is mounted there.
pub(crate) fn detach(directory: &Path, device: Device) -> Result<(), MountError> {
    match mount_table::mounted_on(directory)? {
        Some(mounted) if mounted.device == device => unmount(directory, true),
        _ => Ok(()),
    }
}

/// Whether the server of a FUSE mount is gone: the kernel answers for it, with ENOTCONN.
pub(crate) fn is_dead(mounted: &Mounted) -> bool {
    mounted.is_fuse()
        && matches!(
            rustix::fs::statat(rustix::fs::CWD, &mounted.directory, rustix::fs::AtFlags::empty()),
            Err(Errno::NOTCONN | Errno::CONNABORTED)
        )
}

fn mount_directly(order: &MountOrder) -> Result<OwnedFd, Errno> {
    let connection = rustix::fs::open(DEVICE_FILE, OFlags::RDWR | OFlags::CLOEXEC, Mode::empty())?;
    let root = rustix::fs::stat(&order.directory)?;
    let mut options = format!(
        "fd={},rootmode={:o},user_id={},group_id={},default_permissions,max_read={LARGEST_REQUEST}",
        connection.as_raw_fd(),
        root.st_mode,
        rustix::process::getuid().as_raw(),
        rustix::process::getgid().as_raw(),
    );
    if order.access == Access::Everyone {
        options.push_str(",allow_other");
    }
    let options = CString::new(options).map_err(|_| Errno::INVAL)?;
    let mut flags = MountFlags::RDONLY | MountFlags::NODEV | MountFlags::NOATIME;
    if !order.set_id {
        flags |= MountFlags::NOSUID;
    }
    rustix::mount::mount(order.source.as_str(), &order.directory, KIND, flags, options.as_c_str())?;
    Ok(connection)
}

/// Other users may enter only where `/etc/fuse.conf` lets them: else the mount is for its owner alone.
fn mount_by_helper_as_allowed(order: &MountOrder) -> Result<OwnedFd, MountError> {
    match mount_by_helper(order, order.access) {
        Err(MountError::Helper { message, .. })
            if order.access == Access::Everyone && message.contains("allow_other") =>
        {
            let connection = mount_by_helper(order, Access::Owner)?;
            tracing::warn!(
                directory = %order.directory.display(),
                message,
                "only the user who mounts may enter"
            );
            Ok(connection)
        }
        result => result,
    }
}

/// The helper opens the connection, mounts, and passes the connection back over a socket whose number it gets.
fn mount_by_helper(order: &MountOrder, access: Access) -> Result<OwnedFd, MountError> {
    let failed =
        |message: String| MountError::Helper { action: "mount", directory: order.directory.clone(), message };
    let (ours, theirs) = std::os::unix::net::UnixStream::pair()
        .map_err(|source| MountError::Link { action: "make a channel", source })?;
    rustix::io::fcntl_setfd(&theirs, FdFlags::empty()).map_err(MountError::link("prepare a channel"))?;
    let mut options = format!(
        "ro,nodev,noatime,default_permissions,max_read={LARGEST_REQUEST},subtype=varve,fsname={}",
        order.source.replace('\\', "\\\\").replace(',', "\\,")
    );
    options.push_str(if order.set_id { ",suid" } else { ",nosuid" });
    if access == Access::Everyone {
        options.push_str(",allow_other");
    }
    let mut child = Command::new(HELPER)
        .args(["-o", &options, "--"])
        .arg(&order.directory)
        .env("_FUSE_COMMFD", theirs.as_raw_fd().to_string())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| failed(error.to_string()))?;
    drop(theirs);
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let mut byte = [0];
    let received =
        rustix::net::recvmsg(&ours, &mut [IoSliceMut::new(&mut byte)], &mut control, RecvFlags::CMSG_CLOEXEC);
    let connection = control.drain().find_map(|message| match message {
        RecvAncillaryMessage::ScmRights(mut descriptors) => descriptors.next(),
        _ => None,
    });
    let mut words = String::new();
    if let Some(mut output) = child.stderr.take() {
        let _ = output.read_to_string(&mut words);
    }
    let _ = child.wait();
    match (received, connection) {
        (Ok(_), Some(connection)) => Ok(connection),
        _ => Err(failed(words.trim().to_owned())),
    }
}

fn unmount_by_helper(directory: &Path, lazy: bool) -> Result<(), MountError> {
    let failed =
        |message: String| MountError::Helper { action: "unmount", directory: directory.to_owned(), message };
    let mut command = Command::new(HELPER);
    command.arg("-u");
    if lazy {
        command.arg("-z");
    }
    let output = command
        .arg("--")
        .arg(directory)
        .stdin(Stdio::null())
        .output()
        .map_err(|error| failed(error.to_string()))?;
    if output.status.success() {
        return Ok(());
    }
    let words = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    if words.contains("busy") {
        return Err(MountError::Busy { directory: directory.to_owned() });
    }
    Err(failed(words))
}

/// The kernel starts with 128 KiB of readahead whatever a FUSE server asks for; only this file raises it. To be called once
/// the first request was answered: its answer cuts the readahead down to those 128 KiB again.
pub(crate) fn widen_readahead(device: Device) {
    let path = format!("/sys/class/bdi/{}:{}/read_ahead_kb", device.major, device.minor);
    if let Err(error) = std::fs::write(&path, format!("{}", READAHEAD / 1024)) {
        tracing::debug!(%path, %error, "cannot raise the readahead");
    }
}

/// A copy of the connection's descriptor.
pub(crate) fn copy(connection: impl AsFd) -> Result<OwnedFd, MountError> {
    rustix::io::fcntl_dupfd_cloexec(connection, 3).map_err(MountError::link("copy the connection"))
}
