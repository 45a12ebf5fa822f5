//! `varve repo tag`: names for revisions.

use clap::{Args, Subcommand};
use jiff::Timestamp;
use serde::Serialize;
use varve_publish::{add_tag, list_tags, remove_tags};
use varve_repository::{RepositoryName, Tag, TagName};

use super::local;
use crate::cli::ListingOptions;
use crate::failure::Failure;
use crate::invocation::Invocation;
use crate::output::Row;

/// Name revisions: add, remove and list tags
#[derive(Args, Debug)]
pub(crate) struct Tags {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Name the newest revision, or the one that another tag names
    Add {
        /// The repository
        name: RepositoryName,
        /// The new tag
        tag: TagName,
        /// A description
        #[arg(long, short, value_name = "TEXT", default_value = "", hide_default_value = true)]
        message: String,
        /// Name the revision that this tag names
        #[arg(long, value_name = "TAG")]
        of: Option<TagName>,
    },
    /// Remove tags; their revisions stay until garbage collection
    Remove {
        /// The repository
        name: RepositoryName,
        /// The tags
        #[arg(required = true)]
        tags: Vec<TagName>,
    },
    /// List all tags, the newest first
    List {
        /// The repository
        name: RepositoryName,
        #[command(flatten)]
        listing: ListingOptions,
    },
}

/// One tag.
#[derive(Serialize)]
struct Listed {
    tag: String,
    revision: u64,
    published: String,
    root_catalog: String,
    root_catalog_size: u64,
    branch: String,
    description: String,
}

impl Row for Listed {
    const HEADINGS: &'static [&'static str] =
        &["TAG", "REVISION", "PUBLISHED", "ROOT CATALOG", "DESCRIPTION"];
    const NUMBERS: &'static [usize] = &[1];

    fn cells(&self) -> Vec<String> {
        vec![
            self.tag.clone(),
            self.revision.to_string(),
            self.published.clone(),
            self.root_catalog.clone(),
            self.description.clone(),
        ]
    }
}

impl From<Tag> for Listed {
    fn from(tag: Tag) -> Self {
        Self {
            tag: tag.name.to_string(),
            revision: tag.revision,
            published: time(tag.published),
            root_catalog: tag.root_catalog.to_string(),
            root_catalog_size: tag.root_catalog_size,
            branch: tag.branch,
            description: tag.description,
        }
    }
}

impl Tags {
    pub(crate) fn run(self, invocation: &Invocation) -> Result<(), Failure> {
        let now = invocation.now();
        match self.verb {
            Verb::Add { name, tag, message, of } => {
                let local = local::repository(invocation, &name)?;
                let of = of.as_ref().map(TagName::as_str);
                let added = add_tag(&local, &tag, &message, of, now)?;
                invocation.output.say(format!("{tag} names revision {}", added.revision));
                Ok(())
            }
            Verb::Remove { name, tags } => {
                let local = local::repository(invocation, &name)?;
                for removed in remove_tags(&local, &tags, now)? {
                    invocation
                        .output
                        .say(format!("removed {} from revision {}", removed.name, removed.revision));
                }
                Ok(())
            }
            Verb::List { name, listing } => {
                let local = local::repository(invocation, &name)?;
                let rows: Vec<Listed> = list_tags(&local, now)?.into_iter().map(Listed::from).collect();
                invocation.output.listing(listing, &rows)
            }
        }
    }
}

/// Seconds since 1970 as `2026-11-21T00:36:09Z`.
pub(crate) fn time(seconds: u64) -> String {
    let time = i64::try_from(seconds).ok().and_then(|seconds| Timestamp::from_second(seconds).ok());
    time.unwrap_or(Timestamp::UNIX_EPOCH).to_string()
}
