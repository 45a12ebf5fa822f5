//! The caller's side: starts a supervisor and waits until the mount can be used; unmounts a directory.

use std::fs::File;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use super::link::{Link, Message};
use super::presence;
use super::supervisor;
use crate::error::MountError;
use crate::fuse::{attach, mount_table};
use crate::order::MountOrder;

/// How long an unmounted file system may take to end before [`unmount`] returns without it.
const END_PATIENCE: Duration = Duration::from_secs(10);
/// How long its processes may take to end after that. They end by themselves in milliseconds.
const PROCESS_PATIENCE: Duration = Duration::from_secs(5);

/// Mounts in the background: returns once the directory can be used, or says why there is no mount.
///
/// # Errors
/// [`MountError`]; then nothing is mounted.
pub fn start(order: MountOrder) -> Result<(), MountError> {
    let order = checked(order)?;
    let directory = order.directory.clone();
    let (link, theirs) = Link::pair()?;
    let mut child = order
        .relaunch
        .command(&order.relaunch.supervisor, theirs)
        .stderr(messages_of(&order)?)
        .spawn()
        .map_err(MountError::io("start", &order.relaunch.program))?;
    link.send(&Message::Launch(Box::new(order)), &[])?;
    match link.receive()? {
        Some((Message::Ready, _)) => Ok(()),
        Some((Message::Failed { message }, _)) => {
            let _ = child.wait();
            Err(MountError::Worker { message })
        }
        _ => {
            let _ = child.wait();
            Err(MountError::Vanished { directory })
        }
    }
}

/// Mounts and stays until the directory is unmounted: this process is the supervisor. `ready` is called once the directory
/// can be used.
///
/// # Errors
/// [`MountError`]; then nothing is mounted any more.
pub fn stay(order: MountOrder, ready: impl FnOnce() + Send + 'static) -> Result<(), MountError> {
    supervisor::launch(checked(order)?, supervisor::Caller::Here(Box::new(ready)))
}

/// Unmounts a directory that Varve, or another FUSE server, mounted; one whose server is dead as well. Returns when the file
/// system and the processes of Varve behind it have ended, so that nobody writes to its cache any more; after some seconds also
/// if they haven't. With `lazy` a busy directory disappears too: then this doesn't wait, and the file system ends with its
/// last open file.
///
/// # Errors
/// [`MountError::NotMounted`], [`MountError::Busy`].
pub fn unmount(directory: &Path, lazy: bool) -> Result<(), MountError> {
    let directory = mount_table::absolute(directory)?;
    let mounted = mount_table::mounted_on(&directory)?
        .filter(mount_table::Mounted::is_fuse)
        .ok_or_else(|| MountError::NotMounted { directory: directory.clone() })?;
    let dead = attach::is_dead(&mounted);
    match attach::unmount(&directory, dead) {
        Err(MountError::Busy { .. }) if lazy => return attach::unmount(&directory, true),
        result => result?,
    }
    let step = Duration::from_millis(2);
    for _ in 0..END_PATIENCE.as_millis() / step.as_millis() {
        if !mount_table::is_mounted(mounted.device)? {
            break;
        }
        std::thread::sleep(step);
    }
    presence::wait_for_end(&directory, mounted.device, PROCESS_PATIENCE);
    Ok(())
}

/// The order with the directory as the mount table will have it. A mount that a dead server left behind is cleared.
fn checked(mut order: MountOrder) -> Result<MountOrder, MountError> {
    order.directory = mount_table::absolute(&order.directory)?;
    attach::clear(&order.directory)?;
    let kind = std::fs::metadata(&order.directory).map_err(MountError::io("mount on", &order.directory))?;
    if !kind.is_dir() {
        let source = std::io::ErrorKind::NotADirectory.into();
        return Err(MountError::io("mount on", &order.directory)(source));
    }
    Ok(order)
}

/// Where a background process's messages go.
pub(crate) fn messages_of(order: &MountOrder) -> Result<Stdio, MountError> {
    let Some(path) = &order.log else { return Ok(Stdio::null()) };
    let file =
        File::options().create(true).append(true).open(path).map_err(MountError::io("write to", path))?;
    Ok(Stdio::from(file))
}
