//! The seccomp filter: which calls go to the supervisor, which are refused, and that all others cost nothing.
//!
//! Calls by other tables than the architecture's own (32-bit, x32) are answered with ENOSYS: their numbers mean other calls,
//! and their arguments have other forms. The kernel works out beforehand which calls are always allowed, so what is not
//! watched does not run through the list.

use std::os::fd::OwnedFd;

use libc::sock_filter;

use super::calls::{BY_DESCRIPTOR, NAME_SPACES, REFUSED, watched};
use super::error::FillError;
use super::kernel;

#[cfg(target_arch = "x86_64")]
const ARCHITECTURE: u32 = 0xc000_003e;
#[cfg(target_arch = "aarch64")]
const ARCHITECTURE: u32 = 0xc000_00b7;

/// From here on numbers are x32's.
const X32: u32 = 0x4000_0000;

/// Offsets in `struct seccomp_data`.
const NUMBER: u32 = 0;
const ARCH: u32 = 4;
const ARGUMENTS: u32 = 16;

const LOAD: u16 = (libc::BPF_LD | libc::BPF_W | libc::BPF_ABS) as u16;
const JUMP_EQUAL: u16 = (libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K) as u16;
const JUMP_AT_LEAST: u16 = (libc::BPF_JMP | libc::BPF_JGE | libc::BPF_K) as u16;
const JUMP_ANY_BIT: u16 = (libc::BPF_JMP | libc::BPF_JSET | libc::BPF_K) as u16;
const RETURN: u16 = (libc::BPF_RET | libc::BPF_K) as u16;

/// The supervisor's end of a filter.
#[derive(Debug)]
pub struct Listener(pub(super) OwnedFd);

impl Listener {
    /// Has the calls of this process, and of all that it starts, watched from now on. They wait until a supervisor answers, and
    /// fail with ENOSYS once nobody holds the listener.
    ///
    /// To be called by the process that is to be watched, after its last own preparation; it must have no more privileges to
    /// gain (`PR_SET_NO_NEW_PRIVS`).
    ///
    /// # Errors
    /// [`FillError::Watch`]: EBUSY where a container's own supervisor listens already.
    pub fn install() -> Result<Self, FillError> {
        kernel::install(&mut program())
            .map(Self)
            .map_err(|source| FillError::Watch { action: "install a filter", source })
    }

    /// The descriptor, to be handed to the supervisor.
    pub fn into_descriptor(self) -> OwnedFd {
        self.0
    }

    /// What another process handed over.
    pub fn from_descriptor(descriptor: OwnedFd) -> Self {
        Self(descriptor)
    }
}

fn statement(code: u16, k: u32) -> sock_filter {
    sock_filter { code, jt: 0, jf: 0, k }
}

/// Jumps over so many instructions.
fn jump(code: u16, k: u32, if_true: u8, if_false: u8) -> sock_filter {
    sock_filter { code, jt: if_true, jf: if_false, k }
}

fn errno(number: u32) -> sock_filter {
    statement(RETURN, libc::SECCOMP_RET_ERRNO | number)
}

fn program() -> Vec<sock_filter> {
    let (allow, notify) =
        (statement(RETURN, libc::SECCOMP_RET_ALLOW), statement(RETURN, libc::SECCOMP_RET_USER_NOTIF));
    let mut program = vec![
        statement(LOAD, ARCH),
        jump(JUMP_EQUAL, ARCHITECTURE, 1, 0),
        errno(libc::ENOSYS as u32),
        statement(LOAD, NUMBER),
    ];
    if cfg!(target_arch = "x86_64") {
        program.extend([jump(JUMP_AT_LEAST, X32, 0, 1), errno(libc::ENOSYS as u32)]);
    }
    for (number, refused) in REFUSED {
        program.extend([jump(JUMP_EQUAL, *number as u32, 0, 1), errno(u32::from(refused.0))]);
    }
    for (number, flags) in NAME_SPACES {
        let wanted = (libc::CLONE_NEWUSER | libc::CLONE_NEWNS) as u32;
        program.extend([
            jump(JUMP_EQUAL, *number as u32, 0, 4),
            statement(LOAD, low_half(*flags)),
            jump(JUMP_ANY_BIT, wanted, 0, 1),
            errno(libc::EPERM as u32),
            allow,
        ]);
    }
    for (number, flags) in BY_DESCRIPTOR {
        program.extend([
            jump(JUMP_EQUAL, *number as u32, 0, 4),
            statement(LOAD, low_half(*flags)),
            jump(JUMP_EQUAL, libc::AT_EMPTY_PATH as u32, 0, 1),
            allow,
            notify,
        ]);
    }
    for (number, _) in watched().filter(|(number, _)| BY_DESCRIPTOR.iter().all(|(other, _)| other != number))
    {
        program.extend([jump(JUMP_EQUAL, number as u32, 0, 1), notify]);
    }
    program.push(allow);
    program
}

/// Where the lower half of an argument stands.
fn low_half(argument: u8) -> u32 {
    ARGUMENTS + 8 * u32::from(argument) + if cfg!(target_endian = "big") { 4 } else { 0 }
}
