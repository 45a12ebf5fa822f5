//! A directory shown through FUSE in one of the kernel's two ways to native speed, to compare them on real work:
//!
//! `cargo run --release -p varve-mount --example native_speed -- no-open|passthrough DIRECTORY MOUNTPOINT`
//!
//! Serves until it is unmounted. Needs root. docs/decisions/0002-native-speed.md has what came of it.

#![expect(clippy::print_stderr, reason = "an example tells its user what is wrong")]

use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use fuser::{
    BackingId, Config, Errno, FileAttr, FileHandle, FileType, Filesystem, FopenFlags, Generation, INodeNo,
    InitFlags, KernelConfig, LockOwner, OpenFlags, ReplyAttr, ReplyData, ReplyDirectoryPlus, ReplyEmpty,
    ReplyEntry, ReplyOpen, Request,
};
use parking_lot::{Mutex, RwLock};

const LONG: Duration = Duration::from_secs(3600);

struct Shown {
    passthrough: bool,
    paths: RwLock<Paths>,
    handles: Mutex<HashMap<u64, Arc<BackingId>>>,
    next_handle: AtomicU64,
}

/// Inode numbers are places in a list that only grows.
struct Paths {
    list: Vec<PathBuf>,
    inodes: HashMap<PathBuf, u64>,
}

impl Shown {
    fn path(&self, inode: INodeNo) -> Option<PathBuf> {
        self.paths.read().list.get(inode.0 as usize).cloned()
    }

    fn attributes(&self, path: &Path) -> io::Result<FileAttr> {
        let metadata = fs::symlink_metadata(path)?;
        let known = self.paths.read().inodes.get(path).copied();
        let inode = known.unwrap_or_else(|| {
            let mut paths = self.paths.write();
            let next = paths.list.len() as u64;
            paths.list.push(path.to_owned());
            paths.inodes.insert(path.to_owned(), next);
            next
        });
        Ok(FileAttr {
            ino: INodeNo(inode),
            size: metadata.len(),
            blocks: metadata.blocks(),
            atime: SystemTime::UNIX_EPOCH,
            mtime: metadata.modified()?,
            ctime: SystemTime::UNIX_EPOCH,
            crtime: SystemTime::UNIX_EPOCH,
            kind: FileType::from_std(metadata.file_type()).unwrap_or(FileType::RegularFile),
            perm: (metadata.mode() & 0o7777) as u16,
            nlink: 1,
            uid: metadata.uid(),
            gid: metadata.gid(),
            rdev: 0,
            blksize: 4096,
            flags: 0,
        })
    }
}

fn errno(error: &io::Error) -> Errno {
    Errno::from_i32(error.raw_os_error().unwrap_or(5))
}

impl Filesystem for Shown {
    fn init(&mut self, _: &Request, config: &mut KernelConfig) -> io::Result<()> {
        let wanted =
            InitFlags::FUSE_DO_READDIRPLUS | InitFlags::FUSE_CACHE_SYMLINKS | InitFlags::FUSE_PARALLEL_DIROPS;
        let _ = config.add_capabilities(wanted);
        let ways = if self.passthrough {
            InitFlags::FUSE_PASSTHROUGH
        } else {
            InitFlags::FUSE_NO_OPEN_SUPPORT | InitFlags::FUSE_NO_OPENDIR_SUPPORT
        };
        config.add_capabilities(ways).map_err(|_| io::ErrorKind::Unsupported)?;
        if self.passthrough {
            config.set_max_stack_depth(1).map_err(|_| io::ErrorKind::Unsupported)?;
        }
        Ok(())
    }

    fn lookup(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEntry) {
        let Some(directory) = self.path(parent) else { return reply.error(Errno::ENOENT) };
        match self.attributes(&directory.join(name)) {
            Ok(attributes) => reply.entry(&LONG, &attributes, Generation(0)),
            Err(error) => reply.error(errno(&error)),
        }
    }

