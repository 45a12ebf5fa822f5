//! System calls that no crate has in a form that suits: each wrapped once, with what makes it safe.
#![allow(unsafe_code)]

use std::io;
use std::os::fd::{AsFd, AsRawFd as _};

use nix::libc;
use rustix::process::Pid;

/// Where a process goes on after it was doubled.
pub(crate) enum Doubled {
    Child,
    Parent(Pid),
}

/// fork(2) with `flags` of clone(2): the child is in new namespaces.
///
/// The caller has a single thread, else locks that others hold stay locked in the child.
pub(crate) fn double(flags: i32) -> io::Result<Doubled> {
    debug_assert!(
        std::fs::read_dir("/proc/self/task").map_or(true, |tasks| tasks.count() == 1),
        "a process with several threads was doubled"
    );
    let flags = libc::c_long::from(flags | libc::SIGCHLD);
    // SAFETY: without a stack and without CLONE_VM the child goes on here with a copy of everything, as after fork(2).
    let answer = unsafe { libc::syscall(libc::SYS_clone, flags, 0, 0, 0, 0) };
    match i32::try_from(answer).map(Pid::from_raw) {
        Ok(Some(child)) => Ok(Doubled::Parent(child)),
        Ok(None) if answer == 0 => Ok(Doubled::Child),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Ends this process at once: nothing that it has from its parent is flushed or unlocked a second time.
pub(crate) fn end(code: i32) -> ! {
    // SAFETY: it doesn't return and touches no memory.
    unsafe { libc::_exit(code) }
}

/// Sets attributes of a mount, and of all below it.
pub(crate) fn set_mount_attributes(mount: impl AsFd, attributes: u64) -> io::Result<()> {
    let set = libc::mount_attr { attr_set: attributes, attr_clr: 0, propagation: 0, userns_fd: 0 };
    // SAFETY: the path is empty and ends with a zero, and the structure is as long as is said.
    let answer = unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            mount.as_fd().as_raw_fd(),
            c"".as_ptr(),
            libc::AT_EMPTY_PATH | libc::AT_RECURSIVE,
            &raw const set,
            size_of::<libc::mount_attr>(),
        )
    };
    done(answer).map(drop)
}

/// Lets no descriptor from `first` on survive the next execve(2).
pub(crate) fn close_on_exec(first: u32) -> io::Result<()> {
    // SAFETY: only flags of descriptors change.
    let answer = unsafe { libc::syscall(libc::SYS_close_range, first, u32::MAX, libc::CLOSE_RANGE_CLOEXEC) };
    done(answer).map(drop)
}

/// Installs a filter of system calls for this thread, which has given up new privileges.
pub(crate) fn install_filter(instructions: &[libc::sock_filter]) -> io::Result<()> {
    let program = libc::sock_fprog {
        len: u16::try_from(instructions.len()).map_err(|_| io::ErrorKind::InvalidInput)?,
        filter: instructions.as_ptr().cast_mut(),
    };
    // SAFETY: the kernel copies the program, which is as long as is said.
    let answer = unsafe {
        // Else kernels before 5.16 slow every program down that has a filter.
        let flags = libc::SECCOMP_FILTER_FLAG_SPEC_ALLOW;
        libc::syscall(libc::SYS_seccomp, libc::SECCOMP_SET_MODE_FILTER, flags, &raw const program)
    };
    done(answer).map(drop)
}

/// Lets children of this process disappear when they end, without being waited for.
pub(crate) fn forget_children() -> io::Result<()> {
    use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, sigaction};
    let action = SigAction::new(SigHandler::SigDfl, SaFlags::SA_NOCLDWAIT, SigSet::empty());
    // SAFETY: no handler is installed.
    unsafe { sigaction(Signal::SIGCHLD, &action) }.map(drop).map_err(io::Error::from)
}

/// The user at the other end of a local socket, when that was connected. Its process may have no number here, which is what no
/// crate expects.
pub(crate) fn peer_user(socket: impl AsFd) -> io::Result<u32> {
    let mut peer = libc::ucred { pid: 0, uid: u32::MAX, gid: u32::MAX };
    let mut length = size_of::<libc::ucred>() as libc::socklen_t;
    // SAFETY: the kernel writes no more than the length that is said.
    let answer = unsafe {
        libc::getsockopt(
            socket.as_fd().as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_PEERCRED,
            (&raw mut peer).cast(),
            &raw mut length,
        )
    };
    done(libc::c_long::from(answer)).map(|_| peer.uid)
}

fn done(answer: libc::c_long) -> io::Result<libc::c_long> {
    if answer < 0 { Err(io::Error::last_os_error()) } else { Ok(answer) }
}

/// Switches on the network interface by which a host speaks to itself.
pub(crate) fn raise_loopback() -> io::Result<()> {
    let socket = rustix::net::socket(rustix::net::AddressFamily::INET, rustix::net::SocketType::DGRAM, None)?;
    // SAFETY: zeroes are a request without a name and without flags.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    for (to, from) in request.ifr_name.iter_mut().zip(b"lo") {
        *to = *from as libc::c_char;
    }
    request.ifr_ifru.ifru_flags = (libc::IFF_UP | libc::IFF_RUNNING) as libc::c_short;
    // SAFETY: the request is complete, and is only read.
    let answer =
        unsafe { libc::ioctl(socket.as_raw_fd(), libc::SIOCSIFFLAGS as libc::Ioctl, &raw const request) };
    done(libc::c_long::from(answer)).map(drop)
}
