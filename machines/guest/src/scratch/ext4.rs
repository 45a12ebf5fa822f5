//! What only the kernel can do to a mounted ext4: make it larger, give it an identity of its own.
#![allow(unsafe_code)]

use std::os::fd::AsFd;

use rustix::io;
use rustix::ioctl::{Opcode, Setter, ioctl, opcode};

/// `EXT4_IOC_RESIZE_FS`, from the kernel's `fs/ext4/ext4.h`.
const RESIZE: Opcode = opcode::write::<u64>(b'f', 16);
/// `EXT4_IOC_SETFSUUID`, from the kernel's `include/uapi/linux/ext4.h`.
const SET_UUID: Opcode = opcode::write::<UuidHeader>(b'f', 44);

/// The part of `struct fsuuid` before its flexible array, whose size the number of the call has in it.
#[repr(C)]
struct UuidHeader {
    length: u32,
    flags: u32,
}

/// `struct fsuuid` with room for an identifier.
#[repr(C)]
struct Uuid {
    header: UuidHeader,
    bytes: [u8; 16],
}

/// Makes a mounted file system, of which `root` is open, this many blocks large.
pub(super) fn resize(root: impl AsFd, blocks: u64) -> io::Result<()> {
    // SAFETY: the call reads a u64 behind the pointer and writes nothing to it, as the kernel's definition of it says.
    unsafe { ioctl(root, Setter::<RESIZE, u64>::new(blocks)) }
}

/// Gives a mounted file system this identifier. Kernels before 6.0 can't.
pub(super) fn set_uuid(root: impl AsFd, bytes: [u8; 16]) -> io::Result<()> {
    let uuid = Uuid { header: UuidHeader { length: 16, flags: 0 }, bytes };
    // SAFETY: the call reads the header and as many bytes behind it as it says, which are there, and writes nothing.
    unsafe { ioctl(root, Setter::<SET_UUID, Uuid>::new(uuid)) }
}
