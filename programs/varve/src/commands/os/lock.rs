//! `varve os lock`: a shopping list becomes a closed list of exact versions.

use std::path::PathBuf;

use clap::Args;
use indicatif::HumanBytes;
use serde::Serialize;
use varve_packages::{Architecture, Family, Resolved, make_lock};

use super::inputs::{self, PackageOptions};
use crate::failure::Failure;
use crate::invocation::Invocation;

/// Find exact versions for a list of packages and all that they need
#[derive(Args, Debug)]
pub(crate) struct Lock {
    /// The list, a TOML file, or the name of a ready list, see `varve os list`
    list: PathBuf,
    /// Write the lock to this file instead of LIST with the ending .lock
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Lock for this architecture instead of the list's or this machine's
    #[arg(long, value_name = "NAME")]
    architecture: Option<Architecture>,
    /// Find versions only, without fetching the packages
    #[arg(long)]
    no_fetch: bool,
    #[command(flatten)]
    packages: PackageOptions,
    /// Print what was locked as JSON
    #[arg(long)]
    json: bool,
}

/// What was locked.
#[derive(Serialize)]
pub(super) struct Summary {
    pub(super) lock: String,
    pub(super) family: Family,
    pub(super) architecture: Architecture,
    pub(super) packages: usize,
    pub(super) requested: usize,
    pub(super) download_size: u64,
    pub(super) installed_size: u64,
}

impl Summary {
    pub(super) fn of(path: &std::path::Path, resolved: &Resolved) -> Self {
        let lock = &resolved.lock;
        Self {
            lock: path.display().to_string(),
            family: lock.family,
            architecture: lock.architecture.clone(),
            packages: lock.packages.len(),
            requested: lock.packages.iter().filter(|package| package.requested).count(),
            download_size: lock.packages.iter().map(|package| package.size).sum(),
            installed_size: resolved.installed_size,
        }
    }

    pub(super) fn words(&self) -> String {
        format!(
            "{}: {} packages, {} of them asked for; {} to fetch, {} installed",
            self.lock,
            self.packages,
            self.requested,
            HumanBytes(self.download_size),
            HumanBytes(self.installed_size)
        )
    }
}

impl Lock {
    pub(crate) fn run(self, invocation: &Invocation) -> Result<(), Failure> {
        let list = inputs::read_list(&self.list, self.architecture.as_ref())?;
        let beside = self.list.parent().unwrap_or(std::path::Path::new(""));
        let (archive, transfers) = (self.packages.archive(invocation)?, self.packages.transfers()?);
        let indexes = self.packages.indexes(&list, beside, invocation, &archive, &transfers)?;
        let universe = inputs::universe(&indexes, list.family, &list.architecture)?;
        let resolved = make_lock(&list, &indexes, universe.as_ref(), None)?;
        let path = self.output.unwrap_or_else(|| self.list.with_extension("lock"));
        if !self.no_fetch {
            inputs::fetch_packages(&resolved.lock, &archive, &transfers, invocation)?;
        }
        inputs::write_lock(&path, &resolved.lock)?;
        let summary = Summary::of(&path, &resolved);
        if self.json {
            return invocation.output.json(&summary);
        }
        invocation.output.say(summary.words());
        Ok(())
    }
}
