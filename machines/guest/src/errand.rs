//! A machine for one command: no user data, no system of its own, only what the host says and shows through channels. It ends
//! when the host has heard how the command ended, or is gone.
//!
//! ```text
//!  kernel file systems ─▶ drivers ─▶ channels ─▶ Ready … Start ─▶ clock ─▶ network ─▶ mounts ─▶ sandbox ─▶ Ended
//! ```
//!
//! What the command sees and may do is the matter of `varve-sandbox`, here as on a host: it is the same code.

mod channels;
pub mod command;
mod streams;

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::path::Path;
use std::process::{Child, Command, ExitStatus};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use parking_lot::Mutex;
use rustix::mount::MountFlags;
use rustix::process::{Pid, Signal};
use rustix::time::{ClockId, Timespec, clock_settime};
use varve_mount::Entrance;
use varve_sandbox::errand::{
    CONTROL, Errand, Failed, FromMachine, Stream, ToMachine, VERSION, WRITTEN, mount_channel, mount_point,
    receive, send,
};
use varve_sandbox::{Network, Root};

use self::channels::Channels;
use self::streams::{Ends, Streams};
use crate::command_line::CommandLine;
use crate::console::{Console, chain};
use crate::error::GuestError;
use crate::modules::Modules;
use crate::places::{NEW_ROOT, RUN};
use crate::shutdown::End;
use crate::{kernel_mounts, network, switch};

/// The name of the hidden command that becomes the sandbox.
pub const COMMAND: &str = "errand-command";
/// What that command is told, and what it leaves.
pub(crate) const ORDER: &str = "/run/varve/errand.json";
pub(crate) const OUTCOME: &str = "/run/varve/outcome.json";
/// Where sandboxes are put together.
pub(crate) const SCAFFOLD: &str = "/run/varve/sandbox";
/// Where control groups are mounted for a limit.
const GROUPS: &str = "/sys/fs/cgroup";
/// The guest's own program, which is behind this name for as long as the machine runs.
const PROGRAM: &str = "/proc/self/exe";
/// How long a card may take to have its address, which needs nobody's answer.
const NETWORK_PATIENCE: Duration = Duration::from_secs(10);

/// Whether this machine is for an errand. To be asked by its first process.
pub fn is_meant() -> bool {
    let mounted = kernel_mounts::mount_all();
    let line = fs::read_to_string("/proc/cmdline").unwrap_or_default();
    mounted.is_ok() && CommandLine::parse(&line).has(&[varve_sandbox::errand::WORD])
}

/// Runs the errand, and switches the machine off.
pub fn run() {
    let line = CommandLine::parse(&fs::read_to_string("/proc/cmdline").unwrap_or_default());
    let console = Console::open(line.has(&["varve.debug"]));
    if let Err(error) = attend(&line, &console) {
        console.error(chain(&error), error.hint());
    }
    End::PowerOff.now();
}

/// Speaks with the host until it is gone.
fn attend(line: &CommandLine, console: &Console) -> Result<(), GuestError> {
    enter_root()?;
    let mut modules = Modules::of_image();
    modules.load_always(console);
    modules.load_for_devices(console);
    let channels = Channels::new();
    let control = channels.open(CONTROL)?;
    let ends = Ends::open(&channels)?;
    let failed = |source| GuestError::io("use the channel", Path::new(CONTROL))(source);
    let mut said = control.try_clone().map_err(failed)?;
    let mut heard = control;
    console.detail("waiting for the host");
    send(&mut said, &FromMachine::Ready { version: VERSION }).map_err(failed)?;
    let Some(ToMachine::Start(errand)) = receive(&mut heard).map_err(failed)? else {
        return Err(failed(io::ErrorKind::InvalidData.into()));
    };
    match start(&errand, line, &channels, ends, console) {
        Ok(running) => {
            let process = Arc::clone(&running.process);
            let (terminal, closed) = (running.streams.terminal(), running.streams.closed());
            let last = thread::spawn(move || {
                let message = running.finish();
                let sent = send(&mut said, &message);
                if let Err(error) = sent {
                    tracing::debug!(%error, "nobody hears how the command ended");
                }
            });
            follow(heard, &process, terminal.as_ref(), &closed);
            drop(last);
        }
        Err(error) => {
            let message = Failed {
                message: format!("in the machine: {}", chain(&error)),
                hint: error.hint().map(str::to_owned),
                not_executed: None,
            };
            send(&mut said, &FromMachine::Failed(message)).map_err(failed)?;
            // The host ends the machine.
            let _ = receive::<ToMachine>(&mut heard);
        }
    }
    Ok(())
}

