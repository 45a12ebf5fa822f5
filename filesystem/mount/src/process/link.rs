//! The channel between two processes of a mount: messages in JSON, file descriptors beside them.

use std::io::{IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, SocketFlags, SocketType,
};
use serde::{Deserialize, Serialize};

use crate::error::MountError;
use crate::fuse::attach::Device;
use crate::order::MountOrder;

/// The longest message, far above what an order takes.
const LONGEST_MESSAGE: usize = 128 << 10;
const MOST_DESCRIPTORS: usize = 4;

/// What the processes tell each other.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Message {
    /// Caller to supervisor: mount this.
    Launch(Box<MountOrder>),
    /// Orphaned worker to a new supervisor; with the kernel's connection, the journal, and the
    /// presence if there is one.
    Adopt(Box<MountOrder>, Device),
    /// Supervisor to worker: get ready for this; with the journal.
    Begin(Box<MountOrder>),
    /// Worker to supervisor: everything is there that is needed to serve.
    Prepared,
    /// Supervisor to worker: serve this; with the kernel's connection, and the presence if there is one.
    Serve { device: Device, restarted: bool },
    /// The mount can be used.
    Ready,
    /// There will be no mount.
    Failed { message: String },
    /// Worker to supervisor: somebody wants the directory to be unmounted.
    Detach,
    /// Supervisor to worker: leave at once, whatever is open.
    Leave,
    /// Worker to supervisor: the kernel ended the connection, since the directory was unmounted.
    Ended,
}

/// One end of a channel.
#[derive(Debug)]
pub(crate) struct Link(OwnedFd);

impl Link {
    /// A channel: our end, and the end that becomes a new process's standard input.
    pub(crate) fn pair() -> Result<(Self, OwnedFd), MountError> {
        let (ours, theirs) =
            rustix::net::socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)
                .map_err(MountError::link("make a channel"))?;
        Ok((Self(ours), theirs))
    }

    /// The channel to the process that started this one.
    pub(crate) fn from_standard_input() -> Result<Self, MountError> {
        let input = std::io::stdin();
        match rustix::net::sockopt::socket_type(&input) {
            Ok(SocketType::SEQPACKET) => {}
            Ok(_) | Err(_) => return Err(MountError::Malformed { what: "channel" }),
        }
        let descriptor =
            rustix::io::fcntl_dupfd_cloexec(&input, 3).map_err(MountError::link("take over the channel"))?;
        Ok(Self(descriptor))
    }

    pub(crate) fn try_clone(&self) -> Result<Self, MountError> {
        let copy =
            self.0.try_clone().map_err(|source| MountError::Link { action: "copy a channel", source })?;
        Ok(Self(copy))
    }

    /// Sends a message; descriptors go along as copies.
    pub(crate) fn send(&self, message: &Message, descriptors: &[BorrowedFd<'_>]) -> Result<(), MountError> {
        let bytes = serde_json::to_vec(message).map_err(|_| MountError::Malformed { what: "message" })?;
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MOST_DESCRIPTORS))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        if !descriptors.is_empty() && !control.push(SendAncillaryMessage::ScmRights(descriptors)) {
            return Err(MountError::Malformed { what: "message" });
        }
        loop {
            match rustix::net::sendmsg(&self.0, &[IoSlice::new(&bytes)], &mut control, SendFlags::NOSIGNAL) {
                Ok(_) => return Ok(()),
                Err(rustix::io::Errno::INTR) => {}
                Err(errno) => return Err(MountError::link("send a message")(errno)),
            }
        }
    }

    /// The next message and its descriptors, `None` once the other side is gone.
    pub(crate) fn receive(&self) -> Result<Option<(Message, Vec<OwnedFd>)>, MountError> {
        let mut bytes = vec![0; LONGEST_MESSAGE];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MOST_DESCRIPTORS))];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let received = loop {
            match rustix::net::recvmsg(
                &self.0,
                &mut [IoSliceMut::new(&mut bytes)],
                &mut control,
                RecvFlags::CMSG_CLOEXEC,
            ) {
                Ok(received) => break received,
                Err(rustix::io::Errno::INTR) => {}
                Err(rustix::io::Errno::CONNRESET) => return Ok(None),
                Err(errno) => return Err(MountError::link("receive a message")(errno)),
            }
        };
        if received.bytes == 0 {
            return Ok(None);
        }
        let descriptors = control
            .drain()
            .flat_map(|message| match message {
                RecvAncillaryMessage::ScmRights(descriptors) => descriptors.collect(),
                _ => Vec::new(),
            })
            .collect();
        if received.flags.intersects(ReturnFlags::TRUNC | ReturnFlags::CTRUNC) {
            return Err(MountError::Malformed { what: "message" });
        }
        let message = serde_json::from_slice(&bytes[..received.bytes])
            .map_err(|_| MountError::Malformed { what: "message" })?;
        Ok(Some((message, descriptors)))
    }
}

impl AsFd for Link {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_carry_descriptors_and_the_end_is_seen() {
        let (ours, theirs) = Link::pair().unwrap();
        let theirs = Link(theirs);
        let file = tempfile::tempfile().unwrap();
        ours.send(
            &Message::Serve { device: Device { major: 0, minor: 7 }, restarted: true },
            &[file.as_fd()],
        )
        .unwrap();
        ours.send(&Message::Prepared, &[]).unwrap();
        drop(ours);
        let (message, descriptors) = theirs.receive().unwrap().unwrap();
        assert!(matches!(message, Message::Serve { restarted: true, .. }));
        assert_eq!(descriptors.len(), 1);
        assert!(matches!(theirs.receive().unwrap(), Some((Message::Prepared, _))));
        assert!(theirs.receive().unwrap().is_none());
    }
}
