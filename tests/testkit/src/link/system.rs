//! The two system calls of the link emulator that the language can't check: a new namespace, a TUN device.
#![allow(unsafe_code)]

use std::fs::{File, OpenOptions};
use std::io;

use rustix::ioctl::{Setter, ioctl};
use rustix::thread::{UnshareFlags, unshare_unsafe};

/// `TUNSETIFF` of linux/if_tun.h: `_IOW('T', 202, int)`.
const TUNSETIFF: rustix::ioctl::Opcode = 0x4004_54ca;
/// `IFF_TUN | IFF_NO_PI`: packets of IP, without a header before them.
const FLAGS: i16 = 0x0001 | 0x1000;

/// `struct ifreq` as far as `TUNSETIFF` looks at it.
#[repr(C)]
struct Request {
    name: [u8; 16],
    flags: i16,
    rest: [u8; 22],
}

/// Moves the calling thread into a new network namespace.
pub(super) fn new_namespace() -> io::Result<()> {
    // SAFETY: only the network namespace is changed; files, memory and identity of the thread stay shared.
    unsafe { unshare_unsafe(UnshareFlags::NEWNET) }.map_err(io::Error::from)
}

/// A TUN device `name` in the namespace of the calling thread. It goes away with the last handle of the file.
pub(super) fn tun_device(name: &str) -> io::Result<File> {
    let file = OpenOptions::new().read(true).write(true).open("/dev/net/tun")?;
    let mut request = Request { name: [0; 16], flags: FLAGS, rest: [0; 22] };
    // One byte is left for the zero at the end.
    for (to, from) in request.name[..15].iter_mut().zip(name.bytes()) {
        *to = from;
    }
    // SAFETY: the opcode is TUNSETIFF, which reads (and fills in the name of) a `struct ifreq`, whose size and layout
    // `Request` has; it lives until the call returns.
    unsafe { ioctl(&file, Setter::<TUNSETIFF, Request>::new(request)) }?;
    Ok(file)
}
