//! By what others see that a mount's processes have ended: a socket that all of them hold and nobody ever answers at. Its
//! name, an abstract one, is made of the mount; the kernel lets it go with the last process, however that ends.

use std::io::{self, Read as _};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType};
use varve_content::Algorithm;

use crate::fuse::attach::Device;

/// More than ever wait for one mount.
const MOST_WAITING: i32 = 128;

/// Held by every process of a mount.
#[derive(Debug)]
pub(crate) struct Presence(OwnedFd);

impl Presence {
    /// That of a new mount.
    pub(crate) fn declare(directory: &Path, device: Device) -> io::Result<Self> {
        let socket = socket(SocketFlags::CLOEXEC)?;
        rustix::net::bind(&socket, &address_of(directory, device)?)?;
        rustix::net::listen(&socket, MOST_WAITING)?;
        Ok(Self(socket))
    }

    /// The one that another process passed on.
    pub(crate) fn taken_over(descriptor: OwnedFd) -> Self {
        Self(descriptor)
    }

    /// Lets it go with this process only, not before.
    pub(crate) fn hold_to_the_end(self) {
        std::mem::forget(self.0);
    }
}

impl AsFd for Presence {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// Returns when the processes of that mount have ended, or patience has.
pub(crate) fn wait_for_end(directory: &Path, device: Device, patience: Duration) {
    match ended(directory, device, patience) {
        Ok(true) => {}
        Ok(false) => tracing::debug!(directory = %directory.display(), "its processes go on"),
        Err(error) => {
            tracing::debug!(directory = %directory.display(), %error, "cannot wait for its processes");
        }
    }
}

fn ended(directory: &Path, device: Device, patience: Duration) -> io::Result<bool> {
    // Whoever fills the queue must not make this wait.
    let socket = socket(SocketFlags::CLOEXEC | SocketFlags::NONBLOCK)?;
    match rustix::net::connect(&socket, &address_of(directory, device)?) {
        Err(Errno::CONNREFUSED) => return Ok(true),
        result => result?,
    }
    let mut stream = UnixStream::from(socket);
    stream.set_nonblocking(false)?;
    stream.set_read_timeout(Some(patience))?;
    match stream.read(&mut [0]) {
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(false),
        Err(error) if error.kind() != io::ErrorKind::ConnectionReset => Err(error),
        _ => Ok(true),
    }
}

fn socket(flags: SocketFlags) -> io::Result<OwnedFd> {
    Ok(rustix::net::socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?)
}

/// The device's number may be used again while processes of an earlier mount end, but not for the same directory.
fn address_of(directory: &Path, device: Device) -> io::Result<SocketAddrUnix> {
    let hash = Algorithm::Sha1.hash(directory.as_os_str().as_encoded_bytes());
    let name = format!("varve-mount-{}:{}-{hash}", device.major, device.minor);
    Ok(SocketAddrUnix::new_abstract_name(name.as_bytes())?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_is_seen_once_all_have_let_go() {
        let directory = Path::new("/no such directory");
        let device = Device { major: 0, minor: std::process::id() };
        let short = Duration::from_millis(10);
        assert!(ended(directory, device, short).unwrap(), "nobody is there");
        let presence = Presence::declare(directory, device).unwrap();
        let copy = Presence::taken_over(presence.as_fd().try_clone_to_owned().unwrap());
        assert!(!ended(directory, device, short).unwrap());
        let waiting = std::thread::spawn(move || ended(directory, device, Duration::from_secs(60)).unwrap());
        drop(presence);
        assert!(!ended(directory, device, short).unwrap(), "one of two is left");
        drop(copy);
        assert!(waiting.join().unwrap());
        assert!(ended(directory, device, short).unwrap());
    }
}
