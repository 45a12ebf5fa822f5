//! The thread that waits for an answer: what its arguments point to, and where its paths begin.
//!
//! All of it may change while it is looked at, by other threads of the process. It is only used to find out what to fill, or to
//! answer that very thread; what the kernel does after that, it decides by what it reads itself.

use std::os::fd::OwnedFd;
use std::path::Path;

use rustix::fs::{Mode, OFlags, open};
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, PidfdGetfdFlags, pidfd_getfd, pidfd_open};

use super::calls::{Base, PathArgument};
use super::kernel::{self, Notification};

/// The longest path that the kernel takes, with the NUL.
const PATH_MAX: usize = 4096;

/// The thread that waits for an answer.
#[derive(Clone, Copy)]
pub(super) struct Target<'a> {
    pub(super) notification: &'a Notification,
}

/// A path as the caller gave it.
pub(super) struct GivenPath {
    /// Where it begins, as the mount name space shows it; `None` if the path is absolute.
    pub(super) base: Option<Vec<u8>>,
    /// The path itself.
    pub(super) path: Vec<u8>,
}

impl Target<'_> {
    /// An argument.
    pub(super) fn argument(&self, number: u8) -> u64 {
        self.notification.arguments[usize::from(number)]
    }

    /// An argument that is an `int`.
    pub(super) fn flags(&self, number: u8) -> i32 {
        self.argument(number) as u32 as i32
    }

    /// A path among the arguments; `None` for one that the kernel refuses, and for one that begins nowhere.
    pub(super) fn path(&self, argument: PathArgument) -> Option<GivenPath> {
        let path = self.text(self.argument(argument.path))?;
        if path.first() == Some(&b'/') {
            return Some(GivenPath { base: None, path });
        }
        let base = match argument.base {
            Base::WorkingDirectory => self.working_directory()?,
            Base::Argument(number) => match self.flags(number) {
                libc::AT_FDCWD => self.working_directory()?,
                descriptor => self.link(&format!("fd/{descriptor}"))?,
            },
        };
        Some(GivenPath { base: Some(base), path })
    }

    /// A text that ends with NUL, as long as a path may be.
    fn text(&self, address: u64) -> Option<Vec<u8>> {
        let mut buffer = [0; PATH_MAX];
        // Nearly every path is short.
        for length in [256, PATH_MAX] {
            let read = kernel::read_memory(self.notification.thread, address, &mut buffer[..length]);
            if let Some(end) = memchr::memchr(0, &buffer[..read]) {
                return Some(buffer[..end].to_vec());
            }
            if read < length {
                break;
            }
        }
        None
    }

    /// The number at an address.
    pub(super) fn number_at(&self, address: u64) -> Option<u64> {
        let mut bytes = [0; 8];
        (kernel::read_memory(self.notification.thread, address, &mut bytes) == bytes.len())
            .then(|| u64::from_ne_bytes(bytes))
    }

    pub(super) fn working_directory(&self) -> Option<Vec<u8>> {
        self.link("cwd")
    }

    /// The directory that its absolute paths begin at.
    pub(super) fn root(&self) -> Option<Vec<u8>> {
        self.link("root")
    }

    /// What a link below its directory in `/proc` leads to, if that is a path.
    pub(super) fn link(&self, name: &str) -> Option<Vec<u8>> {
        let text = rustix::fs::readlink(self.proc(name), Vec::new()).ok()?.into_bytes();
        (text.first() == Some(&b'/')).then_some(text)
    }

    /// Opens the root that its mount name space shows.
    pub(super) fn open_root(&self) -> Result<OwnedFd, Errno> {
        open(self.proc("root"), OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
    }

    /// The same open file as one of its descriptors, with the position that both share.
    pub(super) fn descriptor(&self, number: i32) -> Result<OwnedFd, Errno> {
        let process = self.status("Tgid:").and_then(|numbers| numbers.first().copied());
        let process = process.and_then(Pid::from_raw).ok_or(Errno::SRCH)?;
        pidfd_getfd(pidfd_open(process, PidfdFlags::empty())?, number, PidfdGetfdFlags::empty())
    }

    /// Its process' and its own number, as it sees them itself.
    pub(super) fn own_numbers(&self) -> Option<(i32, i32)> {
        Some((*self.status("NStgid:")?.last()?, *self.status("NSpid:")?.last()?))
    }

    /// How users, or groups, of this process are called there.
    pub(super) fn identities(&self, map: &str) -> Vec<(u32, u32, u32)> {
        let text = std::fs::read_to_string(self.proc(map)).unwrap_or_default();
        text.lines()
            .filter_map(|line| {
                let mut numbers = line.split_whitespace().map(str::parse);
                Some((numbers.next()?.ok()?, numbers.next()?.ok()?, numbers.next()?.ok()?))
            })
            .collect()
    }

    /// Its memory, for writing.
    pub(super) fn memory(&self) -> std::io::Result<std::fs::File> {
        std::fs::OpenOptions::new().write(true).open(self.proc("mem"))
    }

    /// What identifies one of its name spaces; empty if that is not told.
    pub(super) fn name_space(&self, kind: &str) -> Vec<u8> {
        let link = self.proc("ns").join(kind);
        rustix::fs::readlink(link, Vec::new()).map(std::ffi::CString::into_bytes).unwrap_or_default()
    }

    /// Its real user, 0 for one with the right to pass over permissions, and its groups, as this process calls them.
    pub(super) fn who(&self) -> (u32, Vec<u32>) {
        const PASS_OVER: u64 = 1 << 1;
        let text = std::fs::read_to_string(self.proc("status")).unwrap_or_default();
        let field = |name: &str| text.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default();
        let numbers =
            |name: &str| field(name).split_whitespace().filter_map(|number| number.parse::<u32>().ok());
        let may_pass = u64::from_str_radix(field("CapEff:").trim(), 16).is_ok_and(|set| set & PASS_OVER != 0);
        let user = if may_pass { 0 } else { numbers("Uid:").next().unwrap_or(65534) };
        (user, numbers("Gid:").take(1).chain(numbers("Groups:")).collect())
    }

    fn status(&self, field: &str) -> Option<Vec<i32>> {
        let text = std::fs::read_to_string(self.proc("status")).ok()?;
        let line = text.lines().find_map(|line| line.strip_prefix(field))?;
        Some(line.split_whitespace().filter_map(|number| number.parse().ok()).collect())
    }

    fn proc(&self, name: &str) -> std::path::PathBuf {
        Path::new("/proc").join(self.notification.thread.to_string()).join(name)
    }
}
