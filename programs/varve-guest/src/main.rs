//! The program `varve-guest`: composition of the guest's library into the machine's first process, and nothing else.
//!
//! What it is, its name and place tell: the first process boots, or runs an errand; under the name `shutdown` it ends the machine; otherwise the
//! first argument is a command.

mod appliance;
mod mount;
mod update;

use std::ffi::OsString;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::SystemTime;

use varve_guest::boot::{self, Surroundings};
use varve_guest::console::chain;
use varve_guest::places::PROGRAM;
use varve_guest::shutdown::{self, End};
use varve_guest::{GuestError, errand, os_mount};

const USAGE: &str = "usage: varve-guest mount NAME[@REVISION] DIRECTORY --server URL --key FILE [--proxy LIST] \
    [--cache DIRECTORY] [--cache-quota SIZE]\n       varve-guest umount DIRECTORY\n";
const LAST: &str = "Boots the machine when it is its first process.\n";

fn main() -> ExitCode {
    let mut arguments = std::env::args_os();
    let name = arguments.next().unwrap_or_default();
    let arguments: Vec<OsString> = arguments.collect();
    let called = Path::new(&name).file_name().unwrap_or_default().to_owned();
    if called == "shutdown" {
        let end = arguments.iter().filter_map(|word| word.to_str()).find_map(End::named);
        shutdown::run(end.unwrap_or(End::PowerOff));
        return ExitCode::FAILURE;
    }
    if rustix::process::getpid().is_init() {
        if errand::is_meant() {
            errand::run();
            return ExitCode::FAILURE;
        }
        let program = std::env::current_exe().unwrap_or_else(|_| PathBuf::from("/init"));
        boot::run(&Surroundings { program, arguments, now: SystemTime::now });
        return ExitCode::FAILURE;
    }
    let words: Vec<String> =
        arguments.iter().skip(1).map(|word| word.to_string_lossy().into_owned()).collect();
    match arguments.first().and_then(|command| command.to_str()) {
        Some(os_mount::SUPERVISOR) => served(os_mount::supervisor),
        Some(os_mount::WORKER) => served(|| os_mount::worker(SystemTime::now)),
        Some(errand::COMMAND) => {
            let written = arguments.get(1).map(Path::new);
            told(errand::command::run(written).map_err(|error| error.to_string()))
        }
        Some("mount") => told(mount::mount(&words, Path::new(PROGRAM))),
        Some("umount") => told(mount::unmount(&words)),
        Some("update") => shown(update::run(&words, SystemTime::now)),
        Some("appliance") => shown(appliance::run(&words, SystemTime::now)),
        _ => {
            say(&[USAGE, update::USAGE, appliance::USAGE, LAST].concat());
            ExitCode::from(2)
        }
    }
}

/// A command of a unit, whose messages systemd keeps.
fn told(result: Result<(), String>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            say(&format!("varve-guest: {message}\n"));
            ExitCode::FAILURE
        }
    }
}

/// A command of people, whose answer they see.
fn shown(result: Result<String, String>) -> ExitCode {
    let result = result.and_then(|text| {
        std::io::stdout().write_all(text.as_bytes()).map_err(|error| format!("cannot answer: {error}"))
    });
    told(result)
}

/// A process of a mount, whose messages go to the mount's log.
fn served(process: impl FnOnce() -> Result<(), GuestError>) -> ExitCode {
    tracing_subscriber::fmt().with_writer(std::io::stderr).with_ansi(false).init();
    match process() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say(&format!("{}\n", chain(&error)));
            ExitCode::FAILURE
        }
    }
}

fn say(text: &str) {
    let _ = std::io::stderr().write_all(text.as_bytes());
}
