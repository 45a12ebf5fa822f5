//! The process of a machine.
//!
//! QEMU's standard input is a file that was locked before it was started, and stays locked as long as QEMU, or what is about to
//! become QEMU, lives: whoever started it may be killed at any instant. QEMU itself locks the file of its number, which
//! tells whose number that is, also when numbers are used again. Nothing has to be written down when it ends.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use rustix::fs::{FlockOperation, flock};
use rustix::process::{
    Flock, FlockOffsetType, FlockType, Pid, PidfdFlags, Signal, fcntl_getlk, pidfd_open, pidfd_send_signal,
};

use super::PROGRAM;
use super::monitor::Monitor;
use crate::error::HypervisorError;

/// The file that QEMU locks.
pub(super) const FILE: &str = "qemu.pid";
/// The file that is locked when QEMU is started.
const ALIVE: &str = "qemu.alive";
/// How long a process may take until it has told its number, and a look at it.
const NUMBER: Duration = Duration::from_secs(30);
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

/// The process of a machine, if it has one.
///
/// # Errors
/// [`HypervisorError::Late`] if one is there that doesn't tell its number.
pub(super) fn find(directory: &Path) -> Result<Option<Pid>, HypervisorError> {
    let end = Instant::now() + NUMBER;
    while is_alive(directory)? {
        if let Some(process) = number(directory)? {
            return Ok(Some(process));
        }
        if Instant::now() > end {
            let name = directory.file_name().unwrap_or_default().to_string_lossy().into_owned();
            return Err(HypervisorError::Late { name, what: "did not start", limit: NUMBER, hint: "" });
        }
        std::thread::sleep(POLL);
    }
    Ok(None)
}

/// Whether the file that QEMU is started with is locked.
fn is_alive(directory: &Path) -> Result<bool, HypervisorError> {
    let path = directory.join(ALIVE);
    let file = match File::open(&path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(HypervisorError::io("open", &path)(error)),
    };
    // Shared with others who only look.
    match flock(&file, FlockOperation::NonBlockingLockShared) {
        Ok(()) => Ok(false),
        Err(rustix::io::Errno::WOULDBLOCK) => Ok(true),
        Err(error) => Err(HypervisorError::io("look at", &path)(error.into())),
    }
}

/// Locks the file that QEMU is started with.
fn lock(name: &str, directory: &Path) -> Result<File, HypervisorError> {
    let path = directory.join(ALIVE);
    let mut options = OpenOptions::new();
    let file = options.read(true).write(true).create(true).truncate(false).mode(0o600).open(&path);
    let file = file.map_err(HypervisorError::io("open", &path))?;
    let end = Instant::now() + NUMBER;
    loop {
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => return Ok(file),
            // Somebody looks at it for a moment, or a process is there after all.
            Err(rustix::io::Errno::WOULDBLOCK) if Instant::now() < end => std::thread::sleep(POLL),
            Err(rustix::io::Errno::WOULDBLOCK) => {
                return Err(HypervisorError::Program {
                    program: PROGRAM.to_owned(),
                    action: "start",
                    name: name.to_owned(),
                    said: "one runs already".to_owned(),
                });
            }
            Err(error) => return Err(HypervisorError::io("lock", &path)(error.into())),
        }
    }
}

/// Who holds the lock of the file that QEMU writes its number to.
fn number(directory: &Path) -> Result<Option<Pid>, HypervisorError> {
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
    let failed = |error: rustix::io::Errno| HypervisorError::io("look at", &path)(error.into());
    Ok(fcntl_getlk(&file, &lock).map_err(failed)?.and_then(|lock| lock.pid))
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
        .stdin(lock(name, directory)?)
        .stdout(Stdio::null())
        .stderr(copy)
        .spawn()
        .map_err(super::missing(SESSION, "util-linux"))?;
    child.wait().map_err(HypervisorError::io("wait for", Path::new(SESSION)))?;
    let end = Instant::now() + START;
    loop {
        let answer = Monitor::connect(name, &directory.join(super::MONITOR), START);
        if answer.is_ok() && find(directory)?.is_some() {
            return Ok(());
        }
        if !is_alive(directory)? {
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
