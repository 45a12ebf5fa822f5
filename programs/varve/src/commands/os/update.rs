//! `varve os update`: a lock at newer versions, as few of them as possible.

use std::path::PathBuf;

use clap::Args;
use serde::Serialize;
use varve_packages::{Change, PackageName, Previous, UpdateScope, changes, make_lock};

use super::inputs::{self, PackageOptions};
use super::lock::Summary;
use crate::cli::ListingOptions;
use crate::failure::Failure;
use crate::invocation::Invocation;
use crate::output::Row;

/// Change a lock as little as possible: security updates, and what is gone from the indexes
#[derive(Args, Debug)]
pub(crate) struct Update {
    /// The lock file
    lock: PathBuf,
    /// The list that it was made from; LOCK with the ending .toml by default
    #[arg(long, value_name = "FILE")]
    list: Option<PathBuf>,
    /// Take the newest version of this package too; repeatable
    #[arg(long, short, value_name = "NAME", conflicts_with = "all")]
    package: Vec<PackageName>,
    /// Take the newest version of everything
    #[arg(long)]
    all: bool,
    /// Show what would change, and change nothing
    #[arg(long)]
    dry_run: bool,
    /// Find versions only, without fetching the packages
    #[arg(long)]
    no_fetch: bool,
    #[command(flatten)]
    packages: PackageOptions,
    #[command(flatten)]
    listing: ListingOptions,
}

/// A change as it is shown.
#[derive(Serialize)]
#[serde(transparent)]
struct Shown(Change);

impl Row for Shown {
    const HEADINGS: &'static [&'static str] = &["PACKAGE", "CHANGE", "BEFORE", "AFTER", "INDEX"];

    fn cells(&self) -> Vec<String> {
        let text = |text: &Option<String>| text.clone().unwrap_or_default();
        let Change { name, change, before, after, index } = &self.0;
        vec![name.clone(), change.as_str().to_owned(), text(before), text(after), text(index)]
    }
}

impl Update {
    pub(crate) fn run(self, invocation: &Invocation) -> Result<(), Failure> {
        let before = inputs::read_lock(&self.lock)?;
        let path = self.list.unwrap_or_else(|| self.lock.with_extension("toml"));
        let list = inputs::read_list(&path, Some(&before.architecture))?;
        let beside = path.parent().unwrap_or(std::path::Path::new(""));
        let (archive, transfers) = (self.packages.archive(invocation)?, self.packages.transfers()?);
        let indexes = self.packages.indexes(&list, beside, invocation, &archive, &transfers)?;
        let universe = inputs::universe(&indexes, list.family, &list.architecture)?;
        let scope = match (self.all, self.package.is_empty()) {
            (true, _) => UpdateScope::All,
            (false, true) => UpdateScope::Least,
            (false, false) => UpdateScope::Named(self.package),
        };
        let previous = Previous { lock: &before, scope };
        let resolved = make_lock(&list, &indexes, universe.as_ref(), Some(&previous))?;
        if !self.dry_run {
            if !self.no_fetch {
                inputs::fetch_packages(&resolved.lock, &archive, &transfers, invocation)?;
            }
            inputs::write_lock(&self.lock, &resolved.lock)?;
        }
        let rows: Vec<Shown> = changes(&before, &resolved.lock).into_iter().map(Shown).collect();
        if rows.is_empty() && !self.listing.json {
            invocation.output.say("nothing changes");
            return Ok(());
        }
        invocation.output.listing(self.listing, &rows)?;
        invocation.output.say(Summary::of(&self.lock, &resolved).words());
        Ok(())
    }
}
