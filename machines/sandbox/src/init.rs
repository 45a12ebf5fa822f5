//! The first process inside: puts everything together, starts the command, takes in orphans, and ends with the command.

use std::error::Error as _;
use std::ffi::{OsStr, OsString};
use std::io;
use std::os::fd::AsFd as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::Command;

use nix::libc;
use nix::sched::{CloneFlags, unshare};
use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::process::{Pid, WaitOptions};

use crate::bare::{self, Doubled};
use crate::channel::Channel;
use crate::error::SandboxError;
use crate::fill;
use crate::launch::{Place, Word, ended};
use crate::mounts;
use crate::privileges;
use crate::relay::Relay;
use crate::sandbox::{Network, Sandbox};
use crate::seccomp;
use crate::support::Obstacle;
use crate::tree;

/// Why nothing was run, for who isn't told otherwise.
const NOT_RUN: i32 = 125;

/// Becomes the first process of a sandbox.
pub(crate) fn run(
    sandbox: &Sandbox,
    command: &[OsString],
    place: &Place,
    watched: bool,
    in_user_namespace: bool,
    channel: Channel,
) -> ! {
    match start(sandbox, command, place, watched, in_user_namespace, &channel) {
        Ok((command, relay)) => {
            drop(channel);
            let code = attend(command, &relay).unwrap_or(NOT_RUN as u8);
            bare::end(i32::from(code));
        }
        Err(error) => {
            tell(&channel, &error);
            bare::end(NOT_RUN)
        }
    }
}

fn tell(channel: &Channel, error: &SandboxError) {
    let mut message = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        message.push_str(&format!(": {cause}"));
        source = cause.source();
    }
    let obstacle = match error {
        SandboxError::Inside { obstacle, .. } | SandboxError::Namespaces { obstacle, .. } => obstacle.clone(),
        SandboxError::Io { source, .. } if mounts::is_missing_in_kernel(source) => Some(Obstacle::OldKernel),
        _ => None,
    };
    // A caller that is gone needs no telling.
    let _ = channel.send(&Word::Failed { message, obstacle }, &[]);
}

fn start(
    sandbox: &Sandbox,
    command: &[OsString],
    place: &Place,
    watched: bool,
    in_user_namespace: bool,
    channel: &Channel,
) -> Result<(Pid, Relay), SandboxError> {
    privileges::end_with_parent().map_err(failed("bind to its caller"))?;
    let built = tree::build(sandbox, &place.scaffold, in_user_namespace)?;
    if let Some(name) = &sandbox.hostname {
        rustix::system::sethostname(name.as_bytes()).map_err(failed("name"))?;
    }
    if sandbox.network == Network::None {
        bare::raise_loopback().map_err(failed("give a network to"))?;
    }
    mounts::change_root(&built.root).map_err(failed("enter"))?;

    unshare(CloneFlags::CLONE_NEWUSER).map_err(|errno| SandboxError::Namespaces {
        obstacle: Obstacle::to_namespaces(),
        source: errno.into(),
    })?;
    privileges::end_with_parent().map_err(failed("bind to its caller"))?;
    let upper: Vec<_> = built.upper.iter().map(|upper| upper.as_fd()).collect();
    channel.send(&Word::Entered, &upper).map_err(failed("speak of"))?;
    drop(built);
    match channel.receive().map_err(failed("hear of"))? {
        Some((Word::Go, _)) => {}
        _ => return Err(SandboxError::Vanished),
    }

    let kept = privileges::kept_by(sandbox.identity);
    privileges::reduce_to(kept).map_err(failed("give up privileges for"))?;
    privileges::hide().map_err(failed("close"))?;
    privileges::end_with_parent().map_err(failed("bind to its caller"))?;
    if is_left(channel) {
        return Err(SandboxError::Vanished);
    }
    let relay = Relay::begin().map_err(failed("take signals for"))?;
    match bare::double(0).map_err(failed("start a process in"))? {
        Doubled::Parent(command) => {
            privileges::drop_all().map_err(failed("give up privileges for"))?;
            privileges::end_with_parent().map_err(failed("bind to its caller"))?;
            Ok((command, relay))
        }
        Doubled::Child => become_command(sandbox, command, watched, channel),
    }
}

