//! Garbage collection of a replica: nobody can sign here, so manifest and tags stay as they came.
//!
//! ```text
//! retention ─▶ mark ─▶ shorter log ─▶ remove catalogs, root catalogs first ─▶ sync ─▶ remove everything else
//! ```
//!
//! Kept are the newest revision, every revision with a tag that was copied, and what [`super::Keep`] says of those in the
//! replica's log, which tells since when each was held. What a stored catalog of a replica names is stored, too: replications
//! rely on that. So catalogs go first, and of those the ones that name others.

use std::collections::{BTreeMap, HashSet};

use varve_content::{ContentHash, ObjectKind, ObjectName};
use varve_repository::Reflog;
use varve_store::{Deadline, Freshness, RepositoryFile, StoreError};

use super::reached::Sealed;
use super::{
    CollectError, CollectProgress, CollectRequest, Collected, PATIENCE, Reached, mark, retention, sweep,
};
use crate::check::parallel;
use crate::error::PublishError;
use crate::head::{Expiry, Head};
use crate::local::LocalRepository;
use crate::lock::RepositoryLock;

/// Whether a repository of this machine is a replica: it has neither the mark of an original nor a key to sign with.
pub(super) fn is_replica(local: &LocalRepository) -> Result<bool, PublishError> {
    if local.keys.join(format!("{}.key", local.name)).exists() || !local.directory.is_dir() {
        return Ok(false);
    }
    let settings = local.read_settings()?;
    let store = match local.open_store(&settings) {
        Ok(store) => store,
        Err(PublishError::Store(StoreError::NotFound { .. })) => return Ok(false),
        Err(error) => return Err(error),
    };
    let mark = RepositoryFile::MasterReplica;
    match store.fetch_file(mark, Freshness::Revalidated, Deadline::after(PATIENCE)) {
        Ok(_) => Ok(false),
        Err(StoreError::NotFound { .. }) => Ok(true),
        Err(error) => Err(error.into()),
    }
}

/// Removes from a replica what no kept revision needs. `lock` proves that nobody copies meanwhile.
///
/// # Errors
/// [`PublishError::Collect`]; any other [`PublishError`]. The replica is sound, and the next collection goes on.
pub fn collect_replica(
    local: &LocalRepository,
    lock: &RepositoryLock,
    request: &CollectRequest,
    progress: &dyn CollectProgress,
) -> Result<Collected, PublishError> {
    // An expired whitelist is the maintainers' matter, and nothing is signed here.
    let head = Head::open(local, Expiry::Ignored, request.now)?;
    let _locked = lock;
    head.store.remove_leftovers()?;
    let collected = collect_in(&head, request, progress)?;
    super::tell_monitoring(&*head.store, request)?;
    Ok(collected)
}

