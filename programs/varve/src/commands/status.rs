//! `varve status`: the mounts of this user, asked over their control sockets.

use std::fs;
use std::io;

use clap::Args;
use serde::Serialize;
use varve_mount::Status as MountStatus;

use crate::cli::ListingOptions;
use crate::failure::Failure;
use crate::invocation::Invocation;
use crate::output::Row;
use crate::places::Places;

/// Show the repositories that are mounted, their revisions and their caches
#[derive(Args, Debug)]
pub(crate) struct Status {
    #[command(flatten)]
    listing: ListingOptions,
    /// Ask for new revisions first
    #[arg(long)]
    refresh: bool,
}

/// One repository in one mount.
#[derive(Serialize)]
struct Mounted {
    directory: String,
    worker: u32,
    #[serde(flatten)]
    repository: varve_mount::RepositoryStatus,
}

impl Row for Mounted {
    const HEADINGS: &'static [&'static str] =
        &["DIRECTORY", "REPOSITORY", "REVISION", "FOLLOWS", "HITS", "MISSES", "ERRORS"];

    fn cells(&self) -> Vec<String> {
        let repository = &self.repository;
        vec![
            self.directory.clone(),
            repository.name.clone(),
            repository.revision.to_string(),
            if repository.follows { "yes" } else { "no" }.to_owned(),
            repository.cache_hits.to_string(),
            repository.cache_misses.to_string(),
            repository.errors.to_string(),
        ]
    }
}

impl Status {
    pub(crate) fn run(self, invocation: &Invocation) -> Result<(), Failure> {
        let command = if self.refresh { "refresh" } else { "status" };
        let mut rows = Vec::new();
        for status in running_mounts(&invocation.places()?, command)? {
            let MountStatus { directory, worker, repositories, .. } = status;
            let directory = directory.display().to_string();
            rows.extend(repositories.into_iter().map(|repository| Mounted {
                directory: directory.clone(),
                worker,
                repository,
            }));
        }
        rows.sort_by(|a, b| (&a.directory, &a.repository.name).cmp(&(&b.directory, &b.repository.name)));
        invocation.output.listing(self.listing, &rows)
    }
}

/// Asks every mount of this user.
///
/// # Errors
/// If the directory of their control sockets can't be read.
pub(crate) fn running_mounts(places: &Places, command: &str) -> Result<Vec<MountStatus>, Failure> {
    let run = places.run();
    let entries = match fs::read_dir(run) {
        Ok(entries) => entries.collect::<Result<Vec<_>, _>>(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(error),
    }
    .map_err(|error| Failure::io("list", run, error))?;
    let sockets = entries.iter().map(fs::DirEntry::path);
    let sockets = sockets.filter(|path| path.extension().is_some_and(|extension| extension == "socket"));
    // Nobody behind it: a mount that ended.
    Ok(sockets.filter_map(|socket| varve_mount::ask(&socket, command).ok()).collect())
}
