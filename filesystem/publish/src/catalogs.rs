//! Writes the touched catalogs of a tree, leaves first, on all cores. Untouched ones keep their object.

use std::collections::{BTreeMap, HashMap};
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::Mutex;
use varve_content::{Algorithm, Compression, Effort, ObjectKind};
use varve_repository::{
    CatalogProperties, CatalogReference, CatalogWriteError, CatalogWriter, Entry, HardLink, NestedRole,
    RepositoryPath, TreeCounters,
};
use varve_store::ObjectStore;

use crate::base_revision::{Base, BaseCatalog, BaseError};
use crate::merge::{Child, Kept, Tree};
use crate::pipeline::{ObjectError, ObjectTally, ObjectWriter};

/// What catalogs are written with.
pub(crate) struct CatalogConfig {
    pub(crate) algorithm: Algorithm,
    pub(crate) effort: Effort,
    pub(crate) threads: NonZeroUsize,
    /// The properties of the root catalog; nested ones get theirs from it.
    pub(crate) root: CatalogProperties,
    /// The root catalog is written even if nothing differs.
    pub(crate) always: bool,
}

/// What became of the catalogs.
#[derive(Clone, Debug)]
pub(crate) struct WrittenCatalogs {
    /// The root catalog, new or as it was.
    pub(crate) root: CatalogReference,
    /// Nothing differs from the base revision, nothing was written.
    pub(crate) unchanged: bool,
    /// Catalogs written.
    pub(crate) written: u64,
    /// Catalogs that the touched ones refer to and that stay as they are.
    pub(crate) kept: u64,
    pub(crate) objects: ObjectTally,
}

/// Why catalogs could not be written.
#[derive(Debug, thiserror::Error)]
pub enum CatalogsError {
    /// A catalog of the base revision can't be read.
    #[error(transparent)]
    Base(#[from] BaseError),
    /// A row was refused.
    #[error("cannot write the catalog of '{path}'")]
    Write {
        /// The catalog's directory.
        path: RepositoryPath,
        /// Why.
        #[source]
        source: CatalogWriteError,
    },
    /// The object could not be stored.
    #[error("cannot store the catalog of '{path}'")]
    Object {
        /// The catalog's directory.
        path: RepositoryPath,
        /// Why.
        #[source]
        source: ObjectError,
    },
}

/// One catalog of the new revision.
struct Job<'t> {
    path: RepositoryPath,
    tree: &'t Tree,
    /// The jobs of the catalogs nested in it.
    nested: Vec<usize>,
    kept: Vec<&'t Kept>,
    /// 0 for a catalog without jobs below it, else one more than the highest of them.
    height: usize,
    touched: bool,
    /// What the kept catalogs below count.
    kept_counters: TreeCounters,
}

/// A catalog that has its object.
#[derive(Clone)]
struct Finished {
    reference: CatalogReference,
    total: TreeCounters,
}

/// Writes what differs from the base revision.
pub(crate) fn write(
    config: &CatalogConfig,
    store: &dyn ObjectStore,
    base: &Base<'_>,
    tree: &Tree,
) -> Result<WrittenCatalogs, CatalogsError> {
    let mut jobs = Vec::new();
    let root = collect(tree, RepositoryPath::ROOT, &mut jobs);
    if let Some(origin) = &tree.origin {
        let (old, new) = (&origin.properties, &config.root);
        jobs[root].touched |= config.always;
        jobs[root].touched |= old.time_to_live != new.time_to_live || old.volatile != new.volatile;
    }
    count_kept(base, &mut jobs)?;
    let finished: Vec<Mutex<Option<Finished>>> = jobs.iter().map(|_| Mutex::new(None)).collect();
    let mut objects = ObjectTally::default();
    for height in 0..=jobs[root].height {
        let level: Vec<usize> = (0..jobs.len()).filter(|&job| jobs[job].height == height).collect();
        objects.add(write_level(config, store, &jobs, &finished, &level)?);
    }
    let root_reference =
        finished[root].lock().as_ref().expect("because all levels are written").reference.clone();
    let written = jobs.iter().filter(|job| job.touched).count();
    let kept: usize = jobs.iter().map(|job| job.kept.len()).sum();
    Ok(WrittenCatalogs {
        root: root_reference,
        unchanged: !jobs[root].touched,
        written: written as u64,
        kept: (kept + jobs.len() - written) as u64,
        objects,
    })
}

