//! The process of a machine. QEMU keeps its file of its number locked as long as it lives, so that nobody takes another process
//! for it, not even when numbers are used again, and nothing has to be written down when it ends.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::process::{ChildStdin, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{
    Flock, FlockOffsetType, FlockType, Pid, PidfdFlags, Signal, fcntl_getlk, pidfd_open, pidfd_send_signal,
};

use super::PROGRAM;
use super::monitor::Monitor;
use crate::error::HypervisorError;

/// The file that QEMU locks.
pub(super) const FILE: &str = "qemu.pid";
/// The program that makes a session.
const SESSION: &str = "setsid";
/// How long QEMU may take until it runs by itself.
const START: Duration = Duration::from_secs(60);
/// How long a killed process may take to end.
const END: Duration = Duration::from_secs(30);
/// Between two looks.
const POLL: Duration = Duration::from_millis(10);
/// The most of what QEMU says that is repeated.
const MOST_SAID: u64 = 4096;

/// The process that holds the lock of a machine's file, if any.
pub(super) fn find(directory: &Path) -> Result<Option<Pid>, HypervisorError> {
    let path = directory.join(FILE);
    let file = match File::open(&path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(HypervisorError::io("open", &path)(error)),
    };
    let lock = Flock {
        start: 0,
        length: 0,
        pid: None,
        typ: FlockType::WriteLock,
        offset_type: FlockOffsetType::Set,
    };
    let holder =
        fcntl_getlk(&file, &lock).map_err(|error| HypervisorError::io("look at", &path)(error.into()))?;
    Ok(holder.and_then(|lock| lock.pid))
}

/// Since when a process runs, by the system's own clock.
pub(super) fn uptime(process: Pid) -> Option<Duration> {
    let stat = fs::read_to_string(format!("/proc/{}/stat", process.as_raw_nonzero())).ok()?;
    // The name, in brackets, may hold anything; the start is the 20th field behind it.
    let start: u64 = stat.rsplit_once(')')?.1.split_whitespace().nth(19)?.parse().ok()?;
    let uptime = fs::read_to_string("/proc/uptime").ok()?;
    let now: f64 = uptime.split_whitespace().next()?.parse().ok()?;
    let begun = start as f64 / rustix::param::clock_ticks_per_second() as f64;
    Some(Duration::from_secs_f64((now - begun).max(0.0)))
}

/// Starts QEMU in a session of its own, with nobody above it, and waits until it answers. (Its own way to the background is
/// not for use: what it forbids itself would end it there.)
///
/// # Errors
/// With what it said, if it ended instead.
pub(super) fn spawn(name: &str, directory: &Path, arguments: &[String]) -> Result<(), HypervisorError> {
    let path = directory.join("qemu.log");
    let mut options = OpenOptions::new();
    let log = options.read(true).append(true).create(true).mode(0o600).open(&path);
    let mut log = log.map_err(HypervisorError::io("open", &path))?;
    let begin = log.seek(SeekFrom::End(0)).map_err(HypervisorError::io("read", &path))?;
    let copy = log.try_clone().map_err(HypervisorError::io("use", &path))?;
    let mut child = Command::new(SESSION)
        .arg("--fork")
        .arg(PROGRAM)
        .args(arguments)
        .current_dir(directory)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(copy)
        .spawn()
        .map_err(super::missing(SESSION, "util-linux"))?;
    // Nothing is ever written to it; it is known by it that nobody holds the other end any more.
    let held = child.stdin.take();
    child.wait().map_err(HypervisorError::io("wait for", Path::new(SESSION)))?;
    let end = Instant::now() + START;
    loop {
        let answer = Monitor::connect(name, &directory.join(super::MONITOR), START);
        if answer.is_ok() && find(directory)?.is_some() {
            return Ok(());
        }
        if held.as_ref().is_none_or(has_ended) {
            let mut said = Vec::new();
            log.seek(SeekFrom::Start(begin))
                .and_then(|_| log.take(MOST_SAID).read_to_end(&mut said))
                .map_err(HypervisorError::io("read", &path))?;
            return Err(HypervisorError::Program {
                program: PROGRAM.to_owned(),
                action: "start",
                name: name.to_owned(),
                said: told(&String::from_utf8_lossy(&said)),
            });
        }
        if Instant::now() > end {
            kill(directory)?;
            return Err(HypervisorError::Late {
                name: name.to_owned(),
                what: "was not started",
                limit: START,
                hint: "",
            });
        }
        std::thread::sleep(POLL);
    }
}

/// Whether nobody reads from a pipe any more.
fn has_ended(pipe: &ChildStdin) -> bool {
    let mut polled = [PollFd::new(pipe, PollFlags::empty())];
    let now = Timespec { tv_sec: 0, tv_nsec: 0 };
    poll(&mut polled, Some(&now)).is_ok() && polled[0].revents().contains(PollFlags::ERR)
}

/// What QEMU said, in one line.
fn told(text: &str) -> String {
    let mut lines: Vec<&str> = text
        .lines()
        .filter(|line| !line.contains(": warning: "))
        .map(|line| line.trim_start_matches(PROGRAM).trim_start_matches([':', ' ']))
        .filter(|line| !line.is_empty())
        .collect();
    lines.dedup();
    if lines.is_empty() { "it ended without a word".to_owned() } else { lines.join("; ") }
}

/// Ends a machine's process at once, and waits until it is gone.
pub(super) fn kill(directory: &Path) -> Result<(), HypervisorError> {
    let end = Instant::now() + END;
    while let Some(process) = find(directory)? {
        let path = directory.join(FILE);
        let failed =
            |error: rustix::io::Errno| HypervisorError::io("end the process of", &path)(error.into());
        match pidfd_open(process, PidfdFlags::empty()) {
            // Seen again behind the descriptor, the number still means the machine's process.
            Ok(descriptor) if find(directory)? == Some(process) => {
                match pidfd_send_signal(&descriptor, Signal::KILL) {
                    Ok(()) | Err(rustix::io::Errno::SRCH) => {}
                    Err(error) => return Err(failed(error)),
                }
            }
            Ok(_) | Err(rustix::io::Errno::SRCH) => {}
            Err(error) => return Err(failed(error)),
        }
        if Instant::now() > end {
            return Err(failed(rustix::io::Errno::TIMEDOUT));
        }
        std::thread::sleep(POLL);
    }
    Ok(())
}

/// Waits until a machine's process is gone; whether it is.
pub(super) fn wait(directory: &Path, limit: Duration) -> Result<bool, HypervisorError> {
    let end = Instant::now() + limit;
    while find(directory)?.is_some() {
        if Instant::now() > end {
            return Ok(false);
        }
        std::thread::sleep(POLL);
    }
    Ok(true)
}
