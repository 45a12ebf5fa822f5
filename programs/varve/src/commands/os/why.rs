//! `varve os why`: the way from what was asked for to a package of a lock.

use std::path::PathBuf;

use clap::Args;
use serde::Serialize;
use varve_packages::{Chain, Index, PackageName, Requests, ShoppingList, locked_packages};

use super::inputs::{self, PackageOptions};
use crate::cli::ListingOptions;
use crate::exit_code::ExitCode;
use crate::failure::Failure;
use crate::invocation::Invocation;
use crate::output::Row;

/// Show why a package is in a lock
#[derive(Args, Debug)]
pub(crate) struct Why {
    /// The lock file
    lock: PathBuf,
    /// The package
    package: PackageName,
    /// The list that the lock was made from; LOCK with the ending .toml by default
    #[arg(long, value_name = "FILE")]
    list: Option<PathBuf>,
    #[command(flatten)]
    packages: PackageOptions,
    #[command(flatten)]
    listing: ListingOptions,
}

/// A step on the way.
#[derive(Serialize)]
struct Step {
    package: String,
    version: String,
    because: String,
    recommended: bool,
}

impl Row for Step {
    const HEADINGS: &'static [&'static str] = &["PACKAGE", "VERSION", "BECAUSE"];

    fn cells(&self) -> Vec<String> {
        vec![self.package.clone(), self.version.clone(), self.because.clone()]
    }
}

impl Why {
    pub(crate) fn run(self, invocation: &Invocation) -> Result<(), Failure> {
        let lock = inputs::read_lock(&self.lock)?;
        let Some(wanted) = lock.package(self.package.as_str()) else {
            let error = format!("{} has no package '{}'", self.lock.display(), self.package);
            return Err(Failure::new(ExitCode::NotFound, error));
        };
        let path = self.list.unwrap_or_else(|| self.lock.with_extension("toml"));
        let list: ShoppingList = inputs::read_list(&path, Some(&lock.architecture))?;
        let archive = self.packages.archive(invocation)?;
        let recall = |index| Index::recall(index, lock.family, &lock.architecture, &archive);
        let indexes = lock.indexes.iter().map(recall).collect::<Result<Vec<Index>, _>>()?;
        let universe = inputs::universe(&indexes, lock.family, &lock.architecture)?;
        let requests = Requests::resolve(&list, universe.as_ref(), &indexes)?;
        let set = locked_packages(&lock, universe.as_ref());
        let id = set.iter().copied().find(|&id| universe.name(id) == wanted.name.as_str());
        let chain = match id {
            Some(id) => Chain::find(universe.as_ref(), requests.clauses(), &set, id)
                .map_err(|error| Failure::new(ExitCode::Integrity, error))?,
            None => None,
        };
        let Some(chain) = chain else {
            let error = format!("nothing in {} leads to '{}'", path.display(), self.package);
            return Err(Failure::new(ExitCode::NotFound, error)
                .hint("the list has changed since the lock was made: `varve os lock` makes it anew"));
        };
        let mut steps: Vec<Step> = Vec::new();
        for link in &chain.links {
            let because = match steps.last() {
                None => format!("the list asks for {}", link.relation),
                Some(before) if link.recommended => {
                    format!("{} recommends {}", before.package, link.relation)
                }
                Some(before) => format!("{} needs {}", before.package, link.relation),
            };
            steps.push(Step {
                package: universe.name(link.package).to_owned(),
                version: universe.version(link.package).to_owned(),
                because,
                recommended: link.recommended,
            });
        }
        invocation.output.listing(self.listing, &steps)
    }
}
