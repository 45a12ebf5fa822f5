//! The catalogs and objects of some revisions, fetched by many threads at once and stored leaves first.

use std::collections::HashMap;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use varve_content::{ContentHash, ObjectKind, ObjectName};
use varve_repository::{CatalogReference, fetch_stored_catalog};
use varve_store::{Batch, Deadline, ObjectSink, StoreError};

use super::budget::Budget;
use super::needs::{Need, Needs};
use super::schedule::{Ready, Schedule, Step, Task};
use super::{Mirror, MirrorError, MirrorProgress, MirrorRequest};

/// So many objects are looked for by one thread at a time.
const LOOKED_FOR: usize = 1024;

/// Objects that are fetched together have at most so many stored bytes; larger ones are fetched alone.
const TOGETHER: u64 = 4 << 20;

/// What the bytes of a catalog are assumed to be where that is not recorded.
const UNKNOWN_SIZE: u64 = 32 << 20;

/// The most stored bytes of a catalog that is read to see whether it is whole.
const CATALOG_LIMIT: u64 = 1 << 30;

/// How long a transfer may take, however slow. That nothing comes at all is found out much earlier.
const PATIENCE: Duration = Duration::from_secs(3600);

/// What it means that something does not exist at the source.
#[derive(Clone, Copy)]
pub(crate) enum Absence {
    /// The revision is not complete.
    Fails {
        /// Its number.
        revision: u64,
    },
    /// It was collected: the revision is told as gone.
    IsTold,
}

/// What has been done so far.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Told {
    pub(crate) catalogs: u64,
    pub(crate) objects: u64,
    pub(crate) bytes: u64,
    pub(crate) present: u64,
}

/// What all walks of a replication share.
pub(crate) struct Walk<'a> {
    mirror: &'a Mirror<'a>,
    request: &'a MirrorRequest,
    /// Whether stored objects are read before they are relied on.
    doubtful: bool,
    progress: &'a dyn MirrorProgress,
    budget: Budget,
    catalogs: AtomicU64,
    objects: AtomicU64,
    bytes: AtomicU64,
    present: AtomicU64,
}

impl<'a> Walk<'a> {
    pub(crate) fn new(
        mirror: &'a Mirror<'a>,
        request: &'a MirrorRequest,
        doubtful: bool,
        progress: &'a dyn MirrorProgress,
    ) -> Self {
        Self {
            mirror,
            request,
            doubtful,
            progress,
            budget: Budget::new(request.memory.max(1)),
            catalogs: AtomicU64::new(0),
            objects: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
            present: AtomicU64::new(0),
        }
    }

    /// Makes the replica hold all that these root catalogs reach. Returns those of which something was lost, and why.
    pub(crate) fn run(
        &self,
        roots: Vec<CatalogReference>,
        absence: Absence,
    ) -> Result<HashMap<ContentHash, String>, MirrorError> {
        if roots.is_empty() {
            return Ok(HashMap::new());
        }
        let wanted: Vec<ContentHash> = roots.iter().map(|root| root.hash).collect();
        let schedule = Schedule::new(roots);
        std::thread::scope(|scope| {
            for _ in 0..self.request.workers.get() {
                scope.spawn(|| {
                    let worked = catch_unwind(AssertUnwindSafe(|| self.work(&schedule, absence)));
                    if let Err(error) = worked.unwrap_or(Err(MirrorError::Panicked)) {
                        schedule.fail(error);
                    }
                });
            }
        });
        let mut lost = schedule.end()?;
        lost.retain(|catalog, _| wanted.contains(catalog));
        Ok(lost)
    }

    /// What all walks have done.
    pub(crate) fn told(&self) -> Told {
        Told {
            catalogs: self.catalogs.load(Ordering::Relaxed),
            objects: self.objects.load(Ordering::Relaxed),
            bytes: self.bytes.load(Ordering::Relaxed),
            present: self.present.load(Ordering::Relaxed),
        }
    }

    fn work(&self, schedule: &Schedule, absence: Absence) -> Result<(), MirrorError> {
        loop {
            match schedule.next() {
                Step::End => return Ok(()),
                Step::Commit(catalogs) => {
                    self.commit(&catalogs)?;
                    schedule.committed(&catalogs);
                }
                Step::Work(task) => {
                    let catalog = task.catalog();
                    match task {
                        Task::Open(reference) => {
                            if self.is_stored(&object(catalog), CATALOG_LIMIT)? {
                                self.present.fetch_add(1, Ordering::Relaxed);
                                schedule.is_complete(catalog);
                                continue;
                            }
                            self.open(schedule, &reference, absence)?;
                        }
                        Task::Look(_, needs) => self.look(schedule, catalog, &needs)?,
                        Task::Fetch(_, needs) => self.fetch(schedule, catalog, &needs, absence)?,
                    }
                    schedule.done(catalog);
                }
            }
        }
    }

