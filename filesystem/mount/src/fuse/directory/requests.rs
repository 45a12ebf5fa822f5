//! The requests of a machine's kernel, and their answers.

use std::ffi::OsStr;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::time::SystemTime;

use fuser::{
    AccessFlags, BsdFileFlags, CopyFileRangeFlags, Errno, FileAttr, FileHandle, Filesystem, FopenFlags,
    Generation, INodeNo, InitFlags, IoctlFlags, KernelConfig, LockOwner, OpenFlags, RenameFlags, ReplyAttr,
    ReplyCreate, ReplyData, ReplyDirectory, ReplyEmpty, ReplyEntry, ReplyIoctl, ReplyLseek, ReplyOpen,
    ReplyStatfs, ReplyWrite, ReplyXattr, Request, TimeOrNow, WriteFlags,
};
use rustix::fs::{AtFlags, CWD, Mode, OFlags};

use super::{HostDirectory, LIFETIME, errno, path_of};
use crate::fuse::tunnel::LARGEST_REQUEST;

/// Answers with attributes, or an error.
fn answer(reply: ReplyEntry, found: Result<FileAttr, Errno>) {
    match found {
        Ok(attributes) => reply.entry(&LIFETIME, &attributes, Generation(0)),
        Err(errno) => reply.error(errno),
    }
}

fn answer_empty(reply: ReplyEmpty, done: Result<(), Errno>) {
    match done {
        Ok(()) => reply.ok(),
        Err(errno) => reply.error(errno),
    }
}

impl Filesystem for HostDirectory {
    fn init(&mut self, _: &Request, config: &mut KernelConfig) -> std::io::Result<()> {
        for capability in [
            InitFlags::FUSE_ASYNC_READ,
            InitFlags::FUSE_PARALLEL_DIROPS,
            // Who changes a file here, without the machine, is seen there.
            InitFlags::FUSE_AUTO_INVAL_DATA,
            InitFlags::FUSE_MAX_PAGES,
        ] {
            // What the kernel doesn't know it does without.
            let _ = config.add_capabilities(capability);
        }
        let _ = config.set_max_write(LARGEST_REQUEST);
        Ok(())
    }

    fn lookup(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEntry) {
        answer(reply, self.find(parent, name));
    }

    fn forget(&self, _: &Request, inode: INodeNo, times: u64) {
        self.forget_inode(inode, times);
    }

    fn getattr(&self, _: &Request, inode: INodeNo, _: Option<FileHandle>, reply: ReplyAttr) {
        match self.attributes(inode) {
            Ok(attributes) => reply.attr(&LIFETIME, &attributes),
            Err(errno) => reply.error(errno),
        }
    }

    fn setattr(
        &self,
        _: &Request,
        inode: INodeNo,
        mode: Option<u32>,
        user: Option<u32>,
        group: Option<u32>,
        size: Option<u64>,
        access_time: Option<TimeOrNow>,
        modification_time: Option<TimeOrNow>,
        _: Option<SystemTime>,
        _: Option<FileHandle>,
        _: Option<SystemTime>,
        _: Option<SystemTime>,
        _: Option<SystemTime>,
        _: Option<BsdFileFlags>,
        reply: ReplyAttr,
    ) {
        match self.change(inode, mode, (user, group), size, (access_time, modification_time)) {
            Ok(attributes) => reply.attr(&LIFETIME, &attributes),
            Err(errno) => reply.error(errno),
        }
    }

    fn readlink(&self, _: &Request, inode: INodeNo, reply: ReplyData) {
        let target =
            self.node(inode).and_then(|node| rustix::fs::readlinkat(&*node, "", Vec::new()).map_err(errno));
        match target {
            Ok(target) => reply.data(target.as_bytes()),
            Err(errno) => reply.error(errno),
        }
    }

    fn mknod(
        &self,
        request: &Request,
        parent: INodeNo,
        name: &OsStr,
        mode: u32,
        _: u32,
        _: u32,
        reply: ReplyEntry,
    ) {
        let kind = rustix::fs::FileType::from_raw_mode(mode);
        let made = self.writable_place(parent, name).and_then(|(directory, name)| {
            // No machine makes devices of this host.
            if !(kind.is_file() || kind.is_fifo() || kind.is_socket()) {
                return Err(Errno::EPERM);
            }
            let mode = Mode::from_raw_mode(mode & 0o777);
            rustix::fs::mknodat(&*directory, name, kind, mode, 0).map_err(errno)
        });
        answer(reply, made.and_then(|()| self.made(request, parent, name, Some(mode))));
    }

    fn mkdir(&self, request: &Request, parent: INodeNo, name: &OsStr, mode: u32, _: u32, reply: ReplyEntry) {
        let made = self.writable_place(parent, name).and_then(|(directory, name)| {
            rustix::fs::mkdirat(&*directory, name, Mode::from_raw_mode(mode & 0o1777)).map_err(errno)
        });
        answer(reply, made.and_then(|()| self.made(request, parent, name, Some(mode))));
    }

