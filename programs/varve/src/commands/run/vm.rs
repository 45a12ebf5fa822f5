//! `varve run --vm`: the same command in a machine with a kernel of its own, started for it and gone with it.
//!
//! This process is everything that the machine has: it answers the machine's kernel for every directory that is shown, carries
//! the command's streams, and hands on signals. See docs/decisions/0013-run-in-a-machine.md.

mod boot_files;
mod console;
mod conversation;
mod shown;
mod streams;

use std::ffi::OsString;
use std::io::IsTerminal as _;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use clap::Args;
use rustix::termios::tcgetwinsize;
use varve_hypervisor::{AcceleratorChoice, Megabytes, RunningTransient, Transient};
use varve_repository::Reference;
use varve_sandbox::errand::{
    CONTROL, ERRORS, Errand, INPUT, OUTPUT, Terminal, WORD, WRITTEN, WindowSize, mount_channel,
};
use varve_sandbox::{Collection, Identity, Limits, Network, Root, Sandbox, Writes};

use self::boot_files::BootFiles;
use self::console::Console;
use self::conversation::Conversation;
use self::shown::Shown;
use self::streams::Streams;
use super::bindings::{self, Bindings};
use super::software::Chosen;
use super::{PlaceOptions, SoftwareOptions, VariableOptions, account};
use crate::failure::Failure;
use crate::invocation::Invocation;

/// A machine has no more processors unless more are asked for.
const USUAL_CORES: usize = 16;
/// Nor more memory.
const USUAL_MEMORY: u64 = 2 << 30;
/// What its kernel and the guest need.
const LEAST_MEMORY: u64 = 128 << 20;
/// So much at the end of the largest table of names is of no use to anybody.
const LARGEST_HOSTS: usize = 1 << 20;

/// A machine for the command.
#[derive(Args, Debug)]
pub(crate) struct VmOptions {
    /// Run the command in a virtual machine with a kernel of its own
    #[arg(long)]
    pub(super) vm: bool,
    /// The machine's kernel: a package that apt knows, its file, or a kernel's file
    #[arg(long, value_name = "PACKAGE|FILE", requires = "vm")]
    kernel: Option<String>,
    /// The static guest
    ///
    /// Without it, the one beside this program, or the one that cargo built.
    #[arg(long, value_name = "FILE", requires = "vm")]
    guest: Option<PathBuf>,
    /// What executes the machine: auto, kvm, tcg
    #[arg(long, value_name = "WHAT", default_value = "auto", value_parser = accelerator, requires = "vm")]
    accelerator: AcceleratorChoice,
    /// Start the machine's clock at this date instead of now, such as 2012-07-04
    #[arg(long, value_name = "DATE", requires = "vm")]
    date: Option<String>,
}

/// Runs a command to its end and returns its exit code.
pub(super) fn execute(
    invocation: &Invocation,
    software: SoftwareOptions,
    place: PlaceOptions,
    vm: &VmOptions,
    variables: &VariableOptions,
    command: Vec<OsString>,
) -> Result<u8, Failure> {
    let Chosen { system, software, started, image, variables: of_document } = software.choose(invocation)?;
    let system = system.ok_or_else(|| {
        Failure::usage("a machine has nothing of this host's own system")
            .hint("name one for it with --env or --system")
    })?;
    if place.keep.is_some() {
        return Err(Failure::usage("what a machine writes can't be kept for the next run")
            .hint("hand it over with --collect, or run without --vm"));
    }
    let time = time(vm.date.as_deref(), invocation.now())?;
    let identity = if place.as_root { Identity::Root } else { Identity::Own };
    let account = account(invocation, identity);
    let Bindings { binds, directory } = bindings::of(&place, &account, true)?;
    let directory = place.directory.or_else(|| started.directory.clone()).unwrap_or(directory);
    let command = started.words(command, || variables.shell(invocation, true));
    let files = BootFiles::find(invocation, vm.kernel.as_deref(), vm.guest.as_deref(), image.as_ref())?;
    let collection = place.collect.as_deref().map(Collection::create).transpose()?;
    let terminal = terminal();
    let user = (rustix::process::getuid().as_raw(), rustix::process::getgid().as_raw());

    let mut channels = Channels::default();
    let control = channels.add(CONTROL)?;
    let streams = Streams {
        input: channels.add(INPUT)?,
        output: channels.add(OUTPUT)?,
        errors: channels.add(ERRORS)?,
        written: collection.is_some().then(|| channels.add(WRITTEN)).transpose()?,
    };
    let mut shown = Shown::new(user);
    let root = Root::Tree(shown.repository(invocation, &system)?);
    let mut inside = shown.software(invocation, software)?;
    inside.extend(shown.binds(binds)?);
    let tunnels =
        (0..shown.len()).map(|number| channels.add(&mount_channel(number))).collect::<Result<_, _>>()?;
    let (console, said) = pair()?;
    let console = Console::follow(console, invocation.verbose);
    let network = if place.no_network { Network::None } else { Network::Host };
    let machine = Transient {
        kernel: files.kernel,
        initramfs: files.initramfs,
        command_line: command_line(network, invocation.verbose),
        cores: cores(place.cpus),
        memory: memory(place.memory.map(varve_store::ByteSize::get))?,
        network: network == Network::Host,
        channels: channels.theirs,
        console: said.into(),
    };
    let cache = invocation.places()?.cache().join("vm");
    let mut machine = machine.start(vm.accelerator, &cache)?;
    say_accelerator(invocation, &machine);
    let mounts = shown.serve(tunnels)?;
    let hostname = rustix::system::uname().nodename().to_string_lossy().into_owned();
    let errand = Errand {
        sandbox: Sandbox {
            root,
            writes: Writes::Discard,
            binds: inside,
            directory,
            variables: variables.all(&account, true, of_document),
            identity,
            account: Some(account),
            network,
            limits: Limits::default(),
            hostname: None,
        },
        command,
        mounts,
        user,
        processes: place.processes,
        time,
        hosts: hosts(),
        hostname: place.hostname.unwrap_or(hostname),
        terminal,
        collect: collection.is_some(),
    };
    let conversation = Conversation { control, streams, console: &console, collection };
    let code = conversation.hold(errand);
    // Nothing of it is left when this program ends.
    let ended = machine.end().map_err(|error| Failure::io("wait for", Path::new("the machine"), error));
    let code = code?;
    ended.map(|()| code)
}

