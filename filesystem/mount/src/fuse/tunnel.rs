//! A kernel's connection over a stream: the kernel of a machine asks at one end, this host's file systems answer at the other.
//!
//! ```text
//!  machine: kernel ◀─▶ /dev/fuse ◀─▶ [`Entrance`] ◀──── stream ────▶ [`Exit`] ◀─▶ socket pair ◀─▶ session :this host
//! ```
//!
//! Every message of the protocol begins with its length, so the stream needs no frames of its own. At the other end messages
//! have to be whole again, one for each read: a pair of sockets that keep them apart stands for the kernel's connection.

use std::ffi::CString;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd as _, AsRawFd as _, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::thread;

use rustix::io::Errno;
use rustix::mount::MountFlags;
use rustix::net::{AddressFamily, SocketFlags, SocketType};

use crate::error::MountError;

/// The most that a machine's kernel reads or writes with one request. Its reply has to fit into the buffer of a socket that any
/// user may have.
pub(crate) const LARGEST_REQUEST: u32 = 128 << 10;
/// The shortest message: a reply without anything.
const SHORTEST: usize = 16;
/// The longest: the largest request with its header, and what a future kernel adds.
const LONGEST: usize = 192 << 10;
const OPCODE_DESTROY: u32 = 38;
/// What the kernel wants to have room for before it hands out a request.
const ROOM: usize = 2 << 20;

/// How a directory of the machine is mounted.
#[derive(Clone, Copy, Debug)]
pub struct Entrance<'a> {
    /// What the machine's mount table calls it.
    pub source: &'a str,
    /// Whether it may be written to.
    pub writable: bool,
    /// Whether its root is shown as a directory of this mode until it is asked for.
    pub mode: u32,
}

impl Entrance<'_> {
    /// Mounts an existing directory, for everybody, and answers through the stream from then on.
    ///
    /// # Errors
    /// [`MountError`] if the kernel has no FUSE, or doesn't let this process mount.
    pub fn open(&self, directory: &Path, stream: File) -> Result<(), MountError> {
        let device = Path::new(super::attach::DEVICE_FILE);
        let connection = File::options().read(true).write(true).open(device);
        let connection = connection.map_err(MountError::io("open", device))?;
        let options = format!(
            "fd={},rootmode={:o},user_id=0,group_id=0,default_permissions,allow_other,max_read={LARGEST_REQUEST}",
            connection.as_raw_fd(),
            self.mode
        );
        let failed = |errno: Errno| MountError::io("mount", directory)(errno.into());
        let options = CString::new(options).map_err(|_| failed(Errno::INVAL))?;
        let mut flags = MountFlags::NODEV | MountFlags::NOSUID | MountFlags::NOATIME;
        flags.set(MountFlags::RDONLY, !self.writable);
        rustix::mount::mount(self.source, directory, "fuse.varve", flags, options.as_c_str())
            .map_err(failed)?;
        let copy = |file: &File| file.try_clone().map_err(MountError::io("use", device));
        let (requests, out) = (copy(&connection)?, copy(&stream)?);
        spawn("requests", move || forward_requests(&requests, out))?;
        spawn("replies", move || forward_replies(stream, &connection))
    }
}

/// The kernel gives one request for each read.
fn forward_requests(connection: &File, mut stream: File) -> io::Result<()> {
    let mut buffer = vec![0; ROOM];
    loop {
        match rustix::io::read(connection, &mut buffer[..]) {
            Ok(length) => stream.write_all(&buffer[..length])?,
            Err(Errno::INTR | Errno::AGAIN | Errno::NOENT) => {}
            Err(errno) => return Err(errno.into()),
        }
    }
}

fn forward_replies(mut stream: File, connection: &File) -> io::Result<()> {
    let mut buffer = Vec::new();
    while read_message(&mut stream, &mut buffer)? {
        match rustix::io::write(connection, &buffer) {
            // Nobody waits for it any more; or it tells of what this kernel doesn't know.
            Ok(_) | Err(Errno::NOENT | Errno::INVAL | Errno::INTR) => {}
            Err(errno) => return Err(errno.into()),
        }
    }
    Ok(())
}

/// This host's end: what stands for the connection of a kernel, as long as the stream lasts.
pub(crate) struct Exit {
    pub(crate) connection: OwnedFd,
}

