//! Publishes a directory tree as the next revision of a repository, or of a part of it.

use std::num::NonZeroUsize;
use std::path::Path;
use std::time::{Duration, Instant, SystemTime};

use varve_content::ContentHash;
use varve_repository::{
    Entry, HardLink, HistoryError, Metadata, Mtime, NestedRole, Node, PublishedRoot, RepositoryPath, TagName,
    Xattrs,
};

use crate::apply::{Revision, apply};
use crate::base_revision::Base;
use crate::change::ChangeSet;
use crate::error::PublishError;
use crate::head::{Expiry, NewHead, Publisher, publish_time};
use crate::local::LocalRepository;
use crate::pipeline::{self, ObjectTally, PipelineConfig};
use crate::progress::{Phase, Progress};
use crate::source::SourceDirectory;
use crate::state::PublishState;
use crate::walk::{DIRECTORY_SIZE, WalkOptions, Warning, walk};

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
    let head = &publisher.head;
    if let Some((name, _)) = &request.tag
        && head.history.tag(name.as_str()).is_some()
    {
        return Err(HistoryError::Exists { name: name.clone() }.into());
    }
    let source = SourceDirectory::open(request.tree)
        .map_err(|source| PublishError::Tree { path: request.tree.to_owned(), source })?;
    let state = PublishState::read(&local.state);
    let trusted_before =
        state.trusted_before(&head.manifest.root_catalog, &request.at).filter(|_| !request.read_everything);
    let base = Base::new(&*head.store, Some(head.root()));
    let mut clock = Stopwatch(Instant::now());
    let mut statistics = Statistics::default();

    progress.phase(Phase::Contents);
    let settings = &head.settings;
    let config = PipelineConfig {
        algorithm: settings.algorithm,
        compression: settings.compression,
        effort: settings.effort,
        chunks: settings.chunks,
        threads: request.threads,
        budget: request.memory,
    };
    let options = WalkOptions { xattrs: settings.xattrs, trusted_before };
    let (walked, contents, read) = pipeline::run(&config, &*head.store, progress, |feeder| {
        walk(options, &source, &request.at, &base, feeder, progress)
    })?;
    let (change, walked) = walked?;
    let changes = below(ChangeSet { root: change }, &request.at, &base, request.now)?;
    statistics.entries = walked.entries;
    statistics.files = walked.files;
    (statistics.files_read, statistics.bytes_read, statistics.objects) =
        (read.files, read.bytes_read, read.objects);
    statistics.files_vanished = contents.vanished();
    if read.objects.new > 0 {
        head.store.begin_sync();
    }
    statistics.contents_time = clock.lap();

    progress.phase(Phase::Catalogs);
    let revision = Revision {
        number: head.manifest.revision + 1,
        published: publish_time(request.now, head.manifest.published),
        previous: Some(head.manifest.root_catalog),
    };
    let catalogs = apply(settings, request.threads, &*head.store, &base, changes, &contents, revision)?;
    statistics.catalogs_written = catalogs.written;
    statistics.catalogs_kept = catalogs.kept;
    statistics.catalog_objects = catalogs.objects;
    statistics.catalogs_time = clock.lap();

    progress.phase(Phase::Commit);
    let old = head.manifest.root_catalog;
    let started = publish_time(request.now, 0) as i64;
    let after = state.after(Some(&old), &catalogs.root.hash, &request.at, started);
    let mut history = head.history.clone();
    let root = if catalogs.unchanged {
        head.published()
    } else {
        let root = PublishedRoot {
            root_catalog: catalogs.root.hash,
            root_catalog_size: catalogs.root.size.unwrap_or(0),
            revision: revision.number,
            published: revision.published,
        };
        history.advance(&root);
        root
    };
    if let Some((name, description)) = &request.tag {
        history.insert(root.tag(name.clone(), description))?;
    } else if settings.auto_tags && !catalogs.unchanged {
        history.insert(root.tag(history.automatic_name(root.published), ""))?;
    }
    if catalogs.unchanged && request.tag.is_none() {
        after.write(&local.state)?;
    } else {
        let new = NewHead { root, history, meta_info: head.manifest.meta_info };
        publisher.commit(new, || Ok(after.write(&local.state)?))?;
    }
    statistics.commit_time = clock.lap();
    Ok(Published {
        revision: root.revision,
        root_catalog: root.root_catalog,
        is_new: !catalogs.unchanged,
        statistics,
        warnings: walked.warnings,
    })
}

/// Moves changes to a directory of the repository; directories on the way there that don't exist are made.
fn below(
    changes: ChangeSet,
    at: &RepositoryPath,
    base: &Base<'_>,
    now: SystemTime,
) -> Result<ChangeSet, PublishError> {
    let mut failed = None;
    let owner = changes.root.entry.as_ref().map_or((0, 0), |entry| (entry.metadata.uid, entry.metadata.gid));
    let moved = changes.below(at, |path| match base.find(path) {
        Ok(Some(_)) => None,
        Ok(None) => Some(parent(path, owner, now)),
        Err(error) => {
            failed = Some(error);
            None
        }
    });
    failed.map_or(Ok(moved), |error| Err(error.into()))
}

/// A directory on the way to a published tree, owned as the tree is.
fn parent(path: &RepositoryPath, (uid, gid): (u32, u32), now: SystemTime) -> Entry {
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

/// Measures one part after the other.
struct Stopwatch(Instant);

impl Stopwatch {
    fn lap(&mut self) -> Duration {
        let now = Instant::now();
        now - std::mem::replace(&mut self.0, now)
    }
}
