//! Puts another file behind a descriptor that a library owns. Nothing else; the one unsafe operation of this crate.

use std::mem::ManuallyDrop;
use std::os::fd::{AsRawFd as _, BorrowedFd, FromRawFd as _, OwnedFd};

/// Makes the descriptor of `owner` stand for the file behind `file`. The descriptor's number and owner stay.
pub(crate) fn put_behind(file: BorrowedFd<'_>, owner: BorrowedFd<'_>) -> rustix::io::Result<()> {
    // SAFETY: the number belongs to `owner`, which lives for the whole call; ManuallyDrop keeps this second owner from
    // closing it, and dup3 replaces what the number stands for in one step, so its real owner always has an open file.
    #[allow(unsafe_code)]
    let mut target = ManuallyDrop::new(unsafe { OwnedFd::from_raw_fd(owner.as_raw_fd()) });
    rustix::io::dup3(file, &mut target, rustix::io::DupFlags::CLOEXEC)
}
