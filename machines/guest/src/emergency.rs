//! The emergency console: a few words for whoever stands before a machine that doesn't boot. No shell, and only where the
//! kernel's command line asks for it.

use std::fs::{self, File};
use std::io::Read as _;
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::console::Console;
use crate::places::RUN;
use crate::shutdown::End;

/// How long nobody may be there before the boot goes on by itself.
const PATIENCE: Duration = Duration::from_secs(120);
/// The longest line.
const LONGEST: usize = 200;
const HELP: &str = "commands: status, log, kernel, mounts, retry, reboot, poweroff\n";

/// What somebody decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// To try again now.
    Retry,
    /// Nothing.
    Unanswered,
}

/// Asks what to do.
pub(crate) fn prompt(console: &Console) -> Answer {
    let Ok(mut input) = File::open("/dev/console") else { return Answer::Unanswered };
    console.write_raw("\nThis machine does not boot.\n");
    console.write_raw(HELP);
    loop {
        console.write_raw("varve> ");
        let Some(line) = read_line(&mut input) else {
            console.write_raw("\n");
            return Answer::Unanswered;
        };
        match line.trim() {
            "" => {}
            "retry" => return Answer::Retry,
            "status" => show(console, &status()),
            "log" => show_file(console, &Path::new(RUN).join("boot.log")),
            "kernel" => show(console, &kernel_log()),
            "mounts" => show_file(console, Path::new("/proc/self/mounts")),
            "reboot" => End::Reboot.now(),
            "poweroff" => End::PowerOff.now(),
            _ => console.write_raw(HELP),
        }
    }
}

/// A line that somebody types; `None` if nobody does.
fn read_line(input: &mut File) -> Option<String> {
    let until = Instant::now() + PATIENCE;
    let mut line = Vec::new();
    loop {
        let left = until.checked_duration_since(Instant::now())?;
        let timeout = Timespec { tv_sec: left.as_secs() as i64, tv_nsec: left.subsec_nanos().into() };
        let mut ready = [PollFd::new(input, PollFlags::IN)];
        if poll(&mut ready, Some(&timeout)).ok()? == 0 {
            return None;
        }
        let mut byte = [0];
        if input.read(&mut byte).ok()? == 0 {
            return None;
        }
        match byte[0] {
            b'\n' | b'\r' => return Some(String::from_utf8_lossy(&line).into_owned()),
            byte if line.len() < LONGEST => line.push(byte),
            _ => {}
        }
    }
}

fn status() -> String {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let mut text = format!("command line: {}", read("/proc/cmdline"));
    text.push_str(&format!("network cards: {}\n", names("/sys/class/net")));
    text.push_str(&format!("disks: {}\n", names("/sys/class/block")));
    text.push_str(&read("/proc/net/fib_trie").lines().take(20).collect::<Vec<_>>().join("\n"));
    text
}

fn names(directory: &str) -> String {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    let names: Vec<String> = entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    names.join(", ")
}

/// The end of what the kernel has said.
fn kernel_log() -> String {
    let flags = rustix::fs::OFlags::RDONLY | rustix::fs::OFlags::NONBLOCK;
    let Ok(log) = rustix::fs::open("/dev/kmsg", flags, rustix::fs::Mode::empty()) else {
        return String::new();
    };
    let mut lines = Vec::new();
    let mut buffer = vec![0; 8192];
    // Each read gives one message.
    while let Ok(length) = rustix::io::read(&log, &mut buffer) {
        let text = String::from_utf8_lossy(&buffer[..length]).into_owned();
        lines.extend(text.split_once(';').map(|(_, message)| message.trim_end().to_owned()));
    }
    let first = lines.len().saturating_sub(40);
    lines[first..].join("\n")
}

fn show_file(console: &Console, path: &Path) {
    show(console, &fs::read_to_string(path).unwrap_or_else(|error| error.to_string()));
}

fn show(console: &Console, text: &str) {
    for line in text.lines() {
        console.write_raw(&format!("{line}\n"));
    }
}
