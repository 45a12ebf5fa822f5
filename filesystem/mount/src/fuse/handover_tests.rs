//! Deaths of the processes of a mount, with a file system of one file in place of a repository.
//!
//! The test binary is its own supervisor and worker: started with a channel as standard input, the two tests named
//! `becomes_…` become them; otherwise they do nothing.

use std::ffi::OsStr;
use std::fs::File;
use std::io::Read as _;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use fuser::{
    Errno, FileAttr, FileHandle, FileType, Filesystem, FopenFlags, Generation, INodeNo, LockOwner, OpenFlags,
    ReplyAttr, ReplyData, ReplyEntry, ReplyOpen, Request,
};

use super::mount_table;
use crate::order::{Access, MountOrder, Relaunch};
use crate::process::link::Link;
use crate::process::worker::{Prepared, work};
use crate::{MountError, start, unmount};

const SIZE: u64 = 1 << 30;
const SECOND: Duration = Duration::from_secs(1);

#[test]
fn becomes_supervisor() {
    if Link::from_standard_input().is_ok() {
        crate::supervisor().unwrap();
        std::process::exit(0);
    }
}

#[test]
fn becomes_worker() {
    if Link::from_standard_input().is_ok() {
        work(|order, _| {
            if order.settings["fails"] == true {
                return Err(MountError::Worker { message: "no such repository".into() });
            }
            if order.settings["crashes"] == true && mount_table::mounted_on(&order.directory)?.is_some() {
                std::process::abort();
            }
            Ok(Prepared { filesystem: OneFile, threads: 4, begun: Box::new(|_, _| {}) })
        })
        .unwrap();
        std::process::exit(0);
    }
}

#[test]
fn readers_see_no_error_when_the_worker_is_killed() {
    let Some(mount) = Scratch::mount(|_| {}) else { return };
    let stop = Arc::new(AtomicBool::new(false));
    let count = Arc::new(AtomicU64::new(0));
    let readers: Vec<_> = (0..4u64)
        .map(|reader| {
            let (stop, count, path) = (Arc::clone(&stop), Arc::clone(&count), mount.file());
            std::thread::spawn(move || {
                let file = File::open(&path).unwrap();
                let mut at = reader;
                while !stop.load(Ordering::Relaxed) {
                    at = at.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
                    let offset = (at >> 20) % (SIZE - 65536) / 8 * 8;
                    let mut buffer = [0; 65536];
                    file.read_exact_at(&mut buffer, offset).unwrap();
                    assert_eq!(buffer[..8], offset.to_ne_bytes());
                    assert_eq!(buffer[65528..], (offset + 65528).to_ne_bytes());
                    std::fs::metadata(&path).unwrap();
                    count.fetch_add(1, Ordering::Relaxed);
                }
            })
        })
        .collect();
    for kill in 0..8 {
        let before = count.load(Ordering::Relaxed);
        let worker = mount.worker();
        kill_process(worker);
        wait_until(|| mount.workers().first().is_some_and(|&now| now != worker));
        wait_until(|| count.load(Ordering::Relaxed) > before + 100);
        eprintln!("after kill {kill}: {} reads", count.load(Ordering::Relaxed));
    }
    stop.store(true, Ordering::Relaxed);
    for reader in readers {
        reader.join().unwrap();
    }
}

#[test]
fn a_killed_supervisor_is_replaced_and_the_mount_can_still_be_unmounted() {
    let Some(mount) = Scratch::mount(|_| {}) else { return };
    let file = File::open(mount.file()).unwrap();
    let supervisor = mount.supervisor();
    kill_process(supervisor);
    // It listens to signals once it holds what its predecessor held.
    wait_until(|| {
        mount.supervisors().first().is_some_and(|&now| now != supervisor && catches_termination(now))
    });
    // The new supervisor does what the old one did.
    let worker = mount.worker();
    kill_process(worker);
    let mut buffer = [0; 8];
    file.read_exact_at(&mut buffer, 4096).unwrap();
    assert_eq!(buffer, 4096u64.to_ne_bytes());
    wait_until(|| mount.workers().first().is_some_and(|&now| now != worker));
    drop(file);
    rustix::process::kill_process(pid(mount.supervisor()), rustix::process::Signal::TERM).unwrap();
    wait_until(|| mount.supervisors().is_empty() && mount.workers().is_empty());
    assert_eq!(mount_table::mounted_on(&mount.directory).unwrap(), None);
}

#[test]
fn a_worker_told_to_end_unmounts() {
    let Some(mount) = Scratch::mount(|_| {}) else { return };
    rustix::process::kill_process(pid(mount.worker()), rustix::process::Signal::TERM).unwrap();
    wait_until(|| mount.supervisors().is_empty() && mount.workers().is_empty());
    assert_eq!(mount_table::mounted_on(&mount.directory).unwrap(), None);
}

