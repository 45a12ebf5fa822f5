//! `varve run`: a command in an environment, or with repositories beside the host's own system.

mod bindings;
pub(crate) mod filler;
pub(crate) mod holder;
mod image;
mod log;
mod software;
mod variables;
mod vm;

use std::ffi::OsString;
use std::os::fd::{AsFd as _, OwnedFd};
use std::path::{Path, PathBuf};

use clap::Args;
use varve_sandbox::{
    Account, Collection, Identity, Limits, Network, Root, Sandbox, SandboxError, Watch, Writes,
};
use varve_store::ByteSize;

use self::bindings::Bindings;
use self::software::Chosen;
pub(crate) use self::software::SoftwareOptions;
pub(crate) use self::variables::VariableOptions;
use self::vm::VmOptions;
use crate::exit_code::ExitCode;
use crate::failure::Failure;
use crate::invocation::Invocation;

/// Run a command in an environment, or with repositories at /cvmfs
#[derive(Args, Debug)]
#[command(
    after_help = "Examples:\n  varve run -r software.example.org@v1 -- /cvmfs/software.example.org/bin/tool\n  varve run --env \
                  analysis-2012 -- ./make-plots\n  varve run --system os.example.org@2024 -- cat /etc/os-release\n  varve run --image \
                  containers.example.org:registry.example.org/tools/analysis:3 -- analyse data.root\nNeither root nor \
                  anything installed is needed. The exit code is the command's, 128 and the number of the signal that ended it, \
                  or 125, 126, 127 if it could not be started: see docs/operate/run.md."
)]
pub(crate) struct Run {
    #[command(flatten)]
    software: SoftwareOptions,
    #[command(flatten)]
    place: PlaceOptions,
    #[command(flatten)]
    variables: VariableOptions,
    #[command(flatten)]
    vm: VmOptions,
    /// The command; without it the environment's own, or a shell
    #[arg(last = true, value_name = "COMMAND")]
    command: Vec<OsString>,
}

/// What a command sees and may do, beside software.
#[derive(Args, Debug)]
pub(crate) struct PlaceOptions {
    /// Show a directory or file of the host too, at the same path or at DST; ro: read-only; may be repeated
    #[arg(long = "bind", value_name = "SRC[:DST[:ro]]")]
    binds: Vec<OsString>,
    /// Show the home directory in an environment
    #[arg(long)]
    home: bool,
    /// Don't show the working directory in an environment
    #[arg(long)]
    no_directory: bool,
    /// Start in this directory, as seen from inside
    #[arg(short = 'C', long, value_name = "DIR")]
    directory: Option<PathBuf>,
    /// Keep what is written to the environment in this directory, and find it there next time
    #[arg(long, value_name = "DIR", conflicts_with = "collect")]
    keep: Option<PathBuf>,
    /// Put what was written to the environment into an archive, or a directory, that isn't there yet
    #[arg(long, value_name = "FILE.tar|DIR")]
    collect: Option<PathBuf>,
    /// Be root inside
    #[arg(long)]
    as_root: bool,
    /// Reach nothing over the network
    #[arg(long)]
    no_network: bool,
    /// The host's name as seen from inside
    #[arg(long, value_name = "NAME")]
    hostname: Option<String>,
    /// The most memory of all processes together, such as 2GiB
    #[arg(long, value_name = "SIZE")]
    memory: Option<ByteSize>,
    /// The most processor time, such as 1.5 processors
    #[arg(long, value_name = "NUMBER", value_parser = millicpus)]
    cpus: Option<u64>,
    /// The most processes and threads
    #[arg(long, value_name = "NUMBER")]
    processes: Option<u64>,
    /// Do without FUSE, as where /dev/fuse is not to be had: files are filled into a directory when they are touched
    #[arg(long)]
    no_fuse: bool,
    /// Without FUSE: fill everything before the command is started, which then runs without being watched
    #[arg(long)]
    whole: bool,
    /// Keep what was mounted for so many seconds after the end
    #[arg(long, value_name = "SECONDS", default_value_t = 0)]
    linger: u64,
}

impl Run {
    pub(crate) fn run(self, invocation: &Invocation) -> Result<(), Failure> {
        let Self { software, place, variables, vm, command } = self;
        let ended = if vm.vm {
            vm::execute(invocation, software, place, &vm, &variables, command)
        } else {
            execute(invocation, software, place, &variables, command, &|| Ok(()))
        };
        match ended {
            // What follows is for who called: the end of the command is the end of this.
            Ok(code) => std::process::exit(i32::from(code)),
            Err(failure) => Err(failure.not_run()),
        }
    }
}

