//! Publishes a directory tree as the next revision of a repository, or of a part of it.

use std::num::NonZeroUsize;
use std::path::Path;
use std::time::{Duration, Instant, SystemTime};

use varve_content::ContentHash;
use varve_repository::{Entry, HardLink, Metadata, Mtime, NestedRole, Node, RepositoryPath, TagName, Xattrs};

use crate::base_revision::Base;
use crate::change::ChangeSet;
use crate::conclude::{Revising, Stopwatch, conclude};
use crate::error::PublishError;
use crate::head::{Expiry, Publisher, publish_time};
use crate::local::LocalRepository;
use crate::pipeline::{self, Contents, ObjectTally, PipelineTally};
use crate::progress::{Phase, Progress};
use crate::source::SourceDirectory;
use crate::state::PublishState;
use crate::walk::{DIRECTORY_SIZE, Owners, WalkOptions, WalkTally, Warning, walk};

/// How many bytes of file contents may wait in memory unless somebody chooses otherwise.
pub const MEMORY_BUDGET: u64 = 256 << 20;

/// What is published, and how.
#[derive(Clone, Debug)]
pub struct PublishRequest<'a> {
    /// The directory whose content is published.
    pub tree: &'a Path,
    /// Where it appears in the repository; parents are made. What is beside it stays as it is.
    pub at: RepositoryPath,
    /// A name for the revision, with a description.
    pub tag: Option<(TagName, String)>,
    /// Read every file, whatever its size and time say.
    pub read_everything: bool,
    /// How many threads work.
    pub threads: NonZeroUsize,
    /// How many bytes of file contents may wait in memory.
    pub memory: u64,
    /// The time of the revision, taken before the tree is looked at.
    pub now: SystemTime,
}

/// What a publish did.
#[derive(Clone, Debug)]
pub struct Published {
    /// The newest revision afterwards.
    pub revision: u64,
    /// Its root catalog.
    pub root_catalog: ContentHash,
    /// Whether the publish made it; otherwise nothing differed.
    pub is_new: bool,
    /// What was seen and done.
    pub statistics: Statistics,
    /// What was left out.
    pub warnings: Vec<Warning>,
}

/// What a publish saw and did.
#[derive(Clone, Debug, Default)]
pub struct Statistics {
    /// Names in the tree, with its top.
    pub entries: u64,
    /// Regular files among them.
    pub files: u64,
    /// Files whose content was read.
    pub files_read: u64,
    /// Bytes read from them.
    pub bytes_read: u64,
    /// Files that vanished between being seen and being read: they are left out.
    pub files_vanished: u64,
    /// Objects with contents of files.
    pub objects: ObjectTally,
    /// Catalogs written.
    pub catalogs_written: u64,
    /// Catalogs beside and below them that stayed as they were.
    pub catalogs_kept: u64,
    /// Objects with catalogs.
    pub catalog_objects: ObjectTally,
    /// How long the tree walk and the contents took.
    pub contents_time: Duration,
    /// How long the catalogs took.
    pub catalogs_time: Duration,
    /// How long the rest took: history, sync, manifest.
    pub commit_time: Duration,
}

impl Statistics {
    /// What is known once all contents are stored.
    pub(crate) fn gathered(
        walked: &WalkTally,
        read: &PipelineTally,
        contents: &Contents,
        contents_time: Duration,
    ) -> Self {
        Self {
            entries: walked.entries,
            files: walked.files,
            files_read: read.files,
            bytes_read: read.bytes_read,
            files_vanished: contents.vanished(),
            objects: read.objects,
            contents_time,
            ..Self::default()
        }
    }
}

/// Publishes.
///
/// # Errors
/// Any [`PublishError`]; the revision before stays the valid one.
pub fn publish(
    local: &LocalRepository,
    request: &PublishRequest<'_>,
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
    let source = SourceDirectory::open(request.tree)
        .map_err(|source| PublishError::Tree { path: request.tree.to_owned(), source })?;
    let state = PublishState::read(&local.state);
    let old = head.manifest.root_catalog;
    let trusted_before = state.trusted_before(&old, &request.at).filter(|_| !request.read_everything);
    let base = Base::new(&*head.store, Some(head.root()));
    let mut clock = Stopwatch(Instant::now());

    progress.phase(Phase::Contents);
    let options = WalkOptions { xattrs: head.settings.xattrs, trusted_before, owners: Owners::Recorded };
    let config = revising.pipeline(request.memory);
    let (walked, contents, read) = pipeline::run(&config, &*head.store, progress, |feeder| {
        walk(options, &source, &request.at, &base, feeder, progress)
    })?;
    let (change, walked) = walked?;
    let changes = below(ChangeSet { root: change }, &request.at, &base, request.now)?;
    let statistics = Statistics::gathered(&walked, &read, &contents, clock.lap());
    let started = publish_time(request.now, 0) as i64;
    let remember = |new: &_| Ok(state.after(Some(&old), new, &request.at, started).write(&local.state)?);
    conclude(&revising, &base, (changes, &contents), remember, progress, (statistics, walked.warnings))
}

/// Moves changes to a directory of the repository; directories on the way there that don't exist are made.
pub(crate) fn below(
    changes: ChangeSet,
    at: &RepositoryPath,
    base: &Base<'_>,
    now: SystemTime,
) -> Result<ChangeSet, PublishError> {
    let mut failed = None;
    let owner = changes.root.entry.as_ref().map_or((0, 0), |entry| (entry.metadata.uid, entry.metadata.gid));
    let moved = changes.below(at, |path| match base.find(path) {
        Ok(Some(_)) => None,
        Ok(None) => Some(new_directory(path, owner, now)),
        Err(error) => {
            failed = Some(error);
            None
        }
    });
    failed.map_or(Ok(moved), |error| Err(error.into()))
}

/// A directory on the way to what is published.
pub(crate) fn new_directory(path: &RepositoryPath, (uid, gid): (u32, u32), now: SystemTime) -> Entry {
    let mtime = Mtime { seconds: publish_time(now, 0) as i64, nanoseconds: Some(0) };
    Entry {
        name: path.split_last().map(|(_, name)| name),
        metadata: Metadata { permissions: 0o755, uid, gid, mtime },
        node: Node::Directory { size: DIRECTORY_SIZE },
        hard_link: HardLink::SINGLE,
        xattrs: Xattrs::default(),
        nested: NestedRole::Plain,
        hidden: false,
    }
}
