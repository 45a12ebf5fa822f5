//! Garbage collection: removes the objects that no kept revision needs.
//!
//! ```text
//! retention ─▶ mark ─▶ history without pruned tags ─▶ shorter reflog ─▶ sweep
//!   what is kept        (manifest switched)            (manifest switched)   whatever is stored and not marked
//! ```
//!
//! Invariants:
//! - Everything that a kept root catalog reaches was marked before anything is removed; what can't be read of it ends the
//!   collection before it began.
//! - Nothing refers to an object any more when it is removed: first the tags go, then the reflog's lines, then objects.
//!   Killed at any step the repository is sound, and the next collection goes on: the sweep lists the whole store.
//! - The repository's lock is held: nobody puts objects meanwhile. What an interrupted publish has put is garbage.
//! - Memory: about 23 bytes for each object that is kept, see [`reached`], and a catalog for each thread.

mod mark;
mod reached;
mod replica;
mod retention;
mod sweep;
#[cfg(test)]
mod tests;

use std::num::NonZeroUsize;
use std::time::{Duration, SystemTime};

use varve_content::{Compression, CompressionError, ContentHash, ObjectKind, ObjectName};
use varve_repository::{
    Certificate, History, ManifestFields, Reflog, RepositoryPath, SignedManifest, Tag, status_date,
    status_with,
};
use varve_store::{Deadline, Freshness, MemoryStore, ObjectStore, RepositoryFile, StoreError};

use crate::error::PublishError;
use crate::head::{CERTIFICATE_LIMIT, Expiry, NewHead, Publisher, commit, object};
use crate::local::LocalRepository;
use crate::pipeline::ObjectWriter;
use crate::progress::Silent;
use reached::Reached;
pub use replica::collect_replica;
pub use retention::Keep;
use retention::Retention;

/// How long a file of the repository may take to arrive.
const PATIENCE: Duration = Duration::from_secs(60);

/// What is collected, and how.
#[derive(Clone, Copy, Debug)]
pub struct CollectRequest {
    /// Which revisions are kept beside those with tags.
    pub keep: Keep,
    /// Change nothing, only tell what would be removed.
    pub dry_run: bool,
    /// How many threads work.
    pub threads: NonZeroUsize,
    /// The time, for the whitelist's validity.
    pub now: SystemTime,
}

/// What a collection did, or would do.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Collected {
    /// Revisions that are kept.
    pub revisions_kept: u64,
    /// Revisions that were known before, and are not any more.
    pub revisions_removed: u64,
    /// Automatic tags of those.
    pub tags_removed: Vec<Tag>,
    /// Catalogs of the kept revisions.
    pub catalogs: u64,
    /// Objects and bytes that stay.
    pub kept: Amount,
    /// Objects and bytes that go.
    pub removed: Amount,
}

/// A number of objects and their stored bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Amount {
    /// Objects.
    pub objects: u64,
    /// Their stored bytes.
    pub bytes: u64,
}

impl Amount {
    fn add(&mut self, bytes: u64) {
        self.objects += 1;
        self.bytes += bytes;
    }
}

/// Receives progress, from many threads at once.
pub trait CollectProgress: Sync {
    /// The objects of a catalog were marked.
    fn catalog(&self, path: &RepositoryPath) {
        let _ = path;
    }

    /// Marking has ended: so many objects are needed.
    fn marked(&self, objects: u64) {
        let _ = objects;
    }

    /// A stored object was looked at.
    fn listed(&self) {}
}

impl CollectProgress for Silent {}

/// Why a collection ended early.
#[derive(Debug, thiserror::Error)]
pub enum CollectError {
    /// The repository forbids it.
    #[error("{name} is not garbage collectable")]
    Forbidden {
        /// The repository.
        name: String,
    },
    /// Without the log nobody knows which revisions there are.
    #[error("{file} of the repository {problem}", file = RepositoryFile::Reflog)]
    Reflog {
        /// What is wrong with it.
        problem: &'static str,
    },
    /// A catalog can't be had.
    #[error("cannot load the catalog {name}")]
    Load {
        /// The object.
        name: ObjectName,
        /// Why.
        #[source]
        source: StoreError,
    },
    /// A catalog does not decompress.
    #[error("the catalog {name} is damaged")]
    Damaged {
        /// The object.
        name: ObjectName,
        /// Why.
        #[source]
        source: CompressionError,
    },
    /// A catalog can't be used.
    #[error("cannot use the catalog {name}")]
    Catalog {
        /// The object.
        name: ObjectName,
        /// Why.
        #[source]
        source: varve_repository::CatalogError,
    },
}