/// Passes on what the host says, until it is gone.
fn follow(
    mut heard: File,
    process: &Mutex<Option<Pid>>,
    terminal: Option<&File>,
    [output, errors]: &[Arc<AtomicBool>; 2],
) {
    while let Ok(Some(message)) = receive(&mut heard) {
        match message {
            ToMachine::Signal(number) => {
                let process = process.lock();
                if let (Some(process), Some(signal)) = (*process, Signal::from_named_raw(number)) {
                    let _ = rustix::process::kill_process(process, signal);
                }
            }
            ToMachine::Resized(size) => {
                if let Some(terminal) = terminal {
                    streams::resize(terminal, size);
                }
            }
            ToMachine::Closed(Stream::Output) => output.store(true, Ordering::Relaxed),
            ToMachine::Closed(Stream::Errors) => errors.store(true, Ordering::Relaxed),
            ToMachine::Start(_) => {}
        }
    }
}

/// An initramfs can't be left by those who have namespaces of their own: memory takes its place.
fn enter_root() -> Result<(), GuestError> {
    let root = Path::new(NEW_ROOT);
    fs::create_dir_all(root).map_err(GuestError::io("create", root))?;
    mount("tmpfs", root, MountFlags::NODEV, c"mode=0755,size=16M")?;
    let modules = Path::new("/lib/modules");
    if modules.is_dir() {
        let at = root.join("lib/modules");
        fs::create_dir_all(&at).map_err(GuestError::io("create", &at))?;
        rustix::mount::mount_bind(modules, &at)
            .map_err(|errno| GuestError::io("show", modules)(errno.into()))?;
    }
    switch::hand_on_mounts()?;
    switch::enter()?;
    for directory in ["/tmp", "/etc", "/mounts", RUN, SCAFFOLD, "/dev/pts"] {
        fs::create_dir_all(directory).map_err(GuestError::io("create", Path::new(directory)))?;
    }
    mount("devpts", Path::new("/dev/pts"), MountFlags::NOSUID | MountFlags::NOEXEC, c"mode=620,ptmxmode=666")
}

fn mount(kind: &str, at: &Path, flags: MountFlags, options: &std::ffi::CStr) -> Result<(), GuestError> {
    let flags = flags | MountFlags::NOSUID;
    rustix::mount::mount(kind, at, kind, flags, options)
        .map_err(|errno| GuestError::io("mount", at)(errno.into()))
}

/// A command that runs.
struct Running {
    child: Child,
    process: Arc<Mutex<Option<Pid>>>,
    streams: Streams,
    pumps: Vec<JoinHandle<u64>>,
}

