//! The directories that this process shows the machine: repositories, and what the caller binds.

use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::thread;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use varve_mount::{HostDirectory, MountPlan, PlanRoot, Tunnelled};
use varve_sandbox::errand::{Mount, mount_point};
use varve_sandbox::{Access, Bind};

use crate::commands::mount;
use crate::commands::run::holder::SOFTWARE;
use crate::commands::run::software::Software;
use crate::exit_code::ExitCode;
use crate::failure::Failure;
use crate::invocation::Invocation;

/// Directories in the order of their numbers.
pub(super) struct Shown {
    user: (u32, u32),
    all: Vec<(Mount, Served)>,
}

/// What is behind one.
enum Served {
    Repository { plan: Box<MountPlan>, without_attributes: bool },
    Directory(Box<HostDirectory>),
}

impl Shown {
    /// Nothing yet, for a command of this user.
    pub(super) fn new(user: (u32, u32)) -> Self {
        Self { user, all: vec![] }
    }

    pub(super) fn len(&self) -> usize {
        self.all.len()
    }

    /// Shows a repository; where the machine has it. Whoever isn't root owns all of it there, as in a sandbox.
    pub(super) fn repository(
        &mut self,
        invocation: &Invocation,
        software: &Software,
    ) -> Result<PathBuf, Failure> {
        let failed = |error: Box<dyn std::error::Error + Send + Sync>| {
            Failure::new(ExitCode::NotRun, format!("cannot show {}: {error}", software.order.source))
        };
        let mut mounted = mount::mounted(&software.order, invocation.environment.aws()).map_err(failed)?;
        mounted.owner = (self.user.0 != 0).then_some(self.user);
        let plan = MountPlan::new(PlanRoot::One(Box::new(mounted)), std::time::SystemTime::now);
        let order = Mount { source: software.name.to_string(), writable: false };
        let without_attributes = software.order.without_attributes;
        Ok(self.add(order, Served::Repository { plan: Box::new(plan), without_attributes }))
    }

    /// Shows software; where the command sees it.
    pub(super) fn software(
        &mut self,
        invocation: &Invocation,
        software: Vec<Software>,
    ) -> Result<Vec<Bind>, Failure> {
        let show = |software: Software| {
            let destination = Path::new(SOFTWARE).join(software.name.as_str());
            let source = software.below(self.repository(invocation, &software)?);
            Ok(Bind { source, destination, access: Access::ReadOnly })
        };
        software.into_iter().map(show).collect()
    }

    /// Shows what the caller binds.
    pub(super) fn binds(&mut self, binds: Vec<Bind>) -> Result<Vec<Bind>, Failure> {
        let show = |bind: Bind| {
            let writable = bind.access == Access::ReadWrite;
            let (directory, within) = HostDirectory::open(&bind.source, writable)?;
            let order = Mount { source: "host".to_owned(), writable };
            let source = self.add(order, Served::Directory(Box::new(directory))).join(within);
            Ok(Bind { source, ..bind })
        };
        binds.into_iter().map(show).collect()
    }

    fn add(&mut self, order: Mount, served: Served) -> PathBuf {
        self.all.push((order, served));
        mount_point(self.all.len() - 1).into()
    }

    /// Answers the machine through these channels from now on.
    pub(super) fn serve(self, channels: Vec<UnixStream>) -> Result<Vec<Mount>, Failure> {
        may_open_many();
        let mut orders = vec![];
        for ((order, served), channel) in self.all.into_iter().zip(channels) {
            let source = order.source.clone();
            match served {
                Served::Repository { plan, without_attributes } => {
                    let tree = Tunnelled::open(*plan, without_attributes).map_err(|error| {
                        Failure::new(ExitCode::NotRun, format!("cannot show {source}: {error}"))
                    })?;
                    thread::spawn(move || told(&source, tree.serve(channel)));
                }
                Served::Directory(directory) => {
                    thread::spawn(move || told(&source, directory.serve(channel)));
                }
            }
            orders.push(order);
        }
        Ok(orders)
    }
}

/// A machine that ends before it asks is told of elsewhere.
fn told(source: &str, ended: Result<(), varve_mount::MountError>) {
    if let Err(error) = ended {
        tracing::debug!(source, %error, "the machine did not ask");
    }
}

/// Every file that a machine's kernel remembers of a bound directory is open here.
fn may_open_many() {
    let limit = getrlimit(Resource::Nofile);
    // What can't be had is told to the machine when it opens too many.
    let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit });
}