/// Makes a job for the catalog of `tree`, behind those of the catalogs nested in it.
fn collect<'t>(tree: &'t Tree, path: RepositoryPath, jobs: &mut Vec<Job<'t>>) -> usize {
    let mut job = Job {
        path,
        tree,
        nested: Vec::new(),
        kept: Vec::new(),
        height: 0,
        touched: tree.origin.is_none() || tree.entry_changed,
        kept_counters: TreeCounters::default(),
    };
    let path = job.path.clone();
    content(tree, &path, &mut job, jobs);
    for &nested in &job.nested {
        job.height = job.height.max(jobs[nested].height + 1);
        job.touched |= jobs[nested].touched;
    }
    jobs.push(job);
    jobs.len() - 1
}

/// Adds what a directory of a job's catalog contributes to the job.
fn content<'t>(tree: &'t Tree, path: &RepositoryPath, job: &mut Job<'t>, jobs: &mut Vec<Job<'t>>) {
    job.touched |= tree.content_changed;
    for (name, child) in &tree.children {
        match child {
            Child::Leaf(_) | Child::Bound { .. } => {}
            Child::Kept(kept) => job.kept.push(kept),
            Child::Directory(inner) => {
                job.touched |= inner.origin.is_some() != inner.nested;
                let path = path.join(name);
                if inner.nested {
                    let nested = collect(inner, path, jobs);
                    job.nested.push(nested);
                } else {
                    content(inner, &path, job, jobs);
                }
            }
        }
    }
}

/// Finds out what the kept catalogs count, without loading them where that can be avoided: if all kept catalogs of an
/// owner are still together, their sum is what the owner counted below it, less what is no longer kept.
fn count_kept(base: &Base<'_>, jobs: &mut [Job<'_>]) -> Result<(), BaseError> {
    let mut kept_of: HashMap<RepositoryPath, usize> = HashMap::new();
    for kept in jobs.iter().flat_map(|job| &job.kept) {
        *kept_of.entry(kept.owner.reference.path.clone()).or_default() += 1;
    }
    for job in jobs.iter_mut().filter(|job| job.touched) {
        let mut owners: BTreeMap<&[u8], (Arc<BaseCatalog>, Vec<&Kept>)> = BTreeMap::new();
        for kept in &job.kept {
            let owner = &kept.owner;
            let (_, list) =
                owners.entry(owner.reference.path.as_bytes()).or_insert_with(|| (owner.clone(), Vec::new()));
            list.push(kept);
        }
        let mut sum = TreeCounters::default();
        for (owner, list) in owners.values() {
            let together = kept_of.get(&owner.reference.path) == Some(&list.len());
            let gone: Vec<_> = owner
                .nested
                .values()
                .filter(|nested| !list.iter().any(|kept| kept.reference == **nested))
                .collect();
            if together && gone.len() <= list.len() {
                let mut rest = owner.counters.subtree;
                for reference in gone {
                    rest.subtract(&base.counters(reference)?.total());
                }
                sum.add(&rest);
            } else {
                for kept in list {
                    sum.add(&base.counters(&kept.reference)?.total());
                }
            }
        }
        job.kept_counters = sum;
    }
    Ok(())
}

/// Writes catalogs that don't depend on each other.
fn write_level(
    config: &CatalogConfig,
    store: &dyn ObjectStore,
    jobs: &[Job<'_>],
    finished: &[Mutex<Option<Finished>>],
    level: &[usize],
) -> Result<ObjectTally, CatalogsError> {
    let next = AtomicUsize::new(0);
    let work = || {
        let mut objects = ObjectWriter::new(store, config.algorithm, Compression::Zlib, config.effort);
        while let Some(&job) = level.get(next.fetch_add(1, Ordering::Relaxed)) {
            let result = finish(config, &mut objects, &jobs[job], finished)?;
            *finished[job].lock() = Some(result);
        }
        Ok(objects.tally)
    };
    let threads = config.threads.get().min(level.len());
    let results: Vec<Result<ObjectTally, CatalogsError>> = std::thread::scope(|scope| {
        let others: Vec<_> = (1..threads).map(|_| scope.spawn(work)).collect();
        let mut results = vec![work()];
        results.extend(
            others
                .into_iter()
                .map(|thread| thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))),
        );
        results
    });
    let mut tally = ObjectTally::default();
    for result in results {
        tally.add(result?);
    }
    Ok(tally)
}

