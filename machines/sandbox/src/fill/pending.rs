//! A call that waits for its answer: who made it, what it asks for, whether it may go on waiting.

use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::fs::FileExt as _;

use super::calls::{Call, Follow, OpenFlags};
use super::kernel::{self, Answer};
use super::patience::Patience;
use super::target::Target;

/// A call that waits for its answer.
pub(super) struct PendingCall<'a> {
    /// What it was received from.
    pub(super) listener: &'a OwnedFd,
    /// Who made it.
    pub(super) target: Target<'a>,
    /// What it is.
    pub(super) call: Call,
    /// Whether the answer may take time.
    pub(super) patience: Patience,
}

impl PendingCall<'_> {
    /// Whether it still waits, so that the thread's number means the thread that made it.
    pub(super) fn is_waiting(&self) -> bool {
        kernel::is_waiting(self.listener.as_fd(), self.target.notification.id)
    }

    /// Writes an answer into the caller's memory. The memory is opened first and the call looked at then, so that it can't be
    /// the memory of another process by now.
    pub(super) fn write(&self, address: u64, bytes: &[u8], answer: Answer) -> Answer {
        let Ok(memory) = self.target.memory() else { return Answer::Fail(libc::EIO) };
        if !self.is_waiting() {
            return Answer::Fail(libc::EINTR);
        }
        match memory.write_all_at(bytes, address) {
            Ok(()) => answer,
            Err(_) => Answer::Fail(libc::EFAULT),
        }
    }

    pub(super) fn is_followed(&self, follow: Follow) -> bool {
        match follow {
            Follow::Always => true,
            Follow::Never => false,
            Follow::UnlessFlag(argument) => self.target.flags(argument) & libc::AT_SYMLINK_NOFOLLOW == 0,
            Follow::IfFlag(argument) => self.target.flags(argument) & libc::AT_SYMLINK_FOLLOW != 0,
        }
    }

    pub(super) fn open_flags(&self, flags: OpenFlags) -> i32 {
        match flags {
            OpenFlags::Argument(argument) => self.target.flags(argument),
            OpenFlags::Structure(argument) => {
                self.target.number_at(self.target.argument(argument)).map_or(0, |flags| flags as i32)
            }
            OpenFlags::Create => libc::O_CREAT | libc::O_WRONLY | libc::O_TRUNC,
        }
    }
}
