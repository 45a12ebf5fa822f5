//! `varve os publish`: the tree of an operating system becomes a tagged revision.

use std::num::NonZeroUsize;
use std::path::PathBuf;

use clap::Args;
use indicatif::{HumanBytes, HumanCount};
use serde::{Deserialize, Serialize};
use varve_packages::{Privilege, verify_tree};
use varve_publish::{MEMORY_BUDGET, PublishRequest, move_tag, publish};
use varve_repository::{NameError, RepositoryName, RepositoryPath, TagName};

use super::sandboxed;
use crate::commands::repo::local::{self, PublishProgress};
use crate::exit_code::ExitCode;
use crate::failure::Failure;
use crate::invocation::Invocation;
use crate::places::Places;

/// Publish the tree of an operating system as a tagged revision
#[derive(Args, Debug)]
#[command(
    after_help = "The packages that are installed in the tree are compared with its lock again. The revision gets a tag \
                  of its own, the system's name and version, and the tag with the name alone moves to it: machines \
                  that boot NAME-VERSION stay, those that boot NAME follow.\n\nExample:\n  varve os publish basic-20260102 \
                  os.example.org"
)]
pub(crate) struct Publish {
    /// The directory that `varve os build` made
    tree: PathBuf,
    /// The repository
    repository: RepositoryName,
    /// The revision's own tag; by default the system's name and version
    #[arg(long, short, value_name = "TAG")]
    tag: Option<TagName>,
    /// The tag that moves to the revision; by default the system's name
    #[arg(long, value_name = "TAG")]
    moving: Option<TagName>,
    /// The directory of the repository that the tree becomes; what is beside it stays
    #[arg(long, value_name = "PATH", default_value = "/", value_parser = path)]
    at: RepositoryPath,
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
    tag: String,
    moving: String,
    entries: u64,
    objects_new: u64,
    bytes_stored: u64,
}

/// A tree that is to be published, and where this user's repositories are.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct PublishOrder {
    tree: PathBuf,
    repository: String,
    tag: Option<String>,
    moving: Option<String>,
    at: String,
    json: bool,
    places: Places,
}

impl Publish {
    pub(crate) fn run(self, invocation: &Invocation) -> Result<(), Failure> {
        let order = PublishOrder {
            tree: self.tree,
            repository: self.repository.to_string(),
            tag: self.tag.map(|tag| tag.to_string()),
            moving: self.moving.map(|tag| tag.to_string()),
            at: self.at.to_string(),
            json: self.json,
            places: invocation.places()?,
        };
        match sandboxed::privilege() {
            Privilege::Root => order.publish(invocation),
            Privilege::User => sandboxed::publish(order),
        }
    }
}

impl PublishOrder {
    /// Publishes, as somebody who sees the tree's owners.
    pub(super) fn publish(&self, invocation: &Invocation) -> Result<(), Failure> {
        let scratch = tempfile::tempdir()
            .map_err(|error| Failure::io("make a directory in", &std::env::temp_dir(), error))?;
        let record = verify_tree(&self.tree, scratch.path())?;
        let repository: RepositoryName = self.repository.parse().map_err(Failure::usage_error)?;
        let local = local::repository_in(&self.places, invocation.environment.aws(), &repository);
        let named = |chosen: &Option<String>, otherwise: String| {
            chosen.as_ref().unwrap_or(&otherwise).parse::<TagName>().map_err(Failure::usage_error)
        };
        let tag = named(&self.tag, format!("{}-{}", record.name, record.version))?;
        let moving = named(&self.moving, record.name.to_string())?;
        if tag == moving {
            return Err(Failure::usage(format!("the tag '{tag}' cannot both stay and move")));
        }
        let description = format!("{} {}, lock sha256:{}", record.name, record.version, record.lock);
        let now = invocation.now();
        let request = PublishRequest {
            tree: &self.tree,
            at: path(&self.at).map_err(Failure::usage_error)?,
            tag: Some((tag.clone(), description.clone())),
            // Two versions of a file can have one size and one time here, since times are set back.
            read_everything: true,
            threads: std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN),
            memory: MEMORY_BUDGET,
            now,
        };
        let progress = PublishProgress::start(invocation);
        let published = publish(&local, &request, &progress)?;
        progress.finish();
        for warning in &published.warnings {
            invocation.output.warn(format!("{}: {}", warning.path, warning.reason));
        }
        if published.statistics.files_vanished > 0 {
            return Err(Failure::new(ExitCode::Failure, "the tree changed while it was published")
                .hint("publish it again when nothing writes to it"));
        }
        move_tag(&local, &moving, &description, &tag, now)?;
        let statistics = &published.statistics;
        let report = Report {
            repository: repository.to_string(),
            revision: published.revision,
            root_catalog: published.root_catalog.to_string(),
            is_new: published.is_new,
            tag: tag.to_string(),
            moving: moving.to_string(),
            entries: statistics.entries,
            objects_new: statistics.objects.new,
            bytes_stored: statistics.objects.new_bytes,
        };
        if self.json {
            return invocation.output.json(&report);
        }
        invocation.output.line(format!(
            "{repository} has {} {} at revision {}, tagged {tag} and {moving}\n{} entries, {} objects stored with {}",
            record.name,
            record.version,
            report.revision,
            HumanCount(report.entries),
            HumanCount(report.objects_new),
            HumanBytes(report.bytes_stored),
        ))
    }
}

fn path(text: &str) -> Result<RepositoryPath, NameError> {
    RepositoryPath::new(text.as_bytes())
}