#[test]
fn open_files_keep_a_mount_alive_until_it_is_told_twice_to_end() {
    type Process = fn(&Scratch) -> u32;
    let processes: [(Process, bool); 3] =
        [(Scratch::supervisor, false), (Scratch::worker, false), (Scratch::supervisor, true)];
    for (told, adopted) in processes {
        let Some(mount) = Scratch::mount(|_| {}) else { return };
        if adopted {
            let first = mount.supervisor();
            kill_process(first);
            wait_until(|| !mount.supervisors().is_empty() && mount.supervisor() != first);
        }
        let mut open = File::open(mount.file()).unwrap();
        let told = told(&mount);
        wait_until(|| catches_termination(told));
        let terminate = || rustix::process::kill_process(pid(told), rustix::process::Signal::TERM).unwrap();
        terminate();
        wait_until(|| mount_table::mounted_on(&mount.directory).unwrap().is_none());
        open.read_exact(&mut [0; 4096]).unwrap();
        terminate();
        wait_until(|| mount.supervisors().is_empty() && mount.workers().is_empty());
        assert!(open.read(&mut [0; 4096]).is_err());
    }
}

#[test]
fn unmounting_returns_when_the_processes_have_ended() {
    for killed in [false, true] {
        let Some(mount) = Scratch::mount(|_| {}) else { return };
        if killed {
            // Both are then unknown to those who began, and one of them may be just starting.
            let supervisor = mount.supervisor();
            kill_process(supervisor);
            wait_until(|| mount.supervisors().first().is_some_and(|&now| catches_termination(now)));
            kill_process(mount.worker());
        }
        unmount(&mount.directory, false).unwrap();
        assert_eq!((mount.supervisors(), mount.workers()), (vec![], vec![]), "killed: {killed}");
    }
}

#[test]
fn a_dead_mount_is_cleared_by_the_next() {
    let Some(mount) = Scratch::mount(|_| {}) else { return };
    let (supervisor, worker) = (mount.supervisor(), mount.worker());
    rustix::process::kill_process(pid(worker), rustix::process::Signal::STOP).unwrap();
    kill_process(supervisor);
    kill_process(worker);
    wait_until(|| {
        std::fs::metadata(&mount.directory)
            .is_err_and(|error| error.kind() == std::io::ErrorKind::NotConnected)
    });
    start(mount.order()).unwrap();
    assert!(mount.file().exists());
    unmount(&mount.directory, false).unwrap();
    assert!(matches!(unmount(&mount.directory, false), Err(MountError::NotMounted { .. })));
}

#[test]
fn without_resending_a_killed_worker_costs_only_the_connection() {
    let Some(mount) = Scratch::mount(|order| order.without_resend = true) else { return };
    let worker = mount.worker();
    kill_process(worker);
    wait_until(|| mount.workers().first().is_some_and(|&now| now != worker) && mount.file().exists());
}

#[test]
fn a_worker_that_dies_again_and_again_ends_the_mount() {
    let Some(mount) = Scratch::mount(|order| order.settings["crashes"] = true.into()) else { return };
    kill_process(mount.worker());
    wait_until(|| mount.supervisors().is_empty());
    assert_eq!(mount_table::mounted_on(&mount.directory).unwrap(), None);
}

#[test]
fn a_mount_that_cannot_begin_says_why_and_leaves_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let mut order = order_for(directory.path());
    order.settings["fails"] = true.into();
    assert_eq!(start(order).unwrap_err().to_string(), "no such repository");
    assert_eq!(mount_table::mounted_on(directory.path()).unwrap(), None);
}

#[test]
fn a_busy_mount_stays_unless_told_otherwise() {
    let Some(mount) = Scratch::mount(|_| {}) else { return };
    let file = File::open(mount.file()).unwrap();
    assert!(matches!(unmount(&mount.directory, false), Err(MountError::Busy { .. })));
    rustix::mount::unmount(&mount.directory, rustix::mount::UnmountFlags::DETACH).unwrap();
    let mut buffer = [0; 8];
    file.read_exact_at(&mut buffer, 8).unwrap();
    assert_eq!(buffer, 8u64.to_ne_bytes());
    drop(file);
    wait_until(|| mount.supervisors().is_empty() && mount.workers().is_empty());
}

/// A mount for the time of one test.
struct Scratch {
    _kept: tempfile::TempDir,
    directory: PathBuf,
}

impl Scratch {
    fn mount(change: impl FnOnce(&mut MountOrder)) -> Option<Self> {
        if !Path::new("/dev/fuse").exists() {
            eprintln!("skipped: there is no /dev/fuse");
            return None;
        }
        let kept = tempfile::tempdir().unwrap();
        let directory = kept.path().canonicalize().unwrap();
        let mut order = order_for(&directory);
        change(&mut order);
        start(order).unwrap();
        Some(Self { _kept: kept, directory })
    }