impl CollectError {
    pub(crate) fn hint(&self) -> &'static str {
        match self {
            Self::Forbidden { .. } => {
                "to permit it for good: 'garbage-collectable = true' in the repository's settings, then publish"
            }
            Self::Reflog { .. } => {
                "the next publish or tag writes it anew; revisions that have no tag are not in it then"
            }
            Self::Load { .. } | Self::Damaged { .. } | Self::Catalog { .. } => {
                "nothing was removed; `varve repo check NAME` tells what else is wrong"
            }
        }
    }
}

/// Removes what no kept revision needs, of a repository that is published here or of a replica.
///
/// # Errors
/// [`PublishError::Collect`]; any other [`PublishError`]. The repository is sound, and the next collection goes on.
pub fn collect(
    local: &LocalRepository,
    request: &CollectRequest,
    progress: &dyn CollectProgress,
) -> Result<Collected, PublishError> {
    if replica::is_replica(local)? {
        return replica::lock_and_collect(local, request, progress);
    }
    let mut publisher = Publisher::open(local, Expiry::Refused, request.now)?;
    let collected = collect_as(&mut publisher, request, progress)?;
    tell_monitoring(&*publisher.head.store, request)?;
    Ok(collected)
}

/// Writes down when the last collection ended, where monitoring looks for it.
fn tell_monitoring(store: &dyn ObjectStore, request: &CollectRequest) -> Result<(), PublishError> {
    if request.dry_run {
        return Ok(());
    }
    let file = RepositoryFile::Status;
    let status = match store.fetch_file(file, Freshness::Revalidated, Deadline::after(PATIENCE)) {
        Ok(status) => status,
        Err(StoreError::NotFound { .. }) => Vec::new(),
        Err(error) => return Err(error.into()),
    };
    Ok(store.put_file(file, &status_with(&status, "last_gc", &status_date(request.now)))?)
}

/// The same, as somebody who holds the lock.
fn collect_as(
    publisher: &mut Publisher,
    request: &CollectRequest,
    progress: &dyn CollectProgress,
) -> Result<Collected, PublishError> {
    let head = &publisher.head;
    if !(head.manifest.garbage_collectable && head.settings.garbage_collectable) {
        return Err(CollectError::Forbidden { name: head.manifest.repository.to_string() }.into());
    }
    let Log { reflog, hash, is_named } = read_reflog(publisher)?;
    let retention = retention::decide(head, &reflog, request)?;
    let mut history = head.history.clone();
    let tags_removed: Vec<Tag> =
        retention.pruned.iter().filter_map(|name| history.remove(name.as_str())).collect();
    let shorter = shorten(publisher, &reflog, &retention)?;
    let changes = !tags_removed.is_empty() || shorter.objects().len() < reflog.objects().len();
    // What the manifest will name afterwards, found out without writing it.
    let before = Named { certificate: head.manifest.certificate, history: head.manifest.history };
    let named = if changes { named_after(publisher, &history)? } else { before };

    let reached = Reached::new();
    for object in shorter.objects() {
        reached.insert(&object.name);
    }
    for (hash, kind) in [
        (named.certificate, ObjectKind::Certificate),
        (named.history, ObjectKind::History),
        (head.manifest.meta_info, ObjectKind::MetaInfo),
    ] {
        if let Some(hash) = hash {
            reached.insert(&ObjectName::new(hash, kind));
        }
    }
    let threads = request.threads.get();
    let catalogs = mark::mark(&*head.store, &retention.roots, &reached, threads, progress)?;
    let reached = reached.seal();
    progress.marked(reached.len());

    if changes && !request.dry_run {
        // With another key than before this is left out: the commit below publishes its certificate first.
        if !is_named && named.certificate == before.certificate {
            name_the_reflog(publisher, hash)?;
        }
        let head = &publisher.head;
        let new = || NewHead {
            root: head.published(),
            history: history.clone(),
            meta_info: head.manifest.meta_info,
        };
        let write =
            |reflog: Reflog| commit(&head.settings, &*head.store, &publisher.keys, &new(), reflog, || Ok(()));
        // The old history and what it names stay in the log until no manifest names that history.
        if named != before {
            write(reflog.clone())?;
        }
        write(shorter)?;
    }
    let swept =
        sweep::sweep(&*publisher.head.store, &reached, threads, request.dry_run, progress, &|_| true)?;
    Ok(Collected {
        revisions_kept: retention.roots.len() as u64,
        revisions_removed: retention.dropped,
        tags_removed,
        catalogs,
        kept: swept.kept,
        removed: swept.removed,
    })
}

