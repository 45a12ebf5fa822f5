//! The switch: the guest leaves the image's file system to its own processes, and the operating system's init takes its place.
//!
//! Processes that were started before keep the image's file system as their root: they need neither a file nor a name of the
//! tree that they serve. What the kernel has is seen from both sides.

use std::fs::{self, File};
use std::io;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use rustix::mount::{mount_bind_recursive, mount_move};
use rustix::process::{chdir, chroot};

use crate::error::GuestError;
use crate::kernel_mounts;
use crate::places::{NEW_ROOT, PROGRAM, RUN, SHUTDOWN, SHUTDOWN_ROOT};

/// What of the image's file system is still needed afterwards: where things are mounted, and what the network's library reads.
const KEPT: [&str; 8] = ["proc", "sys", "dev", "run", "os", "scratch", "sysroot", "etc"];

/// Puts the guest's program where the booted system finds it, and where systemd looks for what to do last.
///
/// # Errors
/// [`GuestError::Io`].
pub(crate) fn leave_program(own: &Path) -> Result<(), GuestError> {
    for directory in [RUN, SHUTDOWN_ROOT] {
        fs::create_dir_all(directory).map_err(GuestError::io("create", Path::new(directory)))?;
    }
    fs::copy(own, PROGRAM).map_err(GuestError::io("copy", own))?;
    match fs::hard_link(PROGRAM, SHUTDOWN) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
            Err(GuestError::io("link", Path::new(SHUTDOWN))(error))
        }
        _ => Ok(()),
    }
}

/// Shows what the kernel has in the new root as well.
///
/// # Errors
/// [`GuestError::Io`].
pub(crate) fn hand_on_mounts() -> Result<(), GuestError> {
    for directory in kernel_mounts::directories() {
        let at = Path::new(NEW_ROOT).join(directory.trim_start_matches('/'));
        match fs::create_dir(&at) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                return Err(GuestError::io("create", &at)(error));
            }
            _ => {}
        }
        mount_bind_recursive(directory, &at)
            .map_err(|errno| GuestError::io("mount on", &at)(errno.into()))?;
    }
    Ok(())
}

/// Gives the memory back that the image's files take.
pub(crate) fn free_image() {
    for entry in fs::read_dir("/").into_iter().flatten().flatten() {
        if KEPT.iter().any(|kept| entry.file_name() == *kept) {
            continue;
        }
        let path = entry.path();
        let _ = match entry.file_type() {
            Ok(kind) if kind.is_dir() => fs::remove_dir_all(&path),
            _ => fs::remove_file(&path),
        };
    }
}

/// Becomes the operating system's init. Returns only if that can't be.
pub(crate) fn become_init(init: &Path, arguments: impl Iterator<Item = std::ffi::OsString>) -> GuestError {
    match enter().and_then(|()| console()) {
        Ok([input, output, errors]) => {
            let error = Command::new(init).args(arguments).stdin(input).stdout(output).stderr(errors).exec();
            GuestError::io("start", init)(error)
        }
        Err(error) => error,
    }
}

/// Makes the new root the root directory.
///
/// # Errors
/// [`GuestError::Io`].
pub(crate) fn enter() -> Result<(), GuestError> {
    let failed = |errno: rustix::io::Errno| GuestError::io("switch to", Path::new(NEW_ROOT))(errno.into());
    chdir(NEW_ROOT).map_err(failed)?;
    mount_move(".", "/").map_err(failed)?;
    chroot(".").map_err(failed)?;
    chdir("/").map_err(failed)
}

fn console() -> Result<[Stdio; 3], GuestError> {
    let path = PathBuf::from("/dev/console");
    let open = || File::options().read(true).write(true).open(&path).or_else(|_| File::open("/dev/null"));
    let mut all = Vec::new();
    for _ in 0..3 {
        all.push(Stdio::from(open().map_err(GuestError::io("open", &path))?));
    }
    all.try_into().map_err(|_| GuestError::Missing { what: "console" })
}