    /// Fetches a catalog and finds out what it needs.
    fn open(
        &self,
        schedule: &Schedule,
        reference: &CatalogReference,
        absence: Absence,
    ) -> Result<(), MirrorError> {
        let share = self.budget.take(reference.size.unwrap_or(UNKNOWN_SIZE));
        let deadline = Deadline::after(PATIENCE);
        let stored = match fetch_stored_catalog(self.mirror.source, reference, deadline) {
            Err(error) if error.is_absence() => {
                return self.miss(schedule, reference.hash, &object(reference.hash), error, absence);
            }
            stored => stored?,
        };
        let needs = Needs::of(&stored, reference)?;
        drop(share);
        self.catalogs.fetch_add(1, Ordering::Relaxed);
        self.count(1, stored.len() as u64);
        self.progress.catalog(&reference.path);
        let looks = needs.objects.chunks(LOOKED_FOR).map(<[Need]>::to_vec).collect();
        schedule.needs(reference.hash, stored, looks, needs.nested);
        Ok(())
    }

    /// Sees which objects have to be fetched, and with which others.
    fn look(&self, schedule: &Schedule, catalog: ContentHash, needs: &[Need]) -> Result<(), MirrorError> {
        let mut batches: Vec<Vec<Need>> = Vec::new();
        let (mut missing, mut bytes) = (0, 0);
        for need in needs {
            if self.is_stored(&need.name, need.limit)? {
                self.present.fetch_add(1, Ordering::Relaxed);
                continue;
            }
            missing += 1;
            if self.request.dry_run {
                self.count(1, need.limit);
                continue;
            }
            let fits = |batch: &&mut Vec<Need>| {
                batch.len() < Batch::MOST_OBJECTS
                    && bytes + need.limit <= TOGETHER
                    && batch.first().is_some_and(|first| first.name.kind == need.name.kind)
            };
            if let Some(batch) = batches.last_mut().filter(fits) {
                batch.push(*need);
                bytes += need.limit;
            } else {
                batches.push(vec![*need]);
                bytes = need.limit;
            }
        }
        self.progress.missing(missing);
        schedule.fetch(catalog, batches);
        Ok(())
    }

    /// Fetches objects and stores them.
    fn fetch(
        &self,
        schedule: &Schedule,
        catalog: ContentHash,
        needs: &[Need],
        absence: Absence,
    ) -> Result<(), MirrorError> {
        let _share = self.budget.take(needs.iter().map(|need| need.limit).sum());
        let wanted: Vec<(ObjectName, u64)> = needs.iter().map(|need| (need.name, need.limit)).collect();
        let fetched = self.mirror.source.fetch_batch(&wanted, Deadline::after(PATIENCE));
        let (mut objects, mut bytes) = (0, 0);
        for (need, fetched) in needs.iter().zip(fetched) {
            match fetched {
                Ok(stored) => {
                    self.mirror.replica.put(&need.name, &stored).map_err(MirrorError::Replica)?;
                    objects += 1;
                    bytes += stored.len() as u64;
                }
                Err(error) if error.is_absence() => {
                    self.miss(schedule, catalog, &need.name, error, absence)?;
                }
                Err(error) => return Err(error.into()),
            }
        }
        self.count(objects, bytes);
        self.progress.stored(objects, bytes);
        Ok(())
    }

    /// Stores catalogs whose needs are stored.
    fn commit(&self, catalogs: &[Ready]) -> Result<(), MirrorError> {
        if self.request.dry_run {
            return Ok(());
        }
        let replica = self.mirror.replica;
        replica.sync().map_err(MirrorError::Replica)?;
        for catalog in catalogs {
            replica.put(&object(catalog.hash), &catalog.stored).map_err(MirrorError::Replica)?;
        }
        Ok(())
    }

    /// The source definitely does not have this.
    fn miss(
        &self,
        schedule: &Schedule,
        catalog: ContentHash,
        name: &ObjectName,
        error: StoreError,
        absence: Absence,
    ) -> Result<(), MirrorError> {
        match (absence, error) {
            (Absence::IsTold, error) => schedule.lose(catalog, error.to_string()),
            (Absence::Fails { revision }, StoreError::NotFound { place, .. }) => {
                return Err(MirrorError::Incomplete { revision, object: *name, place });
            }
            (Absence::Fails { .. }, error) => return Err(error.into()),
        }
        Ok(())
    }

    /// Whether the replica has an object, with the right bytes.
    fn is_stored(&self, name: &ObjectName, limit: u64) -> Result<bool, MirrorError> {
        let replica = self.mirror.replica;
        if !self.doubtful {
            return replica.contains(name).map_err(MirrorError::Replica);
        }
        match replica.fetch(name, limit, &mut Nowhere, Deadline::after(PATIENCE)) {
            Ok(()) => Ok(true),
            Err(error) if error.is_absence() => Ok(false),
            Err(error) if error.is_integrity() => {
                if !self.request.dry_run {
                    replica.remove(name).map_err(MirrorError::Replica)?;
                }
                Ok(false)
            }
            Err(error) => Err(MirrorError::Replica(error)),
        }
    }

    fn count(&self, objects: u64, bytes: u64) {
        self.objects.fetch_add(objects, Ordering::Relaxed);
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
    }
}

/// Takes bytes that are only to be hashed.
struct Nowhere;

impl ObjectSink for Nowhere {
    fn restart(&mut self) -> io::Result<()> {
        Ok(())
    }

    fn write(&mut self, _: &[u8]) -> io::Result<()> {
        Ok(())
    }
}

fn object(catalog: ContentHash) -> ObjectName {
    ObjectName::new(catalog, ObjectKind::Catalog)
}