/// The log of references, and whether the manifest names it.
struct Log {
    reflog: Reflog,
    hash: ContentHash,
    /// Otherwise a publish was killed just before it switched the manifest.
    is_named: bool,
}

/// Reads the log: one that the manifest vouches for, or the manifest of an interrupted publish.
fn read_reflog(publisher: &Publisher) -> Result<Log, PublishError> {
    let head = &publisher.head;
    let file = |file| head.store.fetch_file(file, Freshness::Revalidated, Deadline::after(PATIENCE));
    let wrong = |problem| PublishError::from(CollectError::Reflog { problem });
    let bytes = match file(RepositoryFile::Reflog) {
        Ok(bytes) => bytes,
        Err(StoreError::NotFound { .. }) => return Err(wrong("is missing")),
        Err(error) => return Err(error.into()),
    };
    let has = |hash: ContentHash| Reflog::hash(&bytes, hash.algorithm()) == hash;
    let is_named = head.manifest.reflog.is_none_or(has);
    if !is_named {
        let next = match file(RepositoryFile::NextManifest) {
            Ok(next) => SignedManifest::parse(&next).ok().and_then(|next| next.claims().reflog),
            Err(StoreError::NotFound { .. }) => None,
            Err(error) => return Err(error.into()),
        };
        if !next.is_some_and(has) {
            return Err(wrong("is not the one that the manifest names"));
        }
    }
    let reflog = Reflog::read(&bytes)?;
    if *reflog.repository() != head.manifest.repository {
        return Err(wrong("is that of another repository"));
    }
    Ok(Log { reflog, hash: Reflog::hash(&bytes, head.settings.algorithm), is_named })
}

/// Signs the manifest once more, now with the log that an interrupted publish has left: the log may be replaced then
/// without a moment in which no manifest vouches for it.
fn name_the_reflog(publisher: &mut Publisher, hash: ContentHash) -> Result<(), PublishError> {
    let head = &publisher.head;
    let fields = ManifestFields { reflog: Some(hash), ..head.manifest.fields().clone() };
    let manifest = publisher.keys.sign_manifest(fields, head.settings.algorithm)?;
    head.store.put_file(RepositoryFile::Manifest, &manifest.to_bytes())?;
    publisher.head.manifest = manifest;
    Ok(())
}

/// What a manifest names beside the root catalog.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Named {
    certificate: Option<ContentHash>,
    history: Option<ContentHash>,
}

/// What a manifest with this history will name.
fn named_after(publisher: &Publisher, history: &History) -> Result<Named, PublishError> {
    let nowhere = MemoryStore::new();
    let settings = &publisher.head.settings;
    let mut objects = ObjectWriter::new(&nowhere, settings.algorithm, Compression::Zlib, settings.effort);
    let mut name = |what, kind, bytes: &[u8]| {
        objects.write(kind, bytes).map(Some).map_err(|source| PublishError::Object { what, source })
    };
    Ok(Named {
        certificate: name("certificate", ObjectKind::Certificate, publisher.keys.certificate().pem())?,
        history: name("history", ObjectKind::History, &history.to_bytes()?)?,
    })
}

/// The log without dropped revisions, and without histories and descriptions of before the oldest kept one.
fn shorten(publisher: &Publisher, reflog: &Reflog, retention: &Retention) -> Result<Reflog, PublishError> {
    let head = &publisher.head;
    let current = [head.manifest.certificate, head.manifest.meta_info];
    let mut foreign = Vec::new();
    for logged in reflog.objects().iter().filter(|logged| logged.name.kind == ObjectKind::Certificate) {
        let pem = match object(&*head.store, logged.name.hash, ObjectKind::Certificate, CERTIFICATE_LIMIT) {
            Ok(pem) => pem,
            Err(PublishError::Store(StoreError::NotFound { .. })) => continue,
            Err(error) => return Err(error),
        };
        // One that can't be understood is kept: it is small, and nobody knows what it is good for.
        if Certificate::from_pem(&pem).map_or(true, |certificate| head.whitelist.names(&certificate)) {
            foreign.push(logged.name.hash);
        }
    }
    let mut shorter = reflog.clone();
    shorter.retain(|logged| match logged.name.kind {
        ObjectKind::Catalog => retention.roots.contains(&logged.name.hash),
        ObjectKind::Certificate => {
            current.contains(&Some(logged.name.hash)) || foreign.contains(&logged.name.hash)
        }
        ObjectKind::History => {
            let stays = retention.pruned.is_empty() && head.manifest.history == Some(logged.name.hash);
            stays || logged.logged >= retention.since
        }
        _ => current.contains(&Some(logged.name.hash)) || logged.logged >= retention.since,
    });
    Ok(shorter)
}