    fn getattr(&self, _: &Request, inode: INodeNo, _: Option<FileHandle>, reply: ReplyAttr) {
        let Some(path) = self.path(inode) else { return reply.error(Errno::ENOENT) };
        match self.attributes(&path) {
            Ok(attributes) => reply.attr(&LONG, &attributes),
            Err(error) => reply.error(errno(&error)),
        }
    }

    fn readlink(&self, _: &Request, inode: INodeNo, reply: ReplyData) {
        let Some(path) = self.path(inode) else { return reply.error(Errno::ENOENT) };
        match fs::read_link(&path) {
            Ok(target) => reply.data(target.as_os_str().as_encoded_bytes()),
            Err(error) => reply.error(errno(&error)),
        }
    }

    fn open(&self, _: &Request, inode: INodeNo, _: OpenFlags, reply: ReplyOpen) {
        if !self.passthrough {
            return reply.error(Errno::ENOSYS);
        }
        let Some(path) = self.path(inode) else { return reply.error(Errno::ENOENT) };
        match File::open(&path).and_then(|file| reply.open_backing(file)) {
            Ok(backing) => {
                let handle = self.next_handle.fetch_add(1, Ordering::Relaxed);
                let backing = Arc::new(backing);
                self.handles.lock().insert(handle, Arc::clone(&backing));
                reply.opened_passthrough(FileHandle(handle), FopenFlags::empty(), &backing);
            }
            Err(error) => reply.error(errno(&error)),
        }
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
        let released = self.handles.lock().remove(&handle.0);
        drop(released);
        reply.ok();
    }

    fn opendir(&self, _: &Request, _: INodeNo, _: OpenFlags, reply: ReplyOpen) {
        if self.passthrough {
            reply.opened(FileHandle(0), FopenFlags::FOPEN_CACHE_DIR | FopenFlags::FOPEN_KEEP_CACHE);
        } else {
            reply.error(Errno::ENOSYS);
        }
    }

    fn read(
        &self,
        _: &Request,
        inode: INodeNo,
        _: FileHandle,
        offset: u64,
        size: u32,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyData,
    ) {
        let Some(path) = self.path(inode) else { return reply.error(Errno::ENOENT) };
        let mut buffer = vec![0; size as usize];
        match File::open(&path).and_then(|file| file.read_at(&mut buffer, offset)) {
            Ok(length) => reply.data(&buffer[..length]),
            Err(error) => reply.error(errno(&error)),
        }
    }

    fn readdirplus(
        &self,
        _: &Request,
        inode: INodeNo,
        _: FileHandle,
        offset: u64,
        mut reply: ReplyDirectoryPlus,
    ) {
        let Some(path) = self.path(inode) else { return reply.error(Errno::ENOENT) };
        let listed = fs::read_dir(&path).and_then(|entries| {
            entries.map(|entry| entry.map(|entry| entry.file_name())).collect::<io::Result<Vec<OsString>>>()
        });
        match listed {
            Ok(names) => {
                for (number, name) in names.iter().enumerate().skip(offset as usize) {
                    let Ok(attributes) = self.attributes(&path.join(name)) else { continue };
                    if reply.add(attributes.ino, number as u64 + 1, name, &LONG, &attributes, Generation(0)) {
                        break;
                    }
                }
                reply.ok();
            }
            Err(error) => reply.error(errno(&error)),
        }
    }
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [way, directory, mount_point] = &arguments[..] else {
        eprintln!("usage: native_speed no-open|passthrough DIRECTORY MOUNTPOINT");
        return ExitCode::from(2);
    };
    let root = PathBuf::from(directory);
    let shown = Shown {
        passthrough: way == "passthrough",
        // No inode has the number 0, and the root has 1.
        paths: RwLock::new(Paths {
            list: vec![PathBuf::new(), root.clone()],
            inodes: HashMap::from([(root, 1)]),
        }),
        handles: Mutex::default(),
        next_handle: AtomicU64::new(1),
    };
    let mut config = Config::default();
    config.n_threads = Some(4);
    config.clone_fd = true;
    match fuser::mount(shown, mount_point, &config) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("native_speed: {error}");
            ExitCode::FAILURE
        }
    }
}
