//! What is done next, and which catalogs are complete. Does nothing itself; shared by all threads of a walk.
//!
//! ```text
//! referred to ──▶ catalog task ──▶ look tasks ──▶ fetch tasks ──▶ nothing is left ──▶ ready ──▶ committed
//!      │               │            and the catalogs nested in it       │                          │
//!      │               └── stored already ──────────────────────────────┼──────────────────────────┤
//!      └─ lost before ─────────────────── something is lost ────────────┘                  the parents' need ends
//! ```
//!
//! Tasks are a stack: what a catalog needs is done before the next catalog is opened, so that few are open at a time.

use std::collections::HashMap;

use parking_lot::{Condvar, Mutex};
use varve_content::ContentHash;
use varve_repository::CatalogReference;

use super::MirrorError;
use super::needs::Need;

/// So many catalogs are committed together, behind one sync,
const MOST_READY: usize = 64;

/// or catalogs of so many bytes.
const MOST_READY_BYTES: usize = 32 << 20;

/// Something to be done for a catalog.
pub(super) enum Task {
    /// Find out what it needs.
    Open(CatalogReference),
    /// See which of these are stored.
    Look(ContentHash, Vec<Need>),
    /// Fetch and store these.
    Fetch(ContentHash, Vec<Need>),
}

impl Task {
    /// The catalog.
    pub(super) fn catalog(&self) -> ContentHash {
        match self {
            Self::Open(reference) => reference.hash,
            Self::Look(catalog, _) | Self::Fetch(catalog, _) => *catalog,
        }
    }
}

/// What a thread does next.
pub(super) enum Step {
    Work(Task),
    /// Sync what is stored, then store these catalogs.
    Commit(Vec<Ready>),
    /// Nothing is left, or something failed.
    End,
}

/// A catalog below which everything is stored.
pub(super) struct Ready {
    pub(super) hash: ContentHash,
    pub(super) stored: Vec<u8>,
}

/// The tasks of a walk.
pub(super) struct Schedule {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    tasks: Vec<Task>,
    open: HashMap<ContentHash, Open>,
    ready: Vec<Ready>,
    ready_bytes: usize,
    /// Tasks that threads are at.
    running: usize,
    committing: bool,
    /// Catalogs that can't be complete, and why.
    lost: HashMap<ContentHash, String>,
    failure: Option<MirrorError>,
}

/// A catalog that is not complete yet.
#[derive(Default)]
struct Open {
    stored: Vec<u8>,
    /// Tasks and nested catalogs that are not done.
    left: usize,
    parents: Vec<ContentHash>,
    /// What of it does not exist.
    lost: Option<String>,
}

impl Schedule {
    /// A walk over these catalogs; the last is begun with.
    pub(super) fn new(roots: Vec<CatalogReference>) -> Self {
        let mut state = State::default();
        for root in roots {
            state.open.insert(root.hash, Open { left: 1, ..Open::default() });
            state.tasks.push(Task::Open(root));
        }
        Self { state: Mutex::new(state), changed: Condvar::new() }
    }

    /// Waits for something to do.
    pub(super) fn next(&self) -> Step {
        let mut state = self.state.lock();
        loop {
            if state.failure.is_some() {
                return Step::End;
            }
            if let Some(ready) = state.take_ready() {
                return Step::Commit(ready);
            }
            if let Some(task) = state.tasks.pop() {
                state.running += 1;
                return Step::Work(task);
            }
            if state.running == 0 && !state.committing {
                return Step::End;
            }
            self.changed.wait(&mut state);
        }
    }

