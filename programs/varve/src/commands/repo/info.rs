//! `varve repo info`: a repository at a glance.

use clap::Args;
use serde::Serialize;
use varve_publish::info;
use varve_repository::RepositoryName;

use super::{local, tag};
use crate::failure::Failure;
use crate::invocation::Invocation;

/// Show what a repository holds and how long its whitelist lasts
#[derive(Args, Debug)]
pub(crate) struct Info {
    /// The repository
    name: RepositoryName,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Report {
    repository: String,
    revision: u64,
    published: String,
    root_catalog: String,
    files: u64,
    directories: u64,
    symlinks: u64,
    specials: u64,
    bytes: u64,
    nested_catalogs: u64,
    tags: u64,
    hash: String,
    compression: String,
    ttl_seconds: u64,
    garbage_collectable: bool,
    whitelist_expires: String,
    whitelist_expired: bool,
    directory: String,
}

impl Info {
    pub(crate) fn run(self, invocation: &Invocation) -> Result<(), Failure> {
        let local = local::repository(invocation, &self.name)?;
        let info = info(&local, invocation.now())?;
        let report = Report {
            repository: info.name.to_string(),
            revision: info.revision,
            published: tag::time(info.published),
            root_catalog: info.root_catalog.to_string(),
            files: info.counters.regular_files,
            directories: info.counters.directories,
            symlinks: info.counters.symlinks,
            specials: info.counters.specials,
            bytes: info.counters.file_bytes,
            nested_catalogs: info.counters.nested_catalogs,
            tags: info.tags,
            hash: info.settings.algorithm.to_string(),
            compression: info.settings.compression.name().to_owned(),
            ttl_seconds: info.settings.ttl.as_secs(),
            garbage_collectable: info.settings.garbage_collectable,
            whitelist_expires: info.whitelist_expiry,
            whitelist_expired: info.whitelist_expired,
            directory: local.place(&info.settings),
        };
        if report.whitelist_expired {
            invocation.output.warn(format!(
                "the whitelist has expired: nobody can mount {0}; `varve repo resign {0}` signs a new one",
                self.name
            ));
        }
        if self.json { invocation.output.json(&report) } else { invocation.output.line(text(&report)) }
    }
}

fn text(report: &Report) -> String {
    let count = |number| indicatif::HumanCount(number).to_string();
    let contents = format!(
        "{} files with {}, {} directories, {} links, {} special files",
        count(report.files),
        indicatif::HumanBytes(report.bytes),
        count(report.directories),
        count(report.symlinks),
        count(report.specials)
    );
    let rows = [
        ("repository", report.repository.clone()),
        ("revision", format!("{}, published {}", report.revision, report.published)),
        ("root catalog", format!("{} and {} nested", report.root_catalog, count(report.nested_catalogs))),
        ("contents", contents),
        ("tags", count(report.tags)),
        ("stored", format!("{} in {}", report.compression, report.directory)),
        ("time to live", format!("{} s", report.ttl_seconds)),
        ("whitelist", format!("until {}", report.whitelist_expires)),
    ];
    let lines: Vec<String> = rows.iter().map(|(name, value)| format!("{name:<13} {value}")).collect();
    lines.join("\n")
}
