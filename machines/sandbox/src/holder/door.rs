//! The holder's socket: where it is, and who makes it. Of many runs that find no holder, one starts it, under a lock.

use std::fs::{self, File};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::io;
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, Mode, OFlags};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType};

use crate::bare;
use crate::channel::Channel;

/// More runs than that wait outside.
const MOST_WAITING: i32 = 1024;

/// Where a holder is reached.
#[derive(Clone, Debug)]
pub struct Door {
    directory: PathBuf,
    name: String,
}

impl Door {
    /// That of this user, in a directory that belongs to it. `apart` keeps runs of one purpose from those of another, such as a
    /// batch job whose processes are all killed at its end.
    ///
    /// # Errors
    /// If the system doesn't tell of this process' namespaces.
    pub fn new(directory: &Path, apart: Option<&str>) -> io::Result<Self> {
        let mut hasher = DefaultHasher::new();
        // A directory on the network is seen by several hosts, and by containers.
        fs::read("/proc/sys/kernel/random/boot_id").unwrap_or_default().hash(&mut hasher);
        for namespace in ["user", "mnt"] {
            fs::read_link(format!("/proc/self/ns/{namespace}"))?.hash(&mut hasher);
        }
        rustix::process::geteuid().as_raw().hash(&mut hasher);
        apart.hash(&mut hasher);
        Ok(Self { directory: directory.to_owned(), name: format!("holder-{:016x}", hasher.finish()) })
    }

    /// Speaks to the holder, which `start` starts, with the listening socket, if there is none.
    pub(super) fn knock(&self, start: impl Fn(OwnedFd) -> io::Result<()>) -> io::Result<Channel> {
        if let Some(channel) = self.connect()? {
            return Ok(channel);
        }
        let lock = self.lock()?;
        let channel = match self.connect()? {
            Some(channel) => channel,
            None => {
                let listening = self.listen()?;
                // In the queue before there is anybody to answer.
                let channel = self.connect()?.ok_or(io::ErrorKind::ConnectionRefused)?;
                start(listening)?;
                channel
            }
        };
        drop(lock);
        Ok(channel)
    }

    /// Takes the socket away, unless another holder listens there.
    pub(super) fn clear(&self) {
        let Ok(_lock) = self.lock() else { return };
        if let Ok(None) = self.connect() {
            // It need not be there.
            let _ = fs::remove_file(self.socket());
        }
    }

    /// The lock that starting and ending a holder take.
    pub(super) fn lock(&self) -> io::Result<File> {
        let path = self.directory.join("holder.lock");
        let file = File::options().create(true).truncate(false).write(true).open(path)?;
        rustix::fs::flock(&file, FlockOperation::LockExclusive)?;
        Ok(file)
    }

    /// The path of the socket.
    pub(super) fn socket(&self) -> PathBuf {
        self.directory.join(format!("{}.socket", self.name))
    }

    /// `None` if nobody listens.
    fn connect(&self) -> io::Result<Option<Channel>> {
        let socket = socket()?;
        let connected = self.at_address(|address| rustix::net::connect(&socket, address));
        match connected {
            Ok(()) => {}
            Err(error) if matches!(Errno::from_io_error(&error), Some(Errno::NOENT | Errno::CONNREFUSED)) => {
                return Ok(None);
            }
            Err(error) => return Err(error),
        }
        if bare::peer_user(&socket)? != rustix::process::geteuid().as_raw() {
            return Err(io::Error::new(io::ErrorKind::PermissionDenied, "it belongs to another user"));
        }
        Ok(Some(Channel::of(socket)))
    }

    fn listen(&self) -> io::Result<OwnedFd> {
        match fs::remove_file(self.socket()) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let socket = socket()?;
        self.at_address(|address| rustix::net::bind(&socket, address))?;
        rustix::net::listen(&socket, MOST_WAITING)?;
        Ok(socket)
    }

    /// Addresses of sockets are short, paths need not be.
    fn at_address(&self, act: impl FnOnce(&SocketAddrUnix) -> Result<(), Errno>) -> io::Result<()> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let directory = rustix::fs::open(&self.directory, flags, Mode::empty())?;
        let address = format!("/proc/self/fd/{}/{}.socket", directory.as_raw_fd(), self.name);
        Ok(act(&SocketAddrUnix::new(address.as_str())?)?)
    }
}

fn socket() -> io::Result<OwnedFd> {
    Ok(rustix::net::socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)?)
}