    fn unlink(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        let removed = self.writable_place(parent, name).and_then(|(directory, name)| {
            rustix::fs::unlinkat(&*directory, name, AtFlags::empty()).map_err(errno)
        });
        answer_empty(reply, removed);
    }

    fn rmdir(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        let removed = self.writable_place(parent, name).and_then(|(directory, name)| {
            rustix::fs::unlinkat(&*directory, name, AtFlags::REMOVEDIR).map_err(errno)
        });
        answer_empty(reply, removed);
    }

    fn symlink(&self, request: &Request, parent: INodeNo, name: &OsStr, target: &Path, reply: ReplyEntry) {
        let made = self
            .writable_place(parent, name)
            .and_then(|(directory, name)| rustix::fs::symlinkat(target, &*directory, name).map_err(errno));
        answer(reply, made.and_then(|()| self.made(request, parent, name, None)));
    }

    fn rename(
        &self,
        _: &Request,
        parent: INodeNo,
        name: &OsStr,
        new_parent: INodeNo,
        new_name: &OsStr,
        flags: RenameFlags,
        reply: ReplyEmpty,
    ) {
        let flags = rustix::fs::RenameFlags::from_bits_retain(flags.bits());
        let renamed = self.writable_place(parent, name).and_then(|(from, name)| {
            let (to, new_name) = self.writable_place(new_parent, new_name)?;
            rustix::fs::renameat_with(&*from, name, &*to, new_name, flags).map_err(errno)
        });
        answer_empty(reply, renamed);
    }

    fn link(&self, _: &Request, inode: INodeNo, parent: INodeNo, name: &OsStr, reply: ReplyEntry) {
        let made = self.writable_place(parent, name).and_then(|(directory, name)| {
            let node = self.node(inode)?;
            let from = path_of(&node);
            rustix::fs::linkat(CWD, from, &*directory, name, AtFlags::SYMLINK_FOLLOW).map_err(errno)
        });
        answer(reply, made.and_then(|()| self.find(parent, name)));
    }

    fn open(&self, _: &Request, inode: INodeNo, flags: OpenFlags, reply: ReplyOpen) {
        match self.opened(inode, OFlags::from_bits_retain(flags.0 as u32)) {
            Ok(file) => reply.opened(self.keep(file), FopenFlags::empty()),
            Err(errno) => reply.error(errno),
        }
    }

    fn create(
        &self,
        request: &Request,
        parent: INodeNo,
        name: &OsStr,
        mode: u32,
        _: u32,
        flags: i32,
        reply: ReplyCreate,
    ) {
        let made = self.writable_place(parent, name).and_then(|(directory, name)| {
            let flags = OFlags::from_bits_retain(flags as u32);
            let flags = flags & (OFlags::RWMODE | OFlags::EXCL | OFlags::TRUNC)
                | OFlags::CREATE
                | OFlags::NOFOLLOW
                | OFlags::NONBLOCK
                | OFlags::CLOEXEC;
            // Others may have been faster: theirs stays theirs.
            let exclusive = flags | OFlags::EXCL;
            let permissions = Mode::from_raw_mode(mode & 0o777);
            match rustix::fs::openat(&*directory, name, exclusive, permissions) {
                Ok(file) => Ok((file.into(), self.made(request, parent, name, Some(mode))?)),
                Err(rustix::io::Errno::EXIST) if !flags.contains(OFlags::EXCL) => {
                    let found = self.find(parent, name)?;
                    Ok((self.opened(found.ino, flags)?, found))
                }
                Err(error) => Err(errno(error)),
            }
        });
        match made {
            Ok((file, attributes)) => {
                let handle = self.keep(file);
                reply.created(&LIFETIME, &attributes, Generation(0), handle, FopenFlags::empty());
            }
            Err(errno) => reply.error(errno),
        }
    }

    fn read(
        &self,
        _: &Request,
        _: INodeNo,
        handle: FileHandle,
        offset: u64,
        size: u32,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyData,
    ) {
        let read = self.file(handle).and_then(|file| {
            let mut bytes = vec![0; size.min(LARGEST_REQUEST) as usize];
            let mut length = 0;
            // Less than was asked for would be taken for the end.
            while length < bytes.len() {
                match file.read_at(&mut bytes[length..], offset + length as u64) {
                    Ok(0) => break,
                    Ok(more) => length += more,
                    Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                    Err(error) => return Err(Errno::from(error)),
                }
            }
            bytes.truncate(length);
            Ok(bytes)
        });
        match read {
            Ok(bytes) => reply.data(&bytes),
            Err(errno) => reply.error(errno),
        }
    }