/// The sockets to a machine.
#[derive(Default)]
struct Channels {
    theirs: Vec<(String, std::os::fd::OwnedFd)>,
}

impl Channels {
    /// Makes another one; this end of it.
    fn add(&mut self, name: &str) -> Result<UnixStream, Failure> {
        let (ours, theirs) = pair()?;
        self.theirs.push((name.to_owned(), theirs.into()));
        Ok(ours)
    }
}

fn pair() -> Result<(UnixStream, UnixStream), Failure> {
    UnixStream::pair().map_err(|error| Failure::io("make", Path::new("a channel"), error))
}

fn command_line(network: Network, verbose: bool) -> String {
    // Programs of old systems make some calls at fixed addresses, which kernels of today don't have unless they are told to.
    let mut words = vec!["console=ttyS0", "panic=-1", "vsyscall=xonly", WORD];
    words.push(if verbose { "varve.debug" } else { "quiet" });
    if network == Network::Host {
        words.push(Transient::ADDRESS);
    }
    words.join(" ")
}

fn cores(millicpus: Option<u64>) -> u16 {
    let usual = || std::thread::available_parallelism().map_or(1, usize::from).min(USUAL_CORES) as u64;
    let cores = millicpus.map_or_else(usual, |millicpus| millicpus.div_ceil(1000));
    u16::try_from(cores.clamp(1, 255)).unwrap_or(255)
}

/// Half of what there is, up to the usual, unless it is said.
fn memory(bytes: Option<u64>) -> Result<Megabytes, Failure> {
    let info = rustix::system::sysinfo();
    let all = info.totalram as u64 * u64::from(info.mem_unit.max(1));
    let bytes = bytes.unwrap_or_else(|| (all / 2).min(USUAL_MEMORY));
    if bytes < LEAST_MEMORY {
        return Err(Failure::usage("a machine needs at least 128 MiB of memory"));
    }
    Megabytes::new(bytes.div_ceil(1 << 20)).map_err(Failure::usage_error)
}

/// The caller's terminal, if the command is to have one: where what is typed would be shown nowhere, it is a pipe like others.
fn terminal() -> Option<Terminal> {
    let (output, errors) = (std::io::stdout().is_terminal(), std::io::stderr().is_terminal());
    let is_terminal = std::io::stdin().is_terminal() && (output || errors);
    is_terminal.then(|| Terminal { output, errors, size: window_size() })
}

/// How large the caller's terminal is.
fn window_size() -> WindowSize {
    let size = tcgetwinsize(std::io::stdin());
    size.map_or(WindowSize { rows: 24, columns: 80 }, |size| WindowSize {
        rows: size.ws_row,
        columns: size.ws_col,
    })
}

fn hosts() -> String {
    let mut text = std::fs::read("/etc/hosts").unwrap_or_default();
    text.truncate(LARGEST_HOSTS);
    String::from_utf8_lossy(&text).into_owned()
}

/// What the machine's clock is set to: a date's beginning, or now.
fn time(date: Option<&str>, now: SystemTime) -> Result<(i64, u32), Failure> {
    let Some(date) = date else {
        let now = now.duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
        return Ok((now.as_secs() as i64, now.subsec_nanos()));
    };
    match date.parse() {
        Ok(Reference::Date { seconds, .. }) => Ok((i64::try_from(seconds).unwrap_or(i64::MAX), 0)),
        _ => Err(Failure::usage(format!("'{date}' is no date since 1970"))
            .hint("write 2012-07-04 or 2012-07-04T12:00:00Z")),
    }
}

fn accelerator(text: &str) -> Result<AcceleratorChoice, String> {
    Ok(match text {
        "auto" => AcceleratorChoice::Auto,
        "kvm" => AcceleratorChoice::Kvm,
        "tcg" => AcceleratorChoice::Tcg,
        _ => return Err("expected auto, kvm or tcg".to_owned()),
    })
}

fn say_accelerator(invocation: &Invocation, machine: &RunningTransient) {
    if invocation.verbose {
        let accelerator = machine.accelerator();
        invocation.output.say(format!(
            "the machine runs under {}: {}",
            accelerator.as_str(),
            accelerator.why
        ));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_is_as_large_as_it_is_said() {
        assert_eq!((cores(Some(1)), cores(Some(1000)), cores(Some(1001))), (1, 1, 2));
        assert_eq!(cores(Some(1_000_000_000)), 255);
        assert_eq!(memory(Some(512 << 20)).expect("because it is enough").number(), 512);
        assert!(memory(Some(1 << 20)).is_err());
    }

    #[test]
    fn a_clock_starts_at_a_date() {
        let now = UNIX_EPOCH + Duration::new(5, 6);
        assert_eq!(time(None, now).expect("because it is now"), (5, 6));
        assert_eq!(
            time(Some("2012-07-04T00:00:00Z"), now).expect("because it is a date"),
            (1_341_360_000, 0)
        );
        assert!(time(Some("yesterday"), now).is_err() && time(Some("1912-07-04"), now).is_err());
    }
}
