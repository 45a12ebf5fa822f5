//! One gate per catalog that is being loaded: one thread does the work, the others wait for it.
//!
//! ```text
//! no gate ── first thread ──▶ gate, held ── loaded or failed ──▶ gate removed; those who waited take the result
//! ```

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;
use varve_store::Deadline;

use crate::{CatalogReference, RepositoryError};

/// The gates of all catalogs that are being loaded. The map itself is locked only for an instant, never while loading.
#[derive(Default)]
pub(super) struct Gates(Mutex<HashMap<CatalogReference, Arc<Gate>>>);

/// Held by the thread that loads; holds how that failed.
#[derive(Default)]
struct Gate(Mutex<Option<Arc<RepositoryError>>>);

impl Gates {
    /// The result of `work`, which `find` finds if another thread has done it. A failure is handed to those who waited,
    /// except that a thread which ran out of *its* time doesn't end those who have more: they try themselves.
    pub(super) fn pass<T>(
        &self,
        reference: &CatalogReference,
        deadline: Deadline,
        late: impl FnOnce() -> RepositoryError,
        find: impl FnOnce() -> Option<T>,
        work: impl FnOnce() -> Result<T, RepositoryError>,
    ) -> Result<T, RepositoryError> {
        let gate = Arc::clone(self.0.lock().entry(reference.clone()).or_default());
        let Some(mut failure) = gate.0.try_lock_until(deadline.instant()) else { return Err(late()) };
        if let Some(found) = find() {
            return Ok(found);
        }
        if let Some(error) = failure.as_ref().filter(|error| !error.is_timeout()) {
            return Err(RepositoryError::Shared(Arc::clone(error)));
        }
        let _removal = Removal { gates: self, reference, gate: &gate };
        work().map_err(|error| {
            let error = Arc::new(error);
            *failure = Some(Arc::clone(&error));
            RepositoryError::Shared(error)
        })
    }
}

/// Takes a gate off the map, also when the work panics: who comes later starts anew.
struct Removal<'a> {
    gates: &'a Gates,
    reference: &'a CatalogReference,
    gate: &'a Arc<Gate>,
}

impl Drop for Removal<'_> {
    fn drop(&mut self) {
        let mut gates = self.gates.0.lock();
        if gates.get(self.reference).is_some_and(|gate| Arc::ptr_eq(gate, self.gate)) {
            gates.remove(self.reference);
        }
    }
}
