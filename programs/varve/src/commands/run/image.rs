//! A directory of a repository as the root directory of a run, and what the container image in it says of how it is run.

use std::collections::BTreeMap;
use std::error::Error;
use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use varve_publish::{DOCUMENT_LIMIT, Digest, ImageConfiguration};
use varve_repository::{CatalogReference, Location, Reference, RepositoryPath, Snapshot};
use varve_store::{Deadline, Freshness};

use super::software::{Software, Started};
use crate::commands::mount;
use crate::exit_code::ExitCode;
use crate::failure::Failure;
use crate::invocation::Invocation;

/// How long it may take to find.
const PATIENCE: Duration = Duration::from_secs(60);

/// A directory that was found.
pub(super) struct Found {
    /// The repository at the revision in which it was found.
    pub(super) software: Software,
    configuration: Option<ImageConfiguration>,
}

/// `NAME[@REVISION]`, and the directory if there is one.
pub(super) fn of_system(argument: &str) -> (String, Option<&str>) {
    match argument.split_once(":/") {
        Some((target, directory)) => (target.to_owned(), Some(directory)),
        None => (argument.to_owned(), None),
    }
}

/// `NAME[@REVISION]`, and the image. A date has colons too: behind one, the image begins with a slash.
pub(super) fn of_image(argument: &str) -> Result<(String, &str), Failure> {
    argument
        .split_once(":/")
        .or_else(|| argument.split_once(':'))
        .filter(|(_, image)| !image.is_empty())
        .map(|(target, image)| (target.to_owned(), image))
        .ok_or_else(|| {
            Failure::usage(format!("'{argument}' names no image"))
                .hint("write REPOSITORY:REGISTRY/NAME:TAG, with @REVISION before the first colon if you like")
        })
}

/// Finds a directory of a repository, links followed, and pins the revision in which it was found.
pub(super) fn find(
    invocation: &Invocation,
    order: &dyn Fn(String) -> Result<Software, Failure>,
    target: &str,
    directory: &str,
) -> Result<Found, Failure> {
    let path = RepositoryPath::new(directory.as_bytes()).map_err(Failure::usage_error)?;
    let asked = order(target.to_owned())?;
    let (snapshot, root) = open(invocation, &asked)?;
    let deadline = Deadline::after(PATIENCE);
    let found = snapshot.follow(&path, deadline).map_err(failed)?;
    let found = found.filter(|found| found.entry().is_directory()).ok_or_else(|| {
        let what = format!("{target} has no directory {path}");
        Failure::new(ExitCode::NotFound, what)
            .hint("`varve run -r NAME -- ls /cvmfs/NAME` shows what there is")
    })?;
    let directory = found.path();
    let configuration = configuration(&snapshot, &directory, deadline)?;
    let software = Software { directory, ..order(format!("{}@{}", asked.name, root.hash))? };
    Ok(Found { software, configuration })
}

impl Found {
    /// What the image says of commands and variables. `entry_point` counts instead of its own.
    pub(super) fn said(
        &self,
        invocation: &Invocation,
        argument: &str,
        entry_point: Option<OsString>,
    ) -> Result<(Started, BTreeMap<String, String>), Failure> {
        let Some(image) = &self.configuration else {
            invocation
                .output
                .warn(format!("{argument} has no configuration: nothing is known but its files"));
            return Ok((
                Started { entry_point: entry_point.into_iter().collect(), ..Started::default() },
                BTreeMap::new(),
            ));
        };
        if let Some(user) = image.user().filter(|user| !is_root(user)) {
            let what = "the command is the user who called, or root with --as-root";
            invocation.output.say(format!("the image asks for the user '{user}', which is left out: {what}"));
        }
        let words = |words: &[String]| words.iter().map(OsString::from).collect::<Vec<_>>();
        let started = Started {
            // Another entry point does not know the arguments of this one.
            command: if entry_point.is_some() { vec![] } else { words(image.command()) },
            entry_point: match entry_point {
                None => words(image.entry_point()),
                Some(program) => Some(program).filter(|program| !program.is_empty()).into_iter().collect(),
            },
            // Many say this for want of another.
            directory: image.directory().filter(|directory| *directory != "/").map(PathBuf::from),
        };
        let variables = image.variables().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        Ok((started, variables))
    }
}

fn is_root(user: &str) -> bool {
    matches!(user.split(':').next(), Some("0" | "root"))
}

/// The revision that is asked for.
fn open(invocation: &Invocation, asked: &Software) -> Result<(Snapshot, CatalogReference), Failure> {
    let mounted = mount::mounted(&asked.order, invocation.environment.aws()).map_err(failed)?;
    let repository = &mounted.repository;
    let deadline = Deadline::after(PATIENCE);
    let root = match &mounted.reference {
        Reference::Hash(hash) => CatalogReference { path: RepositoryPath::ROOT, hash: *hash, size: None },
        reference => {
            let fetched =
                repository.fetch_manifest(Freshness::Cached, invocation.now(), deadline).map_err(failed)?;
            repository.select(&fetched.manifest, reference, deadline).map_err(failed)?
        }
    };
    Ok((Snapshot::new(repository.loader(), root.clone()), root))
}

/// The configuration of the image whose root directory that is, verified by its id.
fn configuration(
    snapshot: &Snapshot,
    directory: &RepositoryPath,
    deadline: Deadline,
) -> Result<Option<ImageConfiguration>, Failure> {
    let id = directory
        .split_last()
        .and_then(|(_, name)| Digest::from_digits(std::str::from_utf8(name.as_bytes()).ok()?));
    let Some(id) = id.filter(|id| id.root_directory() == *directory) else { return Ok(None) };
    let Some(file) = snapshot.follow(&id.configuration(), deadline).map_err(failed)? else { return Ok(None) };
    let bytes = read(snapshot, &file, deadline)?;
    ImageConfiguration::read(&bytes, &id).map(Some).map_err(failed)
}

fn read(snapshot: &Snapshot, file: &Location, deadline: Deadline) -> Result<Vec<u8>, Failure> {
    // One more than it may have, which is told by who reads it.
    let size = file.entry().size().min(DOCUMENT_LIMIT + 1);
    let mut bytes = vec![0; size as usize];
    let length = snapshot.read(file, 0, &mut bytes, deadline).map_err(failed)?;
    bytes.truncate(length);
    Ok(bytes)
}

fn failed(error: impl Into<Box<dyn Error + Send + Sync>>) -> Failure {
    Failure::new(ExitCode::NotRun, error)
}
