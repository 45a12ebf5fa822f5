//! What a replication shows while it is under way and tells when it has ended.

use std::sync::atomic::{AtomicU64, Ordering};

use serde::Serialize;
use varve_replicate::{GoneTag, MirrorProgress, Mirrored};
use varve_repository::{RepositoryName, RepositoryPath};

use crate::failure::Failure;
use crate::invocation::Invocation;
use crate::progress::{Progress, Unit};

/// What was done, for programs.
#[derive(Serialize)]
struct Report {
    repository: String,
    revision: u64,
    root_catalog: String,
    is_new: bool,
    dry_run: bool,
    catalogs_fetched: u64,
    objects_fetched: u64,
    bytes_fetched: u64,
    objects_present: u64,
    tagged_revisions: u64,
    tags_gone: Vec<Gone>,
}

#[derive(Serialize)]
struct Gone {
    tag: String,
    reason: String,
}

/// Says what became of a replication.
pub(super) fn tell(
    invocation: &Invocation,
    name: &RepositoryName,
    mirrored: &Mirrored,
    dry_run: bool,
    json: bool,
) -> Result<(), Failure> {
    if json {
        return invocation.output.json(&Report::new(name, mirrored, dry_run));
    }
    let count = indicatif::HumanCount;
    let bytes = indicatif::HumanBytes(mirrored.bytes);
    let objects = count(mirrored.objects);
    let revision = mirrored.revision;
    invocation.output.line(match (mirrored.is_new, dry_run) {
        (true, _) => format!(
            "{name} is replicated at revision {revision}, root catalog {}\n\
             {objects} objects fetched with {bytes}, {} were there\n\
             {} tagged revisions beside the newest",
            mirrored.root_catalog,
            count(mirrored.present),
            count(mirrored.tagged),
        ),
        (false, true) => {
            format!("{name}: {objects} objects of at most {bytes} would be fetched for revision {revision}")
        }
        (false, false) => format!("{name} is unchanged at revision {revision}"),
    })
}

/// The same on one line, for a process that goes on.
pub(super) fn tell_shortly(
    invocation: &Invocation,
    name: &RepositoryName,
    mirrored: &Mirrored,
    json: bool,
) -> Result<(), Failure> {
    if json {
        let report = serde_json::to_string(&Report::new(name, mirrored, false));
        return invocation.output.line(report.map_err(Failure::usage_error)?);
    }
    let fetched = indicatif::HumanCount(mirrored.objects);
    let bytes = indicatif::HumanBytes(mirrored.bytes);
    invocation.output.line(match mirrored.is_new {
        true => {
            format!("{name} is at revision {}: {fetched} objects fetched with {bytes}", mirrored.revision)
        }
        false => format!("{name} is at revision {}", mirrored.revision),
    })
}

impl Report {
    fn new(name: &RepositoryName, mirrored: &Mirrored, dry_run: bool) -> Self {
        let gone = |tag: &GoneTag| Gone { tag: tag.name.clone(), reason: tag.reason.clone() };
        Self {
            repository: name.to_string(),
            revision: mirrored.revision,
            root_catalog: mirrored.root_catalog.to_string(),
            is_new: mirrored.is_new,
            dry_run,
            catalogs_fetched: mirrored.catalogs,
            objects_fetched: mirrored.objects,
            bytes_fetched: mirrored.bytes,
            objects_present: mirrored.present,
            tagged_revisions: mirrored.tagged,
            tags_gone: mirrored.gone.iter().map(gone).collect(),
        }
    }
}

/// A bar of objects.
pub(super) struct Shown {
    bar: Progress,
    missing: AtomicU64,
}

impl Shown {
    pub(super) fn start(invocation: &Invocation) -> Self {
        Self { bar: invocation.progress("replicating", Unit::Count, Some(0)), missing: AtomicU64::new(0) }
    }

    pub(super) fn finish(self) {
        self.bar.finish();
    }
}

impl MirrorProgress for Shown {
    fn catalog(&self, path: &RepositoryPath) {
        self.bar.set_detail(path.to_string());
    }

    fn missing(&self, objects: u64) {
        self.bar.set_total(self.missing.fetch_add(objects, Ordering::Relaxed) + objects);
    }

    fn stored(&self, objects: u64, _: u64) {
        self.bar.advance(objects);
    }
}