impl Exit {
    /// So many threads read requests: at the end of the stream each of them is told.
    pub(crate) fn open(stream: UnixStream, readers: usize) -> Result<Self, MountError> {
        let (ours, connection) =
            rustix::net::socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)
                .map_err(MountError::link("make a channel"))?;
        let failed = |source| MountError::Link { action: "make a channel", source };
        let ours = File::from(ours);
        let (replies, out) = (ours.try_clone().map_err(failed)?, stream.try_clone().map_err(failed)?);
        spawn("requests", move || {
            let ended = deliver_requests(stream, &ours);
            for _ in 0..readers {
                deliver(&ours, &destroy())?;
            }
            ended
        })?;
        spawn("replies", move || collect_replies(&replies, out))?;
        Ok(Self { connection })
    }
}

fn deliver_requests(mut stream: UnixStream, socket: &File) -> io::Result<()> {
    let mut buffer = Vec::new();
    while read_message(&mut stream, &mut buffer)? {
        deliver(socket, &buffer)?;
    }
    Ok(())
}

fn deliver(socket: &File, message: &[u8]) -> io::Result<()> {
    loop {
        match rustix::net::send(socket, message, rustix::net::SendFlags::NOSIGNAL) {
            Err(Errno::INTR) => {}
            Err(errno) => return Err(errno.into()),
            Ok(_) => return Ok(()),
        }
    }
}

/// The request by which a kernel ends a connection: `struct fuse_in_header` alone.
fn destroy() -> [u8; 40] {
    let mut header = [0; 40];
    header[..4].copy_from_slice(&40u32.to_ne_bytes());
    header[4..8].copy_from_slice(&OPCODE_DESTROY.to_ne_bytes());
    header
}

/// Reads on when the stream is broken: whoever still answers must not find that nobody takes it.
fn collect_replies(socket: &File, stream: UnixStream) -> io::Result<()> {
    let mut stream = Some(stream);
    let mut buffer = vec![0; ROOM];
    loop {
        match rustix::io::read(socket.as_fd(), &mut buffer[..]) {
            Ok(0) => return Ok(()),
            Ok(length) => {
                if stream.as_mut().is_some_and(|stream| stream.write_all(&buffer[..length]).is_err()) {
                    stream = None;
                }
            }
            Err(Errno::INTR) => {}
            Err(errno) => return Err(errno.into()),
        }
    }
}

/// Reads a message, its length at its beginning. False at the end of the stream.
fn read_message(stream: &mut impl Read, buffer: &mut Vec<u8>) -> io::Result<bool> {
    let mut length = [0; 4];
    match stream.read_exact(&mut length) {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(false),
        result => result?,
    }
    let size = u32::from_ne_bytes(length) as usize;
    if !(SHORTEST..=LONGEST).contains(&size) {
        return Err(io::Error::new(io::ErrorKind::InvalidData, format!("a message of {size} bytes")));
    }
    buffer.clear();
    buffer.extend_from_slice(&length);
    buffer.resize(size, 0);
    stream.read_exact(&mut buffer[4..])?;
    Ok(true)
}

/// A thread that ends with its stream.
fn spawn(name: &str, work: impl FnOnce() -> io::Result<()> + Send + 'static) -> Result<(), MountError> {
    let work = move || {
        if let Err(error) = work() {
            tracing::debug!(%error, "the tunnel of a mount has ended");
        }
    };
    let started = thread::Builder::new().name(format!("tunnel-{name}")).spawn(work);
    started.map(drop).map_err(|source| MountError::Link { action: "start a thread", source })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_bounded_and_whole() {
        let mut message = 20u32.to_ne_bytes().to_vec();
        message.extend([7; 16]);
        let mut buffer = vec![1; 400];
        let twice = [message.clone(), message.clone()].concat();
        let mut stream = &twice[..];
        for _ in 0..2 {
            assert!(read_message(&mut stream, &mut buffer).unwrap());
            assert_eq!(buffer, message);
        }
        assert!(!read_message(&mut stream, &mut buffer).unwrap());
        assert!(read_message(&mut &message[..10], &mut buffer).is_err());
        for wrong in [0, 15, LONGEST as u32 + 1, u32::MAX] {
            assert!(read_message(&mut &wrong.to_ne_bytes()[..], &mut buffer).is_err());
        }
    }
}