    /// A catalog was fetched: it needs this.
    pub(super) fn needs(
        &self,
        catalog: ContentHash,
        stored: Vec<u8>,
        looks: Vec<Vec<Need>>,
        nested: Vec<CatalogReference>,
    ) {
        self.change(|state| {
            let mut lost = None;
            let mut left = looks.len();
            for reference in nested {
                if let Some(reason) = state.lost.get(&reference.hash) {
                    lost = Some(reason.clone());
                    continue;
                }
                left += 1;
                if let Some(open) = state.open.get_mut(&reference.hash) {
                    open.parents.push(catalog);
                } else {
                    let open = Open { left: 1, parents: vec![catalog], ..Open::default() };
                    state.open.insert(reference.hash, open);
                    state.tasks.push(Task::Open(reference));
                }
            }
            state.tasks.extend(looks.into_iter().map(|needs| Task::Look(catalog, needs)));
            if let Some(open) = state.open.get_mut(&catalog) {
                open.stored = stored;
                open.left += left;
                open.lost = open.lost.take().or(lost);
            }
        });
    }

    /// These have to be fetched for a catalog.
    pub(super) fn fetch(&self, catalog: ContentHash, batches: Vec<Vec<Need>>) {
        self.change(|state| {
            if let Some(open) = state.open.get_mut(&catalog) {
                open.left += batches.len();
            }
            state.tasks.extend(batches.into_iter().map(|needs| Task::Fetch(catalog, needs)));
        });
    }

    /// Something that a catalog needs does not exist.
    pub(super) fn lose(&self, catalog: ContentHash, reason: String) {
        self.change(|state| {
            if let Some(open) = state.open.get_mut(&catalog) {
                open.lost = Some(reason);
            }
        });
    }

    /// A task is done.
    pub(super) fn done(&self, catalog: ContentHash) {
        self.change(|state| {
            state.running -= 1;
            state.less(catalog);
        });
    }

    /// The task of opening a catalog is done: it is stored, and so is all that it needs.
    pub(super) fn is_complete(&self, catalog: ContentHash) {
        self.change(|state| {
            state.running -= 1;
            state.close(catalog, None);
        });
    }

    /// Catalogs have been stored.
    pub(super) fn committed(&self, catalogs: &[Ready]) {
        self.change(|state| {
            state.committing = false;
            for catalog in catalogs {
                state.close(catalog.hash, None);
            }
        });
    }

    /// Ends the walk.
    pub(super) fn fail(&self, error: MirrorError) {
        self.change(|state| {
            state.failure.get_or_insert(error);
        });
    }

    /// What came of it: the catalogs that can't be complete, and why.
    pub(super) fn end(self) -> Result<HashMap<ContentHash, String>, MirrorError> {
        let state = self.state.into_inner();
        state.failure.map_or(Ok(state.lost), Err)
    }

    /// Who waits looks again afterwards.
    fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.state.lock());
        self.changed.notify_all();
    }
}

impl State {
    /// The ready catalogs, if it is time to commit them: there are many, or nothing else can be done.
    fn take_ready(&mut self) -> Option<Vec<Ready>> {
        let many = self.ready.len() >= MOST_READY || self.ready_bytes >= MOST_READY_BYTES;
        let idle = self.tasks.is_empty() && self.running == 0;
        if self.committing || self.ready.is_empty() || !(many || idle) {
            return None;
        }
        self.committing = true;
        self.ready_bytes = 0;
        Some(std::mem::take(&mut self.ready))
    }

    /// One of the needs of a catalog has ended.
    fn less(&mut self, catalog: ContentHash) {
        let Some(open) = self.open.get_mut(&catalog) else { return };
        open.left -= 1;
        if open.left > 0 {
            return;
        }
        if let Some(reason) = open.lost.take() {
            self.close(catalog, Some(reason));
            return;
        }
        let stored = std::mem::take(&mut open.stored);
        self.ready_bytes += stored.len();
        self.ready.push(Ready { hash: catalog, stored });
    }

    /// A catalog is complete, or lost.
    fn close(&mut self, catalog: ContentHash, lost: Option<String>) {
        let Some(open) = self.open.remove(&catalog) else { return };
        for parent in open.parents {
            if let (Some(reason), Some(parent)) = (&lost, self.open.get_mut(&parent)) {
                parent.lost = Some(reason.clone());
            }
            self.less(parent);
        }
        if let Some(reason) = lost {
            self.lost.insert(catalog, reason);
        }
    }
}
