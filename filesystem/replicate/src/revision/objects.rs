//! Everything that a revision consists of, in one order that only the revision decides: whoever takes the objects in this order
//! has, with each catalog, everything that the catalog needs. The root catalog is the last.
//!
//! The objects of a catalog are sorted by their names, its nested catalogs by their paths; what came before doesn't come again.

use std::collections::HashSet;
use std::time::Duration;

use varve_content::{ContentHash, ObjectKind, ObjectName};
use varve_repository::{CatalogReference, fetch_stored_catalog};
use varve_store::{Batch, Deadline, StoreError};

use super::{Effort, Revision};
use crate::mirror::MirrorError;
use crate::mirror::needs::{Need, Needs};

/// How long a transfer may take, however slow.
const PATIENCE: Duration = Duration::from_secs(3600);

/// Objects that are fetched together have at most so many stored bytes; larger ones are fetched alone.
const TOGETHER: u64 = 4 << 20;

/// The objects of a revision, one after the other.
pub struct RevisionObjects<'a> {
    revision: Revision<'a>,
    effort: Effort,
    seen: HashSet<ObjectName>,
}

/// A batch that was fetched.
type Fetched = Vec<Result<Vec<u8>, StoreError>>;

/// Whoever takes the objects: their names, and their bytes as they are stored.
type Take<'a, E> = dyn FnMut(&ObjectName, &[u8]) -> Result<(), E> + 'a;

/// A catalog whose objects and nested catalogs are being passed on.
struct Open {
    hash: ContentHash,
    stored: Vec<u8>,
    /// The last is the next.
    nested: Vec<CatalogReference>,
}

impl<'a> RevisionObjects<'a> {
    /// Those of a revision.
    pub fn of(revision: Revision<'a>, effort: Effort) -> Self {
        Self { revision, effort, seen: HashSet::new() }
    }

    /// Passes every object on, as it is stored, verified. Catalogs below one that came before don't come again.
    ///
    /// # Errors
    /// [`MirrorError`] if one can't be had, and what `take` fails with.
    pub fn for_each<E: From<MirrorError>>(mut self, take: &mut Take<'_, E>) -> Result<(), E> {
        let mut open = vec![self.open(self.revision.root, take)?];
        while let Some(catalog) = open.last_mut() {
            let Some(nested) = catalog.nested.pop() else {
                let Some(done) = open.pop() else { break };
                take(&name_of(done.hash), &done.stored)?;
                continue;
            };
            if !self.seen.contains(&name_of(nested.hash)) {
                let nested = self.open(&nested, take)?;
                open.push(nested);
            }
        }
        Ok(())
    }

    /// Fetches a catalog, and passes the objects on that it names.
    fn open<E: From<MirrorError>>(
        &mut self,
        reference: &CatalogReference,
        take: &mut Take<'_, E>,
    ) -> Result<Open, E> {
        self.seen.insert(name_of(reference.hash));
        let stored = fetch_stored_catalog(self.revision.source, reference, Deadline::after(PATIENCE))
            .map_err(|error| self.failed(&name_of(reference.hash), error))?;
        let mut needs = Needs::of(&stored, reference).map_err(MirrorError::from)?;
        needs.objects.retain(|need| self.seen.insert(need.name));
        needs.objects.sort_by_key(|need| need.name);
        // What is popped first comes first.
        needs.nested.sort_by(|one, other| other.path.cmp(&one.path));
        let batches = batches(&needs.objects);
        let mut rest = batches.as_slice();
        while !rest.is_empty() {
            let (now, later) = rest.split_at(self.window(rest));
            for (batch, fetched) in now.iter().zip(self.fetch(now)?) {
                for (need, stored) in batch.iter().zip(fetched) {
                    let stored = stored.map_err(|error| self.failed(&need.name, error))?;
                    take(&need.name, &stored)?;
                }
            }
            rest = later;
        }
        Ok(Open { hash: reference.hash, stored, nested: needs.nested })
    }

    /// How many of the next batches are fetched at once.
    fn window(&self, batches: &[&[Need]]) -> usize {
        let mut bytes = 0;
        let fits = |batch: &&&[Need]| {
            bytes += batch.iter().map(|need| need.limit).sum::<u64>();
            bytes <= self.effort.memory
        };
        batches.iter().take(self.effort.workers.get()).take_while(fits).count().max(1)
    }

    /// Fetches batches, each on a thread of its own.
    fn fetch(&self, batches: &[&[Need]]) -> Result<Vec<Fetched>, MirrorError> {
        let source = self.revision.source;
        let fetch = |batch: &[Need]| {
            let wanted: Vec<(ObjectName, u64)> = batch.iter().map(|need| (need.name, need.limit)).collect();
            source.fetch_batch(&wanted, Deadline::after(PATIENCE))
        };
        std::thread::scope(|scope| {
            let threads: Vec<_> = batches.iter().map(|batch| scope.spawn(move || fetch(batch))).collect();
            threads.into_iter().map(|thread| thread.join().map_err(|_| MirrorError::Panicked)).collect()
        })
    }

    fn failed(&self, name: &ObjectName, error: StoreError) -> MirrorError {
        match error {
            StoreError::NotFound { place, .. } => {
                MirrorError::Incomplete { revision: self.revision.number, object: *name, place }
            }
            error => error.into(),
        }
    }
}

/// Neighbours of one kind that are fetched together.
fn batches(needs: &[Need]) -> Vec<&[Need]> {
    let mut batches = Vec::new();
    let mut start = 0;
    let mut bytes = 0;
    for (at, need) in needs.iter().enumerate() {
        let first = &needs[start];
        let fits = at - start < Batch::MOST_OBJECTS
            && bytes + need.limit <= TOGETHER
            && first.name.kind == need.name.kind;
        if at > start && !fits {
            batches.push(&needs[start..at]);
            (start, bytes) = (at, 0);
        }
        bytes += need.limit;
    }
    if start < needs.len() {
        batches.push(&needs[start..]);
    }
    batches
}

fn name_of(catalog: ContentHash) -> ObjectName {
    ObjectName::new(catalog, ObjectKind::Catalog)
}
