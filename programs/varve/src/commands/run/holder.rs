//! The holder of what runs show: how it is asked, and the hidden command that is its process.

use std::ffi::OsString;
use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use clap::Args;
use varve_mount::MountOrder;
use varve_sandbox::holder::{self, Door, Joined, Kept, Mounter, Wanted};
use varve_sandbox::{Access, Bind, Place, Root};

use super::filler::Trees;
use super::log;
use super::software::Software;
use crate::failure::Failure;
use crate::invocation::Invocation;
use crate::places::Places;

/// Where software is seen.
pub(crate) const SOFTWARE: &str = "/cvmfs";

/// What is there for a run.
pub(crate) struct Held {
    pub(crate) root: Root,
    /// The software.
    pub(crate) binds: Vec<Bind>,
    pub(crate) place: Place,
    /// The hold on what is mounted.
    pub(crate) kept: Option<Kept>,
    /// What is filled where nothing can be mounted.
    pub(crate) trees: Option<Trees>,
}

/// Has everything mounted that a run needs. Without anything, no holder is needed.
pub(crate) fn hold(
    invocation: &Invocation,
    system: Option<&Software>,
    software: &[Software],
    linger: u64,
) -> Result<Held, Failure> {
    let places = invocation.places()?;
    let scaffold = scaffold(&places)?;
    let wanted: Vec<Wanted> = system
        .into_iter()
        .chain(software)
        .map(|software| {
            let order = serde_json::to_value(&software.order).map_err(Failure::usage_error)?;
            Ok(Wanted { target: software.order.source.clone(), order })
        })
        .collect::<Result<_, Failure>>()?;
    if wanted.is_empty() {
        let place = Place { scaffold, namespaces: None };
        return Ok(Held { root: Root::Host, binds: vec![], place, kept: None, trees: None });
    }
    let apart = invocation.environment.batch_job.as_deref();
    let door = Door::new(places.run(), apart).map_err(|error| Failure::io("use", places.run(), error))?;
    let start = |listening: OwnedFd| start(listening, &places, apart, &scaffold);
    let joined: Joined = holder::join(&door, &wanted, linger, start)?;
    let mut trees = joined.trees.iter().cloned();
    let root = match system.and_then(|system| Some((system, trees.next()?))) {
        Some((system, tree)) => Root::Tree(system.below(tree)),
        None => Root::Host,
    };
    let bind = |(software, source): (&Software, PathBuf)| Bind {
        source,
        destination: Path::new(SOFTWARE).join(software.name.as_str()),
        access: Access::ReadOnly,
    };
    let binds = software.iter().zip(trees).map(bind).collect();
    let (place, kept) = joined.into_parts();
    Ok(Held { root, binds, place, kept: Some(kept), trees: None })
}

/// An empty directory that sandboxes are put together on, in their own namespaces.
pub(super) fn scaffold(places: &Places) -> Result<PathBuf, Failure> {
    let scaffold = places.run().join("sandboxes");
    std::fs::create_dir_all(&scaffold).map_err(|error| Failure::io("create", &scaffold, error))?;
    Ok(scaffold)
}

fn start(listening: OwnedFd, places: &Places, apart: Option<&str>, directory: &Path) -> io::Result<()> {
    let log = log::open(&places.run().join("holder.log"))?;
    let mut command = Command::new(std::env::current_exe()?);
    command.arg("sandbox-holder").arg(places.run()).arg(directory);
    if let Some(apart) = apart {
        let mut option = OsString::from("--apart=");
        option.push(apart);
        command.arg(option);
    }
    command.current_dir("/").stdin(Stdio::from(listening)).stdout(Stdio::null()).stderr(log);
    // It outlives this process, and signals of this terminal are not for it.
    command.process_group(0);
    command.spawn().map(drop)
}

/// Hold what sandboxes show (started by `varve run`)
#[derive(Args, Debug)]
pub(crate) struct SandboxHolder {
    run: PathBuf,
    directory: PathBuf,
    #[arg(long)]
    apart: Option<String>,
}

impl SandboxHolder {
    pub(crate) fn run(self, _: &Invocation) -> Result<(), Failure> {
        let failed = |error| Failure::io("use", &self.run, error);
        let door = Door::new(&self.run, self.apart.as_deref()).map_err(failed)?;
        let listener = io::stdin().as_fd().try_clone_to_owned().map_err(failed)?;
        Ok(holder::serve(&door, &listener, &self.directory, &Repositories)?)
    }
}

/// Mounts repositories.
struct Repositories;

impl Mounter for Repositories {
    fn mount(&self, order: &serde_json::Value, directory: &Path) -> Result<(), String> {
        let order: MountOrder = serde_json::from_value(order.clone()).map_err(|error| error.to_string())?;
        let order = MountOrder { directory: directory.to_owned(), ..order };
        varve_mount::start(order).map_err(|error| error.to_string())
    }

    fn unmount(&self, directory: &Path) {
        if let Err(error) = varve_mount::unmount(directory, true) {
            tracing::warn!(directory = %directory.display(), %error, "cannot unmount");
        }
    }
}
