//! Publishes the content of a tar archive, read once and in order: nothing is unpacked or mounted, no privileges are needed.
//!
//! ```text
//!  bytes ─▶ compression ─▶ archive (headers) ─▶ unpacking ─▶ assembly (names) ─▶ ChangeSet
//!                              └─▶ contents ────────┴─▶ pipeline
//! ```

use std::io::{BufRead, BufReader};
use std::num::NonZeroUsize;
use std::time::{Instant, SystemTime};

use varve_repository::{RepositoryPath, TagName};
use varve_store::ObjectStore;

use crate::base_revision::Base;
use crate::change::ChangeSet;
use crate::conclude::{Revising, Stopwatch, conclude};
use crate::error::PublishError;
use crate::head::{Expiry, Publisher};
use crate::local::LocalRepository;
use crate::pipeline::{self, Contents, PipelineConfig, PipelineTally};
use crate::progress::{Phase, Progress};
use crate::publish::{Published, Statistics, new_directory};
use crate::state::PublishState;
use crate::walk::{WalkTally, Warning};

mod archive;
mod assembly;
mod compression;
mod container;
mod error;
mod header;
mod sparse;
mod unpacking;

use assembly::Assembly;
#[cfg(test)]
pub(crate) use container::gather as gather_container;
pub use container::{ContainerError, ContainerRequest, Platform, ingest_container};
pub use error::{ArchiveError, ArchiveProblem, IngestError};
use unpacking::{Devices, Room, Unpacking};

/// Bytes that are decompressed at a time.
const BUFFER: usize = 128 << 10;

/// What is ingested, and how.
#[derive(Clone, Debug)]
pub struct IngestRequest {
    /// Where the archive's content appears in the repository; parents are made. What is there already stays, unless the
    /// archive has the same names.
    pub at: RepositoryPath,
    /// What is removed before, as paths in the repository.
    pub delete: Vec<RepositoryPath>,
    /// A name for the revision, with a description.
    pub tag: Option<(TagName, String)>,
    /// How many threads work, beside the one that reads and decompresses.
    pub threads: NonZeroUsize,
    /// How many bytes of file contents may wait in memory.
    pub memory: u64,
    /// The time of the revision.
    pub now: SystemTime,
}

/// Ingests an archive, compressed or not; without one, only deletes.
///
/// # Errors
/// Any [`PublishError`]; the revision before stays the valid one.
pub fn ingest(
    local: &LocalRepository,
    request: &IngestRequest,
    archive: Option<&mut dyn BufRead>,
    progress: &dyn Progress,
) -> Result<Published, PublishError> {
    let publisher = Publisher::open(local, Expiry::Refused, request.now)?;
    local.refuse_in_transaction()?;
    let head = &publisher.head;
    let revising = Revising {
        publisher: &publisher,
        tag: request.tag.as_ref(),
        threads: request.threads,
        now: request.now,
    };
    revising.check_tag()?;
    let base = Base::new(&*head.store, Some(head.root()));
    let mut clock = Stopwatch(Instant::now());
    progress.phase(Phase::Contents);
    let config = revising.pipeline(request.memory);
    let Gathered { changes, contents, read, tally } =
        gather(&config, head.settings.xattrs, &*head.store, &base, request, archive, progress)?;
    let statistics = Statistics::gathered(&tally, &read, &contents, clock.lap());
    // What former publishes knew of files here holds no longer.
    let touched: Vec<&RepositoryPath> = std::iter::once(&request.at).chain(&request.delete).collect();
    let old = head.manifest.root_catalog;
    let state = PublishState::read(&local.state);
    let remember = |new: &_| Ok(state.after_others(&old, new, &touched).write(&local.state)?);
    conclude(&revising, &base, (changes, &contents), remember, progress, (statistics, tally.warnings))
}

/// What an ingest changes; its contents are stored.
pub(crate) struct Gathered {
    pub(crate) changes: ChangeSet,
    pub(crate) contents: Contents,
    pub(crate) read: PipelineTally,
    pub(crate) tally: WalkTally,
}

/// Reads an archive.
pub(crate) fn gather(
    config: &PipelineConfig,
    xattrs: bool,
    store: &dyn ObjectStore,
    base: &Base<'_>,
    request: &IngestRequest,
    archive: Option<&mut dyn BufRead>,
    progress: &dyn Progress,
) -> Result<Gathered, PublishError> {
    let mut assembly = Assembly::default();
    let mut tally = WalkTally::default();
    for path in &request.delete {
        if exists(base, path)? {
            assembly.remove(path);
        } else {
            let reason = "nothing is there to delete".to_owned();
            tally.warnings.push(Warning { path: path.clone(), reason });
        }
    }
    let (unpacked, contents, read) = pipeline::run(config, store, progress, |feeder| {
        let (devices, room) = (Devices::Recorded, Room::UNLIMITED);
        let mut unpacking =
            Unpacking { at: &request.at, xattrs, feeder, progress, assembly, tally, devices, room };
        if let Some(packed) = archive {
            let reader = compression::decompressed(packed).map_err(|source| {
                let problem = ArchiveProblem::from(source);
                ArchiveError { offset: 0, member: None, behind: false, problem }
            })?;
            unpacking.run(BufReader::with_capacity(BUFFER, reader))?;
        }
        Ok::<_, IngestError>((unpacking.assembly, unpacking.tally))
    })?;
    let (assembly, tally) = unpacked?;
    let missing = |path: &RepositoryPath, owner| new_directory(path, owner, request.now);
    let changes = assembly.changes(base, &missing)?;
    Ok(Gathered { changes, contents, read, tally })
}

fn exists(base: &Base<'_>, path: &RepositoryPath) -> Result<bool, PublishError> {
    let Some((parent, name)) = path.split_last() else { return Ok(true) };
    let parent = base.find(&parent)?;
    Ok(parent.is_some_and(|parent| parent.child(name.as_bytes()).is_some()))
}

#[cfg(test)]
mod tests;
