//! What people see while the machine boots: progress and errors, on every console of the kernel and in a log.
//!
//! A console that can't be written to never holds up the boot.

use std::fmt::Display;
use std::fs::{self, File, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use rustix::time::{ClockId, clock_gettime};

/// Where the kernel says which consoles it has.
const ACTIVE: &str = "/sys/class/tty/console/active";

/// Every console, and the log once there is one.
pub struct Console {
    outputs: Mutex<Vec<File>>,
    detailed: bool,
}

impl Console {
    /// The consoles of the running kernel. With `detailed`, details are shown too.
    pub fn open(detailed: bool) -> Self {
        let names = fs::read_to_string(ACTIVE).unwrap_or_default();
        let named = names.split_whitespace().map(|name| Path::new("/dev").join(name));
        let mut outputs: Vec<File> = named.filter_map(|path| open_terminal(&path)).collect();
        if outputs.is_empty() {
            outputs.extend(open_terminal(Path::new("/dev/console")));
        }
        Self { outputs: Mutex::new(outputs), detailed }
    }

    /// One that writes to these files.
    pub fn of(outputs: Vec<File>) -> Self {
        Self { outputs: Mutex::new(outputs), detailed: true }
    }

    /// Writes everything to a file as well.
    pub fn log_to(&self, path: &Path) {
        if let Ok(file) = OpenOptions::new().create(true).append(true).open(path) {
            self.outputs.lock().unwrap_or_else(PoisonError::into_inner).push(file);
        }
    }

    /// A step of the boot.
    pub fn say(&self, what: impl Display) {
        self.write(&format!("{what}"));
    }

    /// What only somebody wants to know who looks for a fault.
    pub fn detail(&self, what: impl Display) {
        if self.detailed {
            self.write(&format!("{what}"));
        }
    }

    /// Something went wrong, and the boot goes on.
    pub fn warn(&self, what: impl Display) {
        self.write(&format!("warning: {what}"));
    }

    /// Something went wrong, and what somebody can do about it.
    pub fn error(&self, what: impl Display, hint: Option<&str>) {
        self.write(&format!("ERROR: {what}"));
        if let Some(hint) = hint {
            self.write(&format!("  -> {hint}"));
        }
    }

    /// Text as it stands, for a prompt.
    pub fn write_raw(&self, text: &str) {
        for mut output in self.outputs.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            let _ = output.write_all(text.as_bytes());
        }
    }

    fn write(&self, text: &str) {
        let uptime = clock_gettime(ClockId::Boottime);
        let (seconds, millis) = (uptime.tv_sec, uptime.tv_nsec / 1_000_000);
        // Foreign text must not steer the terminal.
        let text: String = text.chars().map(|c| if c.is_control() && c != '\n' { '?' } else { c }).collect();
        self.write_raw(&format!("[{seconds:4}.{millis:03}] varve: {text}\n"));
    }
}

fn open_terminal(path: &Path) -> Option<File> {
    let flags = rustix::fs::OFlags::NOCTTY | rustix::fs::OFlags::NONBLOCK;
    OpenOptions::new().write(true).custom_flags(flags.bits() as i32).open(path).ok()
}

/// An error and its causes in one line.
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        text.push_str(": ");
        text.push_str(&inner.to_string());
        cause = inner.source();
    }
    text
}
