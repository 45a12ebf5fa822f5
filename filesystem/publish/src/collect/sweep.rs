//! Goes through everything that is stored and removes what was not reached.

use varve_content::ObjectName;
use varve_store::{ObjectStore, StoreError};

use super::reached::Sealed;
use super::{Amount, CollectProgress};
use crate::check::parallel;

/// Objects that are removed together, by all threads.
const ROUND: usize = 2048;

/// Those of them that one thread takes at a time.
const PORTION: usize = 256;

/// What is stored.
#[derive(Default)]
pub(super) struct Swept {
    pub(super) kept: Amount,
    pub(super) removed: Amount,
}

impl Swept {
    pub(super) fn add(&mut self, other: &Self) {
        for (sum, amount) in [(&mut self.kept, other.kept), (&mut self.removed, other.removed)] {
            sum.objects += amount.objects;
            sum.bytes += amount.bytes;
        }
    }
}

/// Of the objects that `is_swept` tells, removes what is not in `reached`; in a dry run only counts it.
pub(super) fn sweep(
    store: &dyn ObjectStore,
    reached: &Sealed,
    threads: usize,
    dry_run: bool,
    progress: &dyn CollectProgress,
    is_swept: &dyn Fn(&ObjectName) -> bool,
) -> Result<Swept, StoreError> {
    let mut swept = Swept::default();
    let mut round: Vec<ObjectName> = Vec::with_capacity(ROUND);
    let remove = |round: &mut Vec<ObjectName>| -> Result<(), StoreError> {
        let portions: Vec<&[ObjectName]> = round.chunks(PORTION).collect();
        let removed = parallel::map(threads, &portions, |portion| store.remove_all(portion));
        drop(portions);
        round.clear();
        removed.into_iter().collect()
    };
    store.list(&mut |name, size| {
        if !is_swept(&name) {
            return Ok(());
        }
        progress.listed();
        if reached.contains(&name) {
            swept.kept.add(size);
            return Ok(());
        }
        swept.removed.add(size);
        if dry_run {
            return Ok(());
        }
        round.push(name);
        if round.len() < ROUND { Ok(()) } else { remove(&mut round) }
    })?;
    remove(&mut round)?;
    Ok(swept)
}
