//! The kernel's side of seccomp user notifications, and another process's memory: system calls that no library wraps.
//!
//! What the numbers mean is not known here.
#![allow(unsafe_code)]

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd as _, FromRawFd as _, OwnedFd};

use libc::{c_int, c_ulong, c_void, iovec, seccomp_notif, seccomp_notif_resp, sock_filter, sock_fprog};

/// A system call of a process that waits for its answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Notification {
    /// Names it towards the kernel.
    pub(super) id: u64,
    /// The thread that calls, as this process sees it.
    pub(super) thread: i32,
    /// The number of the call.
    pub(super) number: i64,
    /// Its arguments.
    pub(super) arguments: [u64; 6],
}

/// What becomes of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// The kernel carries it out.
    Continue,
    /// It fails.
    Fail(i32),
    /// It returns this.
    Return(i64),
}

/// Wakes the other side on the processor of this one: each of the two sleeps while the other works.
const SYNC_WAKE_UP: u64 = 1;

/// Puts a filter on this thread and all that it starts, and gives what the calls are received from.
///
/// Needs "no new privileges". Signals that don't kill leave a call alone that was received, where the kernel can (5.19).
pub(super) fn install(program: &mut [sock_filter]) -> io::Result<OwnedFd> {
    let length = u16::try_from(program.len()).map_err(|_| io::Error::from(io::ErrorKind::InvalidInput))?;
    let program = sock_fprog { len: length, filter: program.as_mut_ptr() };
    // Without the second one, kernels before 5.16 slow every program down that has a filter.
    let listener = libc::SECCOMP_FILTER_FLAG_NEW_LISTENER | libc::SECCOMP_FILTER_FLAG_SPEC_ALLOW;
    let install = |flags: c_ulong| {
        // SAFETY: the program is valid for the length it says, and the kernel copies it before the call returns.
        let result = unsafe {
            libc::syscall(libc::SYS_seccomp, libc::SECCOMP_SET_MODE_FILTER, flags, &raw const program)
        };
        match c_int::try_from(result) {
            // SAFETY: with the flag of a listener the call returns a new descriptor that nobody else knows.
            Ok(descriptor) if descriptor >= 0 => Ok(unsafe { OwnedFd::from_raw_fd(descriptor) }),
            _ => Err(io::Error::last_os_error()),
        }
    };
    match install(listener | libc::SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV) {
        Err(error) if error.raw_os_error() == Some(libc::EINVAL) => install(listener),
        result => result,
    }
}

/// Asks for [`SYNC_WAKE_UP`]; kernels before 6.6 don't have it, and are slower.
pub(super) fn wake_up_synchronously(listener: impl AsFd) {
    // SAFETY: the call takes the flags by value.
    unsafe {
        libc::ioctl(listener.as_fd().as_raw_fd(), libc::SECCOMP_IOCTL_NOTIF_SET_FLAGS, SYNC_WAKE_UP);
    }
}

/// Waits for a call. Fails with ENOENT if the caller died meanwhile.
pub(super) fn receive(listener: impl AsFd) -> io::Result<Notification> {
    // SAFETY: the structure has plain numbers only, for which zeros are a value; the kernel insists on them.
    let mut received: seccomp_notif = unsafe { MaybeUninit::zeroed().assume_init() };
    // SAFETY: the pointer is to a structure of the size that is part of the number of the call.
    let result = unsafe {
        libc::ioctl(listener.as_fd().as_raw_fd(), libc::SECCOMP_IOCTL_NOTIF_RECV, &raw mut received)
    };
    if result < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(Notification {
        id: received.id,
        thread: received.pid.cast_signed(),
        number: i64::from(received.data.nr),
        arguments: received.data.args,
    })
}

/// Answers a call. Fails with ENOENT if the caller is gone.
pub(super) fn respond(listener: impl AsFd, id: u64, answer: Answer) -> io::Result<()> {
    let (val, error, flags) = match answer {
        Answer::Continue => (0, 0, libc::SECCOMP_USER_NOTIF_FLAG_CONTINUE as u32),
        Answer::Fail(errno) => (0, -errno, 0),
        Answer::Return(value) => (value, 0, 0),
    };
    let mut response = seccomp_notif_resp { id, val, error, flags };
    // SAFETY: the pointer is to a structure of the size that is part of the number of the call.
    let result = unsafe {
        libc::ioctl(listener.as_fd().as_raw_fd(), libc::SECCOMP_IOCTL_NOTIF_SEND, &raw mut response)
    };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Whether a call still waits, so that its thread's number means the same thread as when it was received.
pub(super) fn is_waiting(listener: impl AsFd, id: u64) -> bool {
    // SAFETY: the pointer is to a u64, as the number of the call says.
    let result = unsafe {
        libc::ioctl(listener.as_fd().as_raw_fd(), libc::SECCOMP_IOCTL_NOTIF_ID_VALID, &raw const id)
    };
    result == 0
}

/// Reads another process's memory as far as it is there, page by page.
pub(super) fn read_memory(thread: i32, address: u64, buffer: &mut [u8]) -> usize {
    const PAGE: u64 = 4096;
    let mut pieces = [iovec { iov_base: std::ptr::null_mut(), iov_len: 0 }; 4];
    let (mut at, mut left, mut count) = (address, buffer.len() as u64, 0);
    while left > 0 && count < pieces.len() {
        let length = left.min(PAGE - at % PAGE);
        pieces[count] = iovec { iov_base: at as *mut c_void, iov_len: length as usize };
        let Some(next) = at.checked_add(length) else { break };
        (at, left, count) = (next, left - length, count + 1);
    }
    let local = iovec { iov_base: buffer.as_mut_ptr().cast(), iov_len: buffer.len() };
    // SAFETY: the local piece is the buffer; the remote ones are addresses of another process, which the kernel checks.
    let read =
        unsafe { libc::process_vm_readv(thread, &raw const local, 1, pieces.as_ptr(), count as c_ulong, 0) };
    usize::try_from(read).unwrap_or(0)
}

/// Reads entries of a directory in the kernel's form, and moves its position as the call does.
pub(super) fn list(directory: impl AsFd, buffer: &mut [u8], legacy: bool) -> io::Result<usize> {
    #[cfg(target_arch = "x86_64")]
    let number = if legacy { libc::SYS_getdents } else { libc::SYS_getdents64 };
    #[cfg(not(target_arch = "x86_64"))]
    let number = {
        let _ = legacy;
        libc::SYS_getdents64
    };
    // SAFETY: the kernel writes at most as many bytes as the buffer has.
    let read = unsafe {
        libc::syscall(number, directory.as_fd().as_raw_fd(), buffer.as_mut_ptr(), buffer.len() as c_ulong)
    };
    usize::try_from(read).map_err(|_| io::Error::last_os_error())
}
