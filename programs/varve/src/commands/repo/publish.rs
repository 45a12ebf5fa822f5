//! `varve repo publish`: a directory tree becomes the next revision.

use std::num::NonZeroUsize;
use std::path::PathBuf;

use clap::Args;
use serde::Serialize;
use varve_publish::{MEMORY_BUDGET, PublishRequest, Published, publish};
use varve_repository::{RepositoryName, RepositoryPath, TagName};
use varve_store::ByteSize;

use super::local::{self, PublishProgress};
use crate::failure::Failure;
use crate::invocation::Invocation;

/// Publish a directory tree as the next revision
#[derive(Args, Debug)]
#[command(
    after_help = "The repository becomes equal to the tree, or its part below --at does. Files whose size and \
                  time are as in the last revision are not read. Nothing is mounted, no privileges are needed."
)]
pub(crate) struct Publish {
    /// The repository
    name: RepositoryName,
    /// The directory whose content is published
    tree: PathBuf,
    /// Where in the repository it appears; what is beside it stays
    #[arg(long, value_name = "PATH", default_value = "/", value_parser = path)]
    at: RepositoryPath,
    /// A name for the revision
    #[arg(long, short, value_name = "TAG")]
    tag: Option<TagName>,
    /// A description of the tag
    #[arg(long, short, value_name = "TEXT", requires = "tag", default_value = "", hide_default_value = true)]
    message: String,
    /// Read every file, even if its size and time are as before
    #[arg(long)]
    checksum: bool,
    /// Threads; one per core if not given
    #[arg(long, value_name = "NUMBER")]
    threads: Option<NonZeroUsize>,
    /// The most memory for contents that wait to be stored
    #[arg(long, value_name = "SIZE", default_value_t = ByteSize::bytes(MEMORY_BUDGET))]
    memory: ByteSize,
    /// Print what was done as JSON
    #[arg(long)]
    json: bool,
}

/// The revision, for programs.
#[derive(Serialize)]
struct Report {
    repository: String,
    revision: u64,
    root_catalog: String,
    is_new: bool,
    entries: u64,
    files: u64,
    files_read: u64,
    bytes_read: u64,
    files_vanished: u64,
    objects_new: u64,
    objects_reused: u64,
    bytes_stored: u64,
    catalogs_written: u64,
    catalogs_kept: u64,
    seconds: Seconds,
}

/// How long the parts took.
#[derive(Serialize)]
struct Seconds {
    contents: f64,
    catalogs: f64,
    commit: f64,
}

impl Publish {
    pub(crate) fn run(self, invocation: &Invocation) -> Result<(), Failure> {
        let local = local::repository(invocation, &self.name)?;
        let threads = self.threads.or_else(|| std::thread::available_parallelism().ok());
        let request = PublishRequest {
            tree: &self.tree,
            at: self.at,
            tag: self.tag.map(|tag| (tag, self.message)),
            read_everything: self.checksum,
            threads: threads.unwrap_or(NonZeroUsize::MIN),
            memory: self.memory.get(),
            now: invocation.now(),
        };
        let progress = PublishProgress::start(invocation);
        let published = publish(&local, &request, &progress)?;
        progress.finish();
        let vanished = published.statistics.files_vanished;
        if vanished > 0 {
            invocation.output.warn(format!("{vanished} files vanished while the tree was read"));
        }
        tell(invocation, &self.name, &published, self.json)
    }
}

/// Says what became of a publish, whatever was published.
pub(super) fn tell(
    invocation: &Invocation,
    name: &RepositoryName,
    published: &Published,
    json: bool,
) -> Result<(), Failure> {
    for warning in &published.warnings {
        invocation.output.warn(format!("{}: {}", warning.path, warning.reason));
    }
    if json {
        return invocation.output.json(&report(name, published));
    }
    invocation.output.line(summary(name, published))
}

fn report(name: &RepositoryName, published: &Published) -> Report {
    let statistics = &published.statistics;
    Report {
        repository: name.to_string(),
        revision: published.revision,
        root_catalog: published.root_catalog.to_string(),
        is_new: published.is_new,
        entries: statistics.entries,
        files: statistics.files,
        files_read: statistics.files_read,
        bytes_read: statistics.bytes_read,
        files_vanished: statistics.files_vanished,
        objects_new: statistics.objects.new + statistics.catalog_objects.new,
        objects_reused: statistics.objects.reused + statistics.catalog_objects.reused,
        bytes_stored: statistics.objects.new_bytes + statistics.catalog_objects.new_bytes,
        catalogs_written: statistics.catalogs_written,
        catalogs_kept: statistics.catalogs_kept,
        seconds: Seconds {
            contents: statistics.contents_time.as_secs_f64(),
            catalogs: statistics.catalogs_time.as_secs_f64(),
            commit: statistics.commit_time.as_secs_f64(),
        },
    }
}

/// A few lines for people.
fn summary(name: &RepositoryName, published: &Published) -> String {
    let report = report(name, published);
    if !published.is_new {
        return format!("{name} is unchanged at revision {}", report.revision);
    }
    let bytes = |bytes| indicatif::HumanBytes(bytes).to_string();
    let count = |number| indicatif::HumanCount(number).to_string();
    let seconds = report.seconds.contents + report.seconds.catalogs + report.seconds.commit;
    format!(
        "{name} is at revision {}, root catalog {}\n\
         {} entries seen, {} files of {} read in {seconds:.1} s\n\
         {} objects stored with {}, {} were there\n\
         {} catalogs written, {} kept",
        report.revision,
        report.root_catalog,
        count(report.entries),
        count(report.files_read),
        bytes(report.bytes_read),
        count(report.objects_new),
        bytes(report.bytes_stored),
        count(report.objects_reused),
        count(report.catalogs_written),
        count(report.catalogs_kept),
    )
}

pub(super) fn path(text: &str) -> Result<RepositoryPath, varve_repository::NameError> {
    RepositoryPath::new(text.as_bytes())
}