pub(super) fn collect_in(
    head: &Head,
    request: &CollectRequest,
    progress: &dyn CollectProgress,
) -> Result<Collected, PublishError> {
    if !head.manifest.garbage_collectable {
        return Err(CollectError::Forbidden { name: head.manifest.repository.to_string() }.into());
    }
    let log = read_log(head)?;
    let mut retention = retention::decide(head, &log, request)?;
    // Tags can't be removed here: whatever they name stays, if it was copied.
    retention.roots.extend(head.history.tags().iter().map(|tag| tag.root_catalog));
    let newest = head.manifest.root_catalog;
    let mut roots = HashSet::new();
    for root in retention.roots {
        if root == newest || head.store.contains(&catalog(root))? {
            roots.insert(root);
        }
    }
    let named = [
        (head.manifest.certificate, ObjectKind::Certificate),
        (head.manifest.history, ObjectKind::History),
        (head.manifest.meta_info, ObjectKind::MetaInfo),
    ];
    let named: Vec<ObjectName> =
        named.into_iter().filter_map(|(hash, kind)| Some(ObjectName::new(hash?, kind))).collect();
    let mut shorter = log.clone();
    shorter.retain(|logged| match logged.name.kind {
        ObjectKind::Catalog => roots.contains(&logged.name.hash),
        _ => named.contains(&logged.name) || logged.logged >= retention.since,
    });
    let reached = Reached::new();
    for object in shorter.objects().iter().map(|logged| &logged.name).chain(&named) {
        reached.insert(object);
    }
    let threads = request.threads.get();
    let catalogs = mark::mark(&*head.store, &roots, &reached, threads, progress)?;
    let reached = reached.seal();
    progress.marked(reached.len());
    if shorter.objects().len() < log.objects().len() && !request.dry_run {
        head.store.put_file(RepositoryFile::Reflog, &shorter.to_bytes()?)?;
    }
    let mut swept = sweep_catalogs(head, &reached, request, progress)?;
    let others = |name: &ObjectName| name.kind != ObjectKind::Catalog;
    swept.add(&sweep::sweep(&*head.store, &reached, threads, request.dry_run, progress, &others)?);
    let logged = |log: &Reflog| {
        log.objects().iter().filter(|logged| logged.name.kind == ObjectKind::Catalog).count() as u64
    };
    Ok(Collected {
        revisions_kept: roots.len() as u64,
        revisions_removed: logged(&log) - logged(&shorter),
        tags_removed: Vec::new(),
        catalogs,
        kept: swept.kept,
        removed: swept.removed,
    })
}

/// Removes the catalogs that were not reached, those nearer to the root first: what a catalog names lies deeper.
fn sweep_catalogs(
    head: &Head,
    reached: &Sealed,
    request: &CollectRequest,
    progress: &dyn CollectProgress,
) -> Result<sweep::Swept, PublishError> {
    let mut swept = sweep::Swept::default();
    let mut garbage = Vec::new();
    head.store.list(&mut |name, size| {
        if name.kind == ObjectKind::Catalog {
            progress.listed();
            if reached.contains(&name) {
                swept.kept.add(size);
            } else {
                swept.removed.add(size);
                garbage.push(name);
            }
        }
        Ok(())
    })?;
    if request.dry_run {
        return Ok(swept);
    }
    // One that can't be read proves nothing, and goes first.
    let depth = |name: &ObjectName| {
        mark::load(&*head.store, name.hash).map_or(0, |catalog| catalog.root_prefix().components().count())
    };
    let threads = request.threads.get();
    let depths = parallel::map(threads, &garbage, depth);
    let mut levels: BTreeMap<usize, Vec<ObjectName>> = BTreeMap::new();
    for (name, depth) in garbage.into_iter().zip(depths) {
        levels.entry(depth).or_default().push(name);
    }
    for level in levels.values() {
        parallel::map(threads, level, |name| head.store.remove(name))
            .into_iter()
            .collect::<Result<(), _>>()?;
        head.store.sync()?;
    }
    Ok(swept)
}

/// The replica's own log; an empty one where there is none: then only the newest and tagged revisions are known.
fn read_log(head: &Head) -> Result<Reflog, PublishError> {
    let file = RepositoryFile::Reflog;
    match head.store.fetch_file(file, Freshness::Revalidated, Deadline::after(PATIENCE)) {
        Ok(bytes) => Ok(Reflog::read(&bytes)?),
        Err(StoreError::NotFound { .. }) => Ok(Reflog::new(head.manifest.repository.clone())),
        Err(error) => Err(error.into()),
    }
}

fn catalog(hash: ContentHash) -> ObjectName {
    ObjectName::new(hash, ObjectKind::Catalog)
}

/// Takes the lock and collects.
pub(super) fn lock_and_collect(
    local: &LocalRepository,
    request: &CollectRequest,
    progress: &dyn CollectProgress,
) -> Result<Collected, PublishError> {
    let lock = RepositoryLock::take(&local.directory)?;
    collect_replica(local, &lock, request, progress)
}
