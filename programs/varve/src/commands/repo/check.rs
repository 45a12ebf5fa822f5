//! `varve repo check`: whether a repository of this machine is sound.

use std::fmt;
use std::path::PathBuf;
use std::sync::OnceLock;

use clap::Args;
use varve_publish::{CheckOptions, CheckProgress, CheckReport, Storage, check};
use varve_repository::{PublicKeys, RepositoryName, RepositoryPath, Trust};
use varve_store::{DirectoryStore, ObjectStore};

use super::local;
use crate::exit_code::ExitCode;
use crate::failure::Failure;
use crate::invocation::Invocation;
use crate::progress::{Progress, Unit};

/// Check a repository: signatures, tags, catalogs, and that every object is stored
#[derive(Args, Debug)]
pub(crate) struct Check {
    /// The repository
    name: RepositoryName,
    /// Read and hash every stored object as well
    #[arg(long)]
    data: bool,
    /// The master key's public half, a file or a directory; this machine's own by default
    #[arg(long, value_name = "PATH")]
    key: Vec<PathBuf>,
    /// The directory that is served, instead of this machine's repository of that name
    #[arg(long, value_name = "DIRECTORY")]
    directory: Option<PathBuf>,
    /// Print the report as JSON
    #[arg(long)]
    json: bool,
    /// Name the objects that nothing refers to
    #[arg(long)]
    orphans: bool,
}

impl Check {
    pub(crate) fn run(self, invocation: &Invocation) -> Result<(), Failure> {
        let repository = local::repository(invocation, &self.name)?;
        let keys = if self.key.is_empty() {
            vec![repository.keys.join(format!("{}.pub", self.name))]
        } else {
            self.key.clone()
        };
        let keys = PublicKeys::load(&keys).map_err(|error| {
            Failure::new(ExitCode::Usage, error).hint("name the master key's public half with --key FILE")
        })?;
        let (store, storage): (Box<dyn ObjectStore>, _) = match &self.directory {
            Some(directory) => (Box::new(DirectoryStore::open(directory)?), Storage::Local),
            None => {
                let settings = repository.read_settings().map_err(Failure::usage_error)?;
                (repository.open_store(&settings)?, settings.storage)
            }
        };
        let threads = local::readers(&storage).get();
        let options = CheckOptions { data: self.data, threads };
        let progress = Shown::new(invocation);
        let report = check(&*store, &self.name, &Trust::in_keys(keys), invocation.now(), options, &progress);
        progress.finish();
        self.print(invocation, &report)
    }

    fn print(&self, invocation: &Invocation, report: &CheckReport) -> Result<(), Failure> {
        let output = &invocation.output;
        if self.json {
            output.json(report)?;
        } else {
            for finding in &report.findings {
                output.line(finding)?;
            }
        }
        if self.orphans && !self.json {
            for (name, size) in &report.orphan_list {
                output.line(format_args!("orphan {name} {size}"))?;
            }
        }
        output.say(format_args!("{}", Summary(report)));
        match report.findings.len() {
            0 => Ok(()),
            count => Err(Failure::new(ExitCode::Integrity, Unsound { name: self.name.clone(), count })),
        }
    }
}

/// The report in a line or two.
struct Summary<'a>(&'a CheckReport);

impl fmt::Display for Summary<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let report = self.0;
        if let Some(revision) = report.revision {
            write!(f, "revision {revision}, {} tags: ", report.tags)?;
        }
        write!(
            f,
            "{} catalogs with {} entries, {} objects in use, {} stored",
            report.catalogs, report.entries, report.referenced_objects, report.stored_objects
        )?;
        if report.hashed_objects > 0 {
            write!(f, ", {} hashed ({} bytes)", report.hashed_objects, report.hashed_bytes)?;
        }
        if report.orphans > 0 {
            write!(f, "; nothing refers to {} of them ({} bytes)", report.orphans, report.orphaned_bytes)?;
        }
        Ok(())
    }
}

/// What a check that found something ends with.
#[derive(Debug, thiserror::Error)]
#[error("{name} is not sound: {count} {}", if *count == 1 { "problem" } else { "problems" })]
struct Unsound {
    name: RepositoryName,
    count: usize,
}

/// Two bars: catalogs, then bytes.
struct Shown<'a> {
    invocation: &'a Invocation,
    catalogs: Progress,
    bytes: OnceLock<Progress>,
}

impl<'a> Shown<'a> {
    fn new(invocation: &'a Invocation) -> Self {
        let catalogs = invocation.progress("catalogs", Unit::Count, None);
        Self { invocation, catalogs, bytes: OnceLock::new() }
    }

    fn finish(self) {
        self.catalogs.finish();
        if let Some(bytes) = self.bytes.into_inner() {
            bytes.finish();
        }
    }
}

impl CheckProgress for Shown<'_> {
    fn catalog(&self, path: &RepositoryPath) {
        self.catalogs.advance(1);
        self.catalogs.set_detail(path.to_string());
    }

    fn data(&self, _objects: u64, bytes: u64) {
        self.bytes.get_or_init(|| self.invocation.progress("hashing", Unit::Bytes, Some(bytes)));
    }

    fn hashed(&self, bytes: u64) {
        if let Some(progress) = self.bytes.get() {
            progress.advance(bytes);
        }
    }
}
