//! `varve os build`: the packages of a lock become the tree of an operating system.

use std::path::PathBuf;

use clap::Args;
use serde::Serialize;
use varve_packages::{Lock, Role, TreeError, TreeOrder, TreeRecord, TreeVersion};

use super::inputs::{self, ArchiveOptions};
use super::sandboxed;
use crate::failure::Failure;
use crate::invocation::Invocation;
use crate::progress::Unit;

/// Install the packages of a lock into a new directory
#[derive(Args, Debug)]
#[command(
    after_help = "Exactly the packages of the lock are installed, from files with the lock's digests, by their \
                  family's own program (Debian: mmdebstrap, RPM: rpm). Their scripts run without a network, in namespaces \
                  of their own. The same lock gives the same tree. Without root's privileges, subordinate ids are needed: \
                  a line for the user in /etc/subuid and /etc/subgid, and Debian's package uidmap.\n\nExample:\n  varve os \
                  build basic.lock --tree basic"
)]
pub(crate) struct Build {
    /// The lock file
    lock: PathBuf,
    /// The directory to make; by default the system's name and version, here
    #[arg(long, value_name = "DIRECTORY")]
    tree: Option<PathBuf>,
    /// The system's version; by default the day of the newest package index, as 20260102
    #[arg(long, value_name = "VERSION")]
    version: Option<TreeVersion>,
    /// Build the root of a container rather than a machine's
    #[arg(long)]
    container: bool,
    #[command(flatten)]
    files: ArchiveOptions,
    /// Print what was built as JSON
    #[arg(long)]
    json: bool,
}

/// The tree, for programs.
#[derive(Serialize)]
struct Report<'a> {
    tree: String,
    #[serde(flatten)]
    record: &'a TreeRecord,
    packages: usize,
}

impl Build {
    pub(crate) fn run(self, invocation: &Invocation) -> Result<(), Failure> {
        let text =
            std::fs::read_to_string(&self.lock).map_err(|error| Failure::io("read", &self.lock, error))?;
        let lock = Lock::parse(&text).map_err(TreeError::from)?;
        let archive = self.files.archive(invocation)?;
        inputs::fetch_packages(&lock, &archive, &self.files.transfers()?, invocation)?;
        let role = if self.container { Role::Container } else { Role::Machine };
        let version = match self.version {
            Some(version) => version,
            None => TreeVersion::of(&lock)?,
        };
        let tree = self.tree.unwrap_or_else(|| format!("{}-{version}", lock.list.name).into());
        let progress = invocation.progress("installing packages", Unit::Count, None);
        let order =
            TreeOrder { lock: text, archive: archive.root().to_owned(), tree: tree.clone(), version, role };
        let record = sandboxed::build(order)?;
        progress.finish();
        if self.json {
            let report =
                Report { tree: tree.display().to_string(), record: &record, packages: lock.packages.len() };
            return invocation.output.json(&report);
        }
        invocation.output.line(format!(
            "{} is {} {} of {} packages, all as in the lock",
            tree.display(),
            record.name,
            record.version,
            lock.packages.len()
        ))
    }
}
