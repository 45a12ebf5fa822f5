//! The end: systemd has ended everything and gone back to `/run/initramfs`; what the guest mounted is unwound, and the machine
//! is switched off or started again.
//!
//! The scratch disk and the repository are mounted where only the guest's own processes see them: the way there is through the
//! root directory of one of these processes.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::sync;
use rustix::mount::{MountFlags, UnmountFlags, mount_remount, unmount};
use rustix::process::{chdir, chroot};
use rustix::system::{RebootCommand, reboot};

use crate::console::{Console, chain};
use crate::kernel_mounts;
use crate::places::{OS, SCRATCH};

/// How often unmounting is tried while something ends.
const ATTEMPTS: usize = 20;

/// How the machine ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// It is switched off.
    PowerOff,
    /// It starts again.
    Reboot,
    /// It stands still.
    Halt,
}

impl End {
    /// As systemd and people name it.
    pub fn named(word: &str) -> Option<Self> {
        Some(match word {
            "poweroff" | "shutdown" => Self::PowerOff,
            "reboot" | "kexec" | "soft-reboot" => Self::Reboot,
            "halt" => Self::Halt,
            _ => return None,
        })
    }

    /// Ends the machine at once. Returns only without the right to.
    pub fn now(self) {
        sync();
        let _ = reboot(match self {
            Self::PowerOff => RebootCommand::PowerOff,
            Self::Reboot => RebootCommand::Restart,
            Self::Halt => RebootCommand::Halt,
        });
    }
}

/// Unwinds everything, then ends the machine.
pub fn run(end: End) {
    // systemd has mounted these here; others may not have.
    let mounted = match Path::new("/proc/self").exists() {
        true => Ok(()),
        false => kernel_mounts::mount_all(),
    };
    let console = &Console::open(false);
    if let Err(error) = mounted {
        console.warn(chain(&error));
    }
    console.say("unmounting");
    unmount_below(Path::new("/oldroot"), console);
    if let Some(root) = own_root() {
        let entered = chroot(&root).and_then(|()| chdir("/"));
        match entered {
            Ok(()) => unwind(console),
            Err(error) => console.warn(format_args!("cannot enter {}: {error}", root.display())),
        }
    }
    console.say(match end {
        End::PowerOff => "powering off",
        End::Reboot => "starting again",
        End::Halt => "halted",
    });
    end.now();
}

/// The repository's mount first, whose cache is on the scratch disk.
fn unwind(console: &Console) {
    if let Err(error) = varve_mount::unmount(Path::new(OS), true) {
        console.detail(format_args!("{OS}: {}", chain(&error)));
    }
    let scratch = Path::new(SCRATCH);
    let unmounted = (0..ATTEMPTS).any(|_| match unmount(scratch, UnmountFlags::empty()) {
        Ok(()) | Err(rustix::io::Errno::INVAL) => true,
        Err(_) => {
            std::thread::sleep(Duration::from_millis(50));
            false
        }
    });
    if !unmounted && mount_remount(scratch, MountFlags::RDONLY, "").is_err() {
        console.warn("the scratch disk is still in use; its journal will mend it");
    }
    sync();
}

/// Takes away everything that is mounted below a directory, and on it, the latest first.
fn unmount_below(directory: &Path, console: &Console) {
    let table = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    let mut points: Vec<PathBuf> = table
        .lines()
        .filter_map(|line| line.split(' ').nth(4))
        .map(|point| PathBuf::from(unescape(point)))
        .filter(|point| point.starts_with(directory))
        .collect();
    points.reverse();
    for point in points {
        if unmount(&point, UnmountFlags::empty()).is_err()
            && let Err(error) = unmount(&point, UnmountFlags::DETACH)
        {
            console.detail(format_args!("{}: {error}", point.display()));
        }
    }
}

/// The mount table writes blanks and the like as three octal digits.
fn unescape(text: &str) -> String {
    let mut parts = text.split('\\');
    let mut out = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        match part.get(..3).and_then(|digits| u8::from_str_radix(digits, 8).ok()) {
            Some(byte) => {
                out.push(char::from(byte));
                out.push_str(&part[3..]);
            }
            None => {
                out.push('\\');
                out.push_str(part);
            }
        }
    }
    out
}

/// The root directory of a process of the guest that still serves a mount.
pub(crate) fn own_root() -> Option<PathBuf> {
    fs::read_dir("/proc").ok()?.flatten().find_map(|entry| {
        let process: u32 = entry.file_name().to_str()?.parse().ok()?;
        let line = fs::read(entry.path().join("cmdline")).ok()?;
        (process > 1 && line.starts_with(b"@varve-guest\0")).then(|| entry.path().join("root"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_in_the_mount_table_are_read() {
        assert_eq!(unescape("/a\\040b\\134c"), "/a b\\c");
        assert_eq!(unescape("/a\\04"), "/a\\04");
        assert_eq!(unescape("/plain"), "/plain");
    }

    #[test]
    fn systemd_names_the_end() {
        assert_eq!(End::named("reboot"), Some(End::Reboot));
        assert_eq!(End::named("poweroff"), Some(End::PowerOff));
        assert_eq!(End::named("--log-level"), None);
    }
}