    fn write(
        &self,
        _: &Request,
        _: INodeNo,
        handle: FileHandle,
        offset: u64,
        bytes: &[u8],
        _: WriteFlags,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyWrite,
    ) {
        let written =
            self.file(handle).and_then(|file| file.write_all_at(bytes, offset).map_err(Errno::from));
        match written {
            Ok(()) => reply.written(bytes.len() as u32),
            Err(errno) => reply.error(errno),
        }
    }

    fn flush(&self, _: &Request, _: INodeNo, _: FileHandle, _: LockOwner, reply: ReplyEmpty) {
        // Everything is written when it is written.
        reply.ok();
    }

    fn release(
        &self,
        _: &Request,
        _: INodeNo,
        handle: FileHandle,
        _: OpenFlags,
        _: Option<LockOwner>,
        _: bool,
        reply: ReplyEmpty,
    ) {
        self.close(handle);
        reply.ok();
    }

    fn fsync(&self, _: &Request, _: INodeNo, handle: FileHandle, data: bool, reply: ReplyEmpty) {
        let synced = self.file(handle).and_then(|file| {
            let synced = if data { file.sync_data() } else { file.sync_all() };
            synced.map_err(Errno::from)
        });
        answer_empty(reply, synced);
    }

    fn opendir(&self, _: &Request, inode: INodeNo, _: OpenFlags, reply: ReplyOpen) {
        match self.opened(inode, OFlags::RDONLY) {
            Ok(file) => reply.opened(self.keep(file), FopenFlags::empty()),
            Err(errno) => reply.error(errno),
        }
    }

    fn readdir(&self, _: &Request, _: INodeNo, handle: FileHandle, offset: u64, mut reply: ReplyDirectory) {
        match self.list(handle, offset, &mut reply) {
            Ok(()) => reply.ok(),
            Err(errno) => reply.error(errno),
        }
    }

    fn releasedir(&self, _: &Request, _: INodeNo, handle: FileHandle, _: OpenFlags, reply: ReplyEmpty) {
        self.close(handle);
        reply.ok();
    }

    fn fsyncdir(&self, request: &Request, inode: INodeNo, handle: FileHandle, data: bool, reply: ReplyEmpty) {
        self.fsync(request, inode, handle, data, reply);
    }

    fn statfs(&self, _: &Request, inode: INodeNo, reply: ReplyStatfs) {
        match self.node(inode).and_then(|node| rustix::fs::fstatvfs(&*node).map_err(errno)) {
            Ok(room) => reply.statfs(
                room.f_blocks,
                room.f_bfree,
                room.f_bavail,
                room.f_files,
                room.f_ffree,
                room.f_bsize as u32,
                room.f_namemax as u32,
                room.f_frsize as u32,
            ),
            Err(errno) => reply.error(errno),
        }
    }

    fn fallocate(
        &self,
        _: &Request,
        _: INodeNo,
        handle: FileHandle,
        offset: u64,
        length: u64,
        mode: i32,
        reply: ReplyEmpty,
    ) {
        let mode = rustix::fs::FallocateFlags::from_bits_retain(mode as u32);
        let done = self
            .file(handle)
            .and_then(|file| rustix::fs::fallocate(&*file, mode, offset, length).map_err(errno));
        answer_empty(reply, done);
    }

    // What follows isn't offered: told so, the kernel does without and doesn't ask again.

    fn access(&self, _: &Request, _: INodeNo, _: AccessFlags, reply: ReplyEmpty) {
        reply.error(Errno::ENOSYS);
    }

    fn getxattr(&self, _: &Request, _: INodeNo, _: &OsStr, _: u32, reply: ReplyXattr) {
        reply.error(Errno::ENOSYS);
    }

    fn listxattr(&self, _: &Request, _: INodeNo, _: u32, reply: ReplyXattr) {
        reply.error(Errno::ENOSYS);
    }

    fn setxattr(&self, _: &Request, _: INodeNo, _: &OsStr, _: &[u8], _: i32, _: u32, reply: ReplyEmpty) {
        reply.error(Errno::ENOSYS);
    }

    fn removexattr(&self, _: &Request, _: INodeNo, _: &OsStr, reply: ReplyEmpty) {
        reply.error(Errno::ENOSYS);
    }

    fn lseek(&self, _: &Request, _: INodeNo, _: FileHandle, _: i64, _: i32, reply: ReplyLseek) {
        reply.error(Errno::ENOSYS);
    }

    fn ioctl(
        &self,
        _: &Request,
        _: INodeNo,
        _: FileHandle,
        _: IoctlFlags,
        _: u32,
        _: &[u8],
        _: u32,
        reply: ReplyIoctl,
    ) {
        reply.error(Errno::ENOTTY);
    }

    fn copy_file_range(
        &self,
        _: &Request,
        _: INodeNo,
        _: FileHandle,
        _: u64,
        _: INodeNo,
        _: FileHandle,
        _: u64,
        _: u64,
        _: CopyFileRangeFlags,
        reply: ReplyWrite,
    ) {
        reply.error(Errno::ENOSYS);
    }
}