    fn order(&self) -> MountOrder {
        order_for(&self.directory)
    }

    fn file(&self) -> PathBuf {
        self.directory.join("data")
    }

    fn supervisor(&self) -> u32 {
        wait_until(|| self.supervisors().len() == 1);
        self.supervisors()[0]
    }

    fn worker(&self) -> u32 {
        wait_until(|| self.workers().len() == 1);
        self.workers()[0]
    }

    fn supervisors(&self) -> Vec<u32> {
        self.processes("fuse::handover_tests::becomes_supervisor")
    }

    fn workers(&self) -> Vec<u32> {
        self.processes("fuse::handover_tests::becomes_worker")
    }

    /// The living processes of this mount: its directory is their last argument.
    fn processes(&self, role: &str) -> Vec<u32> {
        std::fs::read_dir("/proc")
            .unwrap()
            .filter_map(|entry| entry.unwrap().file_name().to_str()?.parse().ok())
            .filter(|pid: &u32| {
                let line = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
                let arguments: Vec<_> = line.split(|&byte| byte == 0).collect();
                arguments.contains(&role.as_bytes())
                    && arguments.contains(&self.directory.as_os_str().as_encoded_bytes())
            })
            .collect()
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = unmount(&self.directory, true);
    }
}

fn order_for(directory: &Path) -> MountOrder {
    // The further filter names no test; it tells the processes of one mount from those of another.
    let arguments = |role: &str| {
        let role = format!("fuse::handover_tests::{role}");
        vec!["--exact".into(), "--nocapture".into(), role.into(), directory.as_os_str().to_owned()]
    };
    MountOrder {
        directory: directory.to_owned(),
        source: "one file".into(),
        access: Access::Owner,
        set_id: false,
        relaunch: Relaunch {
            program: std::env::current_exe().unwrap(),
            shown_as: None,
            supervisor: arguments("becomes_supervisor"),
            worker: arguments("becomes_worker"),
        },
        settings: serde_json::json!({}),
        log: None,
        without_resend: false,
        without_attributes: false,
    }
}

/// Whether a process has begun to listen to SIGTERM.
fn catches_termination(process: u32) -> bool {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
    let caught = status.lines().find_map(|line| line.strip_prefix("SigCgt:"));
    let caught = caught.and_then(|digits| u64::from_str_radix(digits.trim(), 16).ok()).unwrap_or(0);
    caught & (1 << (rustix::process::Signal::TERM.as_raw() - 1)) != 0
}

fn kill_process(process: u32) {
    rustix::process::kill_process(pid(process), rustix::process::Signal::KILL).unwrap();
}

fn pid(process: u32) -> rustix::process::Pid {
    rustix::process::Pid::from_raw(process as i32).unwrap()
}

/// Polls; a condition that never holds fails the test after a minute.
fn wait_until(condition: impl Fn() -> bool) {
    for _ in 0..6000 {
        if condition() {
            return;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    panic!("the condition did not come true within a minute");
}

/// A root directory with the file `data`, whose every eight bytes are their own offset. Reads always ask the server.
struct OneFile;

impl OneFile {
    fn attributes(inode: u64) -> FileAttr {
        let now = SystemTime::UNIX_EPOCH;
        let directory = inode == 1;
        FileAttr {
            ino: INodeNo(inode),
            size: if directory { 0 } else { SIZE },
            blocks: 0,
            atime: now,
            mtime: now,
            ctime: now,
            crtime: now,
            kind: if directory { FileType::Directory } else { FileType::RegularFile },
            perm: 0o555,
            nlink: 1,
            uid: 0,
            gid: 0,
            rdev: 0,
            blksize: 4096,
            flags: 0,
        }
    }
}

impl Filesystem for OneFile {
    fn lookup(&self, _: &Request, _: INodeNo, name: &OsStr, reply: ReplyEntry) {
        if name == "data" {
            reply.entry(&SECOND, &Self::attributes(2), Generation(0));
        } else {
            reply.error(Errno::ENOENT);
        }
    }

    fn getattr(&self, _: &Request, inode: INodeNo, _: Option<FileHandle>, reply: ReplyAttr) {
        reply.attr(&Duration::ZERO, &Self::attributes(inode.0));
    }

    fn open(&self, _: &Request, _: INodeNo, _: OpenFlags, reply: ReplyOpen) {
        reply.opened(FileHandle(0), FopenFlags::FOPEN_DIRECT_IO);
    }

    fn read(
        &self,
        _: &Request,
        _: INodeNo,
        _: FileHandle,
        offset: u64,
        size: u32,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyData,
    ) {
        let end = (offset + u64::from(size)).min(SIZE);
        let bytes: Vec<u8> = (offset..end).step_by(8).flat_map(u64::to_ne_bytes).collect();
        reply.data(&bytes);
    }
}