/// Runs a command to its end and returns its exit code. `begun` is called once it runs.
pub(crate) fn execute(
    invocation: &Invocation,
    software: SoftwareOptions,
    place: PlaceOptions,
    variables: &VariableOptions,
    command: Vec<OsString>,
    begun: &dyn Fn() -> Result<(), Failure>,
) -> Result<u8, Failure> {
    let Chosen { system, software, started, variables: said, .. } = software.choose(invocation)?;
    let held = if place.no_fuse || filler::is_needed() {
        filler::open(invocation, system.as_ref(), &software, place.whole)?
    } else {
        holder::hold(invocation, system.as_ref(), &software, place.linger)?
    };
    let in_environment = matches!(held.root, Root::Tree(_));
    let identity = if place.as_root { Identity::Root } else { Identity::Own };
    let account = account(invocation, identity);
    let Bindings { mut binds, directory } = bindings::of(&place, &account, in_environment)?;
    binds.extend(held.binds);
    if held.trees.is_some() && !in_environment {
        binds.push(filler::hide(&invocation.places()?)?);
    }
    let directory = place.directory.or_else(|| started.directory.clone()).unwrap_or(directory);
    let words = started.words(command, || variables.shell(invocation, in_environment));
    if !in_environment && (place.keep.is_some() || place.collect.is_some()) {
        return Err(Failure::usage("what is written goes to the host, where no operating system is shown")
            .hint("name one with --env or --system"));
    }
    let limits =
        Limits { memory: place.memory.map(ByteSize::get), millicpus: place.cpus, processes: place.processes };
    let collection = place.collect.as_deref().map(Collection::create).transpose()?;
    let sandbox = Sandbox {
        root: held.root,
        writes: place.keep.as_deref().map_or(Ok(Writes::Discard), keep)?,
        binds,
        directory,
        variables: variables.all(&account, in_environment, said),
        identity,
        account: Some(account),
        network: if place.no_network { Network::None } else { Network::Host },
        limits,
        hostname: place.hostname,
    };
    // What is whole needs nobody to be asked.
    let trees = held.trees.filter(|trees| !trees.filler.is_whole);
    let listen = |listener: OwnedFd| match &trees {
        Some(trees) => trees.filler.supervise(listener.as_fd(), &trees.paths),
        None => Ok(()),
    };
    let watch = trees.as_ref().map(|_| &listen as Watch<'_>);
    let mut running = sandbox.start(&words, &held.place, watch, held.kept.as_ref())?;
    begun()?;
    let filler = trees.as_ref().map(|trees| trees.filler.as_fd());
    let exit = running.wait(held.kept.as_ref(), filler)?;
    collection.map_or(Ok(()), |collection| running.collect(collection))?;
    Ok(exit.code)
}

impl PlaceOptions {
    /// The same, with what is written kept in a directory, and another name of the host unless one is said.
    pub(crate) fn kept_in(self, written: PathBuf, hostname: &str) -> Result<Self, Failure> {
        if self.keep.is_some() {
            return Err(Failure::usage("a fork keeps what is written in a directory of its own"));
        }
        let hostname = self.hostname.or_else(|| Some(hostname.to_owned()));
        Ok(Self { keep: Some(written), hostname, ..self })
    }
}

/// Thousandths of a processor.
fn millicpus(text: &str) -> Result<u64, String> {
    match text.parse::<f64>() {
        Ok(number) if (0.001..=1e6).contains(&number) => Ok((number * 1000.0).round() as u64),
        _ => Err("expected a number of processors, such as 1.5".to_owned()),
    }
}

/// The directory that keeps what is written, made if it isn't there.
fn keep(directory: &Path) -> Result<Writes, Failure> {
    let failed = |error| Failure::io("keep in", directory, error);
    std::fs::create_dir_all(directory).map_err(failed)?;
    Ok(Writes::Keep(directory.canonicalize().map_err(failed)?))
}

/// The user, as the command is to see it.
fn account(invocation: &Invocation, identity: Identity) -> Account {
    let (user, group) = match identity {
        Identity::Own => (rustix::process::getuid().as_raw(), rustix::process::getgid().as_raw()),
        Identity::Root => (0, 0),
    };
    let root = user == 0;
    let name = invocation.environment.user.clone().filter(|_| !root);
    let home = invocation.environment.home.clone().filter(|_| identity == Identity::Own);
    let default = if root { "/root" } else { "/home/user" };
    Account {
        user,
        group,
        name: name.unwrap_or_else(|| if root { "root" } else { "user" }.to_owned()),
        home: home.unwrap_or_else(|| default.into()),
    }
}

impl From<SandboxError> for Failure {
    fn from(error: SandboxError) -> Self {
        let hint = error.hint();
        let code = match &error {
            SandboxError::Command { source, .. } if source.kind() == std::io::ErrorKind::NotFound => {
                ExitCode::CommandNotFound
            }
            SandboxError::Command { .. } => ExitCode::NotExecutable,
            _ => ExitCode::NotRun,
        };
        let failure = Self::new(code, error);
        match hint {
            Some(hint) => failure.hint(hint),
            None => failure,
        }
    }
}
