//! Hands the kernel's connection to a worker, also to a second one: answers the first request once, replays it afterwards.
//!
//! The kernel sends its first request, INIT, once per connection, and fuser's session insists on reading one. So each session
//! is made over a socket pair into which INIT is fed; what it answers goes to the kernel. Then the kernel's connection is put
//! behind the session's descriptor, and the session never learns of it.
//!
//! ```text
//!  first worker:  kernel ──INIT──▶ journal ──▶ socket ──▶ session ──reply──▶ socket ──▶ kernel
//!  later worker:                   journal ──▶ socket ──▶ session ──reply──▶ socket ──▶ kernel, which expects none: ENOENT
//! ```
//!
//! INIT is in the journal before it is answered, and a later worker asks for requests to be sent again before it looks for an
//! INIT that its predecessor may have read without writing it down: killed at any instant, the next one can go on.

use std::io;
use std::os::fd::{AsFd, OwnedFd};

use fuser::{Config, Filesystem, Session, SessionACL};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags, SocketType};

use super::{adopt, attach, notify::Notifications};
use crate::error::MountError;
use crate::order::Access;
use crate::process::journal::{Journal, Record};

/// Room for INIT and its reply, whatever a future kernel adds.
const ROOM: usize = 256 << 10;
const OPCODE_INIT: u32 = 26;
const FLAG_EXTENDED: u32 = 1 << 30;
const FLAG2_RESEND: u32 = 1 << (39 - 32);
/// The first version that knows `FUSE_NOTIFY_INC_EPOCH`.
const VERSION_EPOCH: (u32, u32) = (7, 44);

/// A file system that a session can serve.
pub(crate) trait Served: Filesystem {}

impl<F: Filesystem> Served for F {}

/// What the kernel said of itself in INIT.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Kernel {
    /// The version of the protocol.
    pub(crate) version: (u32, u32),
    /// It can send requests again.
    pub(crate) resends: bool,
}

impl Kernel {
    /// It knows epochs.
    pub(crate) fn has_epochs(&self) -> bool {
        self.version >= VERSION_EPOCH
    }

    /// Reads `struct fuse_in_header` and `struct fuse_init_in`.
    fn of(init: &[u8]) -> Option<Self> {
        let word =
            |at: usize| init.get(at..at + 4).and_then(|bytes| bytes.try_into().ok()).map(u32::from_ne_bytes);
        if word(4)? != OPCODE_INIT {
            return None;
        }
        let extended = word(40 + 12)? & FLAG_EXTENDED != 0;
        let flags2 = if extended { word(40 + 16)? } else { 0 };
        Some(Self { version: (word(40)?, word(44)?), resends: flags2 & FLAG2_RESEND != 0 })
    }
}

/// What the journal knows of the kernel; `None` before the first worker.
pub(crate) fn kernel_of(journal: &Journal) -> io::Result<Option<Kernel>> {
    Ok(stored_init(journal)?.and_then(|init| Kernel::of(&init)))
}

/// A session that serves the connection, begun or taken over.
pub(crate) fn begin<F: Served>(
    filesystem: F,
    connection: &OwnedFd,
    journal: &Journal,
    restarted: bool,
    access: Access,
    threads: usize,
) -> Result<(Session<F>, Kernel), MountError> {
    let failed = |source| MountError::Link { action: "talk to the kernel", source };
    let notifications = Notifications::new(attach::copy(connection)?);
    let init = match stored_init(journal).map_err(failed)? {
        Some(init) => init,
        None => {
            if restarted && let Err(error) = notifications.resend() {
                tracing::debug!(%error, "cannot ask for the first request again");
            }
            let init = read_init(connection).map_err(failed)?;
            journal.append(&Record::Init(to_digits(&init))).map_err(failed)?;
            init
        }
    };
    let kernel = Kernel::of(&init).ok_or(MountError::Malformed { what: "first request" })?;
    let (ours, theirs) =
        rustix::net::socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)
            .map_err(MountError::link("make a channel"))?;
    rustix::io::write(&ours, &init).map_err(MountError::link("repeat the first request"))?;
    let mut config = Config::default();
    config.n_threads = Some(threads);
    let acl = match access {
        Access::Everyone => SessionACL::All,
        Access::Owner => SessionACL::Owner,
    };
    let session = Session::from_fd(filesystem, theirs, acl, config).map_err(failed)?;
    let mut reply = vec![0; ROOM];
    let length = rustix::io::read(&ours, &mut reply[..]).map_err(MountError::link("begin the session"))?;
    adopt::put_behind(connection.as_fd(), session.as_fd())
        .map_err(MountError::link("take over the connection"))?;
    match rustix::io::write(connection, &reply[..length]) {
        Ok(_) | Err(Errno::NOENT) => {}
        Err(errno) => return Err(MountError::link("answer the kernel's first request")(errno)),
    }
    if restarted && kernel.resends {
        notifications.resend().map_err(failed)?;
    }
    Ok((session, kernel))
}

fn read_init(connection: &OwnedFd) -> io::Result<Vec<u8>> {
    let mut buffer = vec![0; ROOM];
    loop {
        match rustix::io::read(connection, &mut buffer[..]) {
            Ok(length) => {
                buffer.truncate(length);
                return Ok(buffer);
            }
            Err(Errno::INTR | Errno::AGAIN | Errno::NOENT) => {}
            Err(errno) => return Err(errno.into()),
        }
    }
}

fn stored_init(journal: &Journal) -> io::Result<Option<Vec<u8>>> {
    Ok(journal.read()?.into_iter().find_map(|record| match record {
        Record::Init(digits) => from_digits(&digits),
        _ => None,
    }))
}

pub(crate) fn to_digits(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

pub(crate) fn from_digits(digits: &str) -> Option<Vec<u8>> {
    (0..digits.len())
        .step_by(2)
        .map(|at| digits.get(at..at + 2).and_then(|pair| u8::from_str_radix(pair, 16).ok()))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernel_is_known_by_its_first_request() {
        let mut init = vec![0; 40 + 64];
        init[4..8].copy_from_slice(&OPCODE_INIT.to_ne_bytes());
        init[40..44].copy_from_slice(&7u32.to_ne_bytes());
        init[44..48].copy_from_slice(&45u32.to_ne_bytes());
        assert_eq!(Kernel::of(&init), Some(Kernel { version: (7, 45), resends: false }));
        init[52..56].copy_from_slice(&FLAG_EXTENDED.to_ne_bytes());
        init[56..60].copy_from_slice(&FLAG2_RESEND.to_ne_bytes());
        let kernel = Kernel::of(&init).unwrap();
        assert!(kernel.resends && kernel.has_epochs());
        assert_eq!(Kernel::of(&init[..50]), None);
        assert_eq!(from_digits(&to_digits(&init)), Some(init));
    }
}