fn finish(
    config: &CatalogConfig,
    objects: &mut ObjectWriter<'_>,
    job: &Job<'_>,
    finished: &[Mutex<Option<Finished>>],
) -> Result<Finished, CatalogsError> {
    if let Some(origin) = job.tree.origin.as_ref().filter(|_| !job.touched) {
        return Ok(Finished { reference: origin.reference.clone(), total: origin.counters.total() });
    }
    let failed = |source| CatalogsError::Write { path: job.path.clone(), source };
    let mut references: Vec<CatalogReference> = job.kept.iter().map(|kept| kept.reference.clone()).collect();
    let mut below = job.kept_counters;
    for &nested in &job.nested {
        let nested = finished[nested].lock();
        let nested = nested.as_ref().expect("because lower levels are written first");
        references.push(nested.reference.clone());
        below.add(&nested.total);
    }
    references.sort_by(|left, right| left.path.cmp(&right.path));
    let mut writer = CatalogWriter::new(properties(config, job)).map_err(failed)?;
    let role = if job.path.is_root() { NestedRole::Plain } else { NestedRole::Root };
    writer.add(&job.path, &directory_entry(job.tree, role)).map_err(failed)?;
    let mut groups = 0;
    rows(&mut writer, job.tree, &job.path, &mut groups).map_err(failed)?;
    for reference in &references {
        writer.add_nested(reference).map_err(failed)?;
    }
    let (counters, database) = writer.finish(below).map_err(failed)?;
    let hash = objects
        .write(ObjectKind::Catalog, &database)
        .map_err(|source| CatalogsError::Object { path: job.path.clone(), source })?;
    let size = Some(database.len() as u64);
    let reference = CatalogReference { path: job.path.clone(), hash, size };
    Ok(Finished { reference, total: counters.total() })
}

/// The repository's revision in the root catalog; a nested one counts how often it was written itself.
fn properties(config: &CatalogConfig, job: &Job<'_>) -> CatalogProperties {
    let origin = job.tree.origin.as_ref();
    let authorization = origin.and_then(|origin| origin.properties.authorization.clone());
    if job.path.is_root() {
        return CatalogProperties { authorization, ..config.root.clone() };
    }
    CatalogProperties {
        root_prefix: job.path.clone(),
        revision: origin.map_or(0, |origin| origin.properties.revision) + 1,
        last_modified: config.root.last_modified,
        previous: origin.map(|origin| origin.reference.hash),
        time_to_live: None,
        volatile: config.root.volatile,
        authorization,
    }
}

/// Adds everything in a directory, then everything in its directories, as far as the catalog goes.
fn rows(
    writer: &mut CatalogWriter,
    tree: &Tree,
    path: &RepositoryPath,
    groups: &mut u32,
) -> Result<(), CatalogWriteError> {
    let before = *groups;
    for (name, child) in &tree.children {
        let path = path.join(name);
        match child {
            Child::Leaf(entry) if entry.hard_link.count > 1 => {
                let group = before + entry.hard_link.group;
                *groups = (*groups).max(group);
                let hard_link = HardLink { group, ..entry.hard_link };
                writer.add(&path, &Entry { hard_link, ..entry.clone() })?;
            }
            Child::Leaf(entry) => writer.add(&path, entry)?,
            Child::Directory(inner) => {
                let role = if inner.nested { NestedRole::MountPoint } else { NestedRole::Plain };
                writer.add(&path, &directory_entry(inner, role))?;
            }
            Child::Kept(kept) => writer.add(&path, &kept.entry)?,
            Child::Bound { entry, reference } => {
                writer.add(&path, entry)?;
                if let Some(reference) = reference {
                    writer.add_bind_mount_point(reference)?;
                }
            }
        }
    }
    for (name, child) in &tree.children {
        if let Child::Directory(inner) = child
            && !inner.nested
        {
            rows(writer, inner, &path.join(name), groups)?;
        }
    }
    Ok(())
}

/// A directory's entry with its role and its link count, two and one for every directory in it.
fn directory_entry(tree: &Tree, nested: NestedRole) -> Entry {
    let directories = tree.children.values().filter(|child| !matches!(child, Child::Leaf(_))).count();
    let hard_link = HardLink { group: 0, count: directories as u32 + 2 };
    Entry { nested, hard_link, ..tree.entry.clone() }
}
