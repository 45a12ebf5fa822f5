//! One revision of a repository as a whole, given by its root catalog: copied, checked, or listed object by object. Whether
//! it was ever signed is not known here; see `varve_repository::Proof`.
//!
//! | file | owns |
//! |---|---|
//! | objects | everything that a revision consists of, in one order, each object before the catalogs that need it |
//! | arrival | a revision that comes object by object in that order, from a place that nobody trusts |
//! | seen | a store that keeps nothing and remembers what came |

mod arrival;
mod objects;
mod seen;

use std::num::NonZeroUsize;
use std::time::SystemTime;

use varve_repository::{CatalogReference, RepositoryName, Trust};
use varve_store::{ObjectSource, ObjectStore};

use crate::mirror::walk::{Absence, Walk};
use crate::mirror::{Mirror, MirrorError, MirrorProgress, MirrorRequest, TagSelection};

pub use arrival::{Arrival, ArrivalError};
pub use objects::RevisionObjects;
use seen::Seen;

/// A revision of a repository at a source.
#[derive(Clone, Copy)]
pub struct Revision<'a> {
    /// The repository.
    pub name: &'a RepositoryName,
    /// Where it comes from.
    pub source: &'a dyn ObjectSource,
    /// The root catalog.
    pub root: &'a CatalogReference,
    /// Its number, for messages.
    pub number: u64,
}

/// How much is done at a time.
#[derive(Clone, Copy, Debug)]
pub struct Effort {
    /// How many requests are under way at a time, at most.
    pub workers: NonZeroUsize,
    /// The most bytes of objects that are held in memory.
    pub memory: u64,
}

/// What a revision consists of, and what of it had to be fetched.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RevisionTally {
    /// Catalogs that were fetched.
    pub catalogs: u64,
    /// Objects that were fetched, catalogs among them.
    pub objects: u64,
    /// Their stored bytes.
    pub bytes: u64,
    /// Objects that were there already.
    pub present: u64,
}

impl Revision<'_> {
    /// Makes a store hold everything of the revision. What the store shows stays as it is.
    ///
    /// # Errors
    /// [`MirrorError`]. What has been stored by then need not be fetched again.
    pub fn copy(
        &self,
        replica: &dyn ObjectStore,
        effort: Effort,
        doubtful: bool,
        progress: &dyn MirrorProgress,
    ) -> Result<RevisionTally, MirrorError> {
        let trust = Trust::default();
        let mirror = Mirror { name: self.name, source: self.source, replica, trust: &trust };
        let request = MirrorRequest {
            tags: TagSelection::None,
            workers: effort.workers,
            memory: effort.memory,
            // Only signatures have an age.
            now: SystemTime::UNIX_EPOCH,
            boot: None,
            unmarked_source: true,
            dry_run: false,
        };
        let walk = Walk::new(&mirror, &request, doubtful, progress);
        walk.run(vec![self.root.clone()], Absence::Fails { revision: self.number })?;
        replica.sync().map_err(MirrorError::Replica)?;
        let told = walk.told();
        Ok(RevisionTally {
            catalogs: told.catalogs,
            objects: told.objects,
            bytes: told.bytes,
            present: told.present,
        })
    }

    /// Fetches every object of the revision and keeps none: all are there, and are what their names say.
    ///
    /// # Errors
    /// [`MirrorError`]: what is missing or wrong.
    pub fn check(&self, effort: Effort, progress: &dyn MirrorProgress) -> Result<RevisionTally, MirrorError> {
        self.copy(&Seen::default(), effort, false, progress)
    }
}