fn start(
    errand: &Errand,
    line: &CommandLine,
    channels: &Channels,
    ends: Ends,
    console: &Console,
) -> Result<Running, GuestError> {
    let (seconds, nanoseconds) = errand.time;
    let time = Timespec { tv_sec: seconds, tv_nsec: nanoseconds.into() };
    clock_settime(ClockId::Realtime, time)
        .map_err(|errno| GuestError::io("set", Path::new("the clock"))(errno.into()))?;
    let _ = rustix::system::sethostname(errand.hostname.as_bytes());
    write(Path::new("/etc/hosts"), errand.hosts.as_bytes())?;
    if errand.sandbox.network == Network::Host {
        let fixed = network::address::Fixed::of_command_line(line)?;
        let network = network::bring_up(console, &fixed, NETWORK_PATIENCE)?;
        write(Path::new("/etc/resolv.conf"), network::resolver::text(&network).as_bytes())?;
    }
    for (number, shown) in errand.mounts.iter().enumerate() {
        let at = mount_point(number);
        fs::create_dir_all(&at).map_err(GuestError::io("create", Path::new(&at)))?;
        let stream = channels.open(&mount_channel(number))?;
        let entrance = Entrance { source: &shown.source, writable: shown.writable, mode: 0o40_755 };
        entrance.open(Path::new(&at), stream)?;
    }
    if let Root::Tree(tree) = &errand.sandbox.root {
        // Asked for once, so that a host which doesn't answer is told of here.
        fs::metadata(tree).map_err(GuestError::io("look at", tree))?;
    }
    let (user, group) = errand.user;
    let text = serde_json::to_vec(errand)
        .map_err(|error| GuestError::io("write", Path::new(ORDER))(error.into()))?;
    for (path, text) in [(ORDER, &text[..]), (OUTCOME, &[])] {
        let path = Path::new(path);
        write(path, text)?;
        fs::set_permissions(path, fs::Permissions::from_mode(0o600))
            .map_err(GuestError::io("protect", path))?;
        chown(path, Some(user), Some(group)).map_err(GuestError::io("hand over", path))?;
    }
    if errand.collect {
        let written = channels.find(WRITTEN)?;
        chown(&written, Some(user), Some(group)).map_err(GuestError::io("hand over", &written))?;
    }
    let streams = Streams::open(errand.terminal.as_ref(), errand.user)?;
    let mut command = Command::new(PROGRAM);
    command.arg(COMMAND).env_clear();
    if errand.collect {
        command.arg(channels.find(WRITTEN)?);
    }
    if errand.user != (0, 0) {
        use std::os::unix::process::CommandExt as _;
        command.gid(group).uid(user);
    }
    let (streams, pumps) = streams.attach(&mut command, ends)?;
    if let Some(most) = errand.processes {
        limit_processes(most)?;
    }
    let child = command.spawn().map_err(GuestError::io("start", Path::new(PROGRAM)))?;
    let process = Arc::new(Mutex::new(Some(Pid::from_child(&child))));
    Ok(Running { child, process, streams, pumps })
}

fn write(path: &Path, text: &[u8]) -> Result<(), GuestError> {
    let mut file = File::create(path).map_err(GuestError::io("create", path))?;
    file.write_all(text).map_err(GuestError::io("write", path))
}

/// Of all processes here, those of the guest itself not counted.
fn limit_processes(most: u64) -> Result<(), GuestError> {
    let groups = Path::new(GROUPS);
    mount("cgroup2", groups, MountFlags::NODEV | MountFlags::NOEXEC, c"")?;
    let own = groups.join("errand");
    let set = |path: &Path, text: &str| write(path, text.as_bytes());
    set(&groups.join("cgroup.subtree_control"), "+pids")?;
    fs::create_dir(&own).map_err(GuestError::io("create", &own))?;
    set(&own.join("cgroup.procs"), "0")?;
    let path = own.join("pids.current");
    let text = fs::read_to_string(&path).map_err(GuestError::io("read", &path))?;
    let present: u64 = text.trim().parse().unwrap_or_default();
    // The sandbox has two of its own: one that starts it, and the first one inside.
    set(&own.join("pids.max"), &(present + 2).saturating_add(most).to_string())
}

impl Running {
    /// Waits for the end, and until everything that was written is on its way.
    fn finish(mut self) -> FromMachine {
        let ended = self.child.wait();
        *self.process.lock() = None;
        self.streams.end();
        let mut sent = [0; 2];
        for (sent, pump) in sent.iter_mut().zip(self.pumps) {
            *sent = pump.join().unwrap_or_default();
        }
        let outcome = fs::read(OUTCOME).ok().and_then(|text| serde_json::from_slice(&text).ok());
        match (outcome, ended) {
            (Some(command::Outcome::Ended(code)), _) => FromMachine::Ended { code, sent },
            (Some(command::Outcome::Failed(failed)), _) => FromMachine::Failed(failed),
            (None, ended) => FromMachine::Failed(vanished(ended)),
        }
    }
}

fn vanished(ended: io::Result<ExitStatus>) -> Failed {
    let how = ended.map_or_else(|error| error.to_string(), |status| status.to_string());
    Failed {
        message: format!("in the machine: the process that starts the command ended ({how})"),
        hint: Some("more memory may help: --memory".to_owned()),
        not_executed: None,
    }
}