fn failed<E: Into<io::Error>>(action: &'static str) -> impl FnOnce(E) -> SandboxError {
    SandboxError::io(action, Path::new("the sandbox"))
}

/// Whether the caller is gone: then nobody ends this process any more.
fn is_left(channel: &Channel) -> bool {
    let mut polled = [PollFd::new(channel, PollFlags::empty())];
    let now = Timespec { tv_sec: 0, tv_nsec: 0 };
    rustix::event::poll(&mut polled, Some(&now)).is_ok_and(|ready| ready > 0)
}

/// Becomes the command.
fn become_command(sandbox: &Sandbox, command: &[OsString], watched: bool, channel: &Channel) -> ! {
    let error = match prepare(sandbox, watched, channel) {
        Ok(()) => {
            let mut words = command.iter().map(OsString::as_os_str);
            let program = words.next().unwrap_or(OsStr::new(""));
            let error = Command::new(program).args(words).env_clear().envs(&sandbox.variables).exec();
            if is_nowhere(sandbox, program) { io::ErrorKind::NotFound.into() } else { error }
        }
        Err(error) => {
            tell(channel, &error);
            bare::end(NOT_RUN)
        }
    };
    let _ = channel.send(&Word::NotExecuted { error: error.raw_os_error().unwrap_or(libc::ENOENT) }, &[]);
    bare::end(NOT_RUN)
}

/// Whether no directory of programs has this one. Ones that may not be entered hide that.
fn is_nowhere(sandbox: &Sandbox, program: &OsStr) -> bool {
    let path = sandbox.variables.get(OsStr::new("PATH")).map(OsString::as_os_str).unwrap_or_default();
    !program.as_bytes().contains(&b'/')
        && !std::env::split_paths(path).any(|directory| directory.join(program).is_file())
}

fn prepare(sandbox: &Sandbox, watched: bool, channel: &Channel) -> Result<(), SandboxError> {
    close_directories().map_err(failed("close descriptors for"))?;
    bare::close_on_exec(3).map_err(failed("close descriptors for"))?;
    nix::sys::signal::SigSet::empty().thread_set_mask().map_err(failed("give signals to"))?;
    if watched {
        // Whoever is asked has to read the path of the first call, which starts the command. Nobody else is inside yet.
        privileges::show().map_err(failed("open"))?;
        let listener = fill::Listener::install()
            .map_err(|error| SandboxError::Inside { message: error.to_string(), obstacle: None })?
            .into_descriptor();
        channel.send(&Word::Listener, &[listener.as_fd()]).map_err(failed("speak of"))?;
    }
    bare::install_filter(seccomp::profile().instructions()).map_err(failed("filter calls of"))?;
    // Last, since a directory of software may have to be filled first.
    if rustix::process::chdir(&sandbox.directory).is_err() {
        rustix::process::chdir("/").map_err(failed("find a directory for"))?;
    }
    Ok(())
}

/// A standard descriptor that is a directory of the host would lead out of the sandbox.
fn close_directories() -> io::Result<()> {
    let (input, output, errors) = (io::stdin(), io::stdout(), io::stderr());
    let standard = [input.as_fd(), output.as_fd(), errors.as_fd()];
    for (number, descriptor) in standard.iter().enumerate() {
        if mounts::is_directory(descriptor).unwrap_or(false) {
            let null = std::fs::File::options().read(true).write(true).open("/dev/null")?;
            match number {
                0 => rustix::stdio::dup2_stdin(&null)?,
                1 => rustix::stdio::dup2_stdout(&null)?,
                _ => rustix::stdio::dup2_stderr(&null)?,
            }
        }
    }
    Ok(())
}

/// Takes in orphans until the command has ended.
fn attend(command: Pid, relay: &Relay) -> io::Result<u8> {
    let look = || loop {
        match rustix::process::wait(WaitOptions::NOHANG) {
            Ok(Some((process, status))) if process == command => {
                return Ok(ended(Some((process, status))));
            }
            Ok(Some(_)) => {}
            Ok(None) => return Ok(None),
            Err(errno) => return Err(errno.into()),
        }
    };
    Ok(relay.until(look, command, &[])?.unwrap_or(NOT_RUN as u8))
}
