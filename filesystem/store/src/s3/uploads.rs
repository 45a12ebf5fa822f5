//! Uploads that the caller doesn't wait for: so many at once, of so many bytes together, acknowledged all at once.
//!
//! ```text
//! put ─▶ known already? ─▶ wait for room ─▶ a task uploads ─▶ stored, or the first failure
//!          │ pending, stored                                       sync waits for all and returns it
//! ```
//!
//! A failure is for good: whoever uses the store has to begin anew, since what was put before may not be there.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use bytes::Bytes;
use parking_lot::{Condvar, Mutex};
use tokio::sync::Semaphore;
use varve_content::{ObjectKind, ObjectName};

use super::bucket::Bucket;
use super::fault::{Attempt, failed};
use super::upload::{Conditions, Uploaded, put_absent};
use crate::{Repeated, StoreError};

/// Uploads at once: enough for a service at the other end of a continent.
pub(super) const AT_ONCE: usize = 64;

/// Kibibytes that may wait or be on their way.
const MEMORY: u32 = 64 << 10;

/// Names that are remembered, so that nobody is asked twice for one object: about 8 MB.
const REMEMBERED: usize = 200_000;

/// The uploads of one store.
pub(super) struct Uploads {
    shared: Arc<Shared>,
    slots: Arc<Semaphore>,
    memory: Arc<Semaphore>,
}

struct Shared {
    bucket: Arc<Bucket>,
    conditions: Conditions,
    state: Mutex<State>,
    /// An upload has ended.
    ended: Condvar,
}

#[derive(Default)]
struct State {
    pending: HashSet<ObjectName>,
    stored: HashSet<ObjectName>,
    failure: Option<StoreError>,
    repeated: HashMap<ObjectKind, Repeated>,
}

impl Uploads {
    pub(super) fn new(bucket: Arc<Bucket>) -> Self {
        let shared = Shared {
            bucket,
            conditions: Conditions::default(),
            state: Mutex::default(),
            ended: Condvar::new(),
        };
        Self {
            shared: Arc::new(shared),
            slots: Arc::new(Semaphore::new(AT_ONCE)),
            memory: Arc::new(Semaphore::new(MEMORY as usize)),
        }
    }

    /// Begins an upload, waiting only for room. `false` if the object was put before.
    pub(super) fn begin(&self, name: &ObjectName, stored: &[u8]) -> Result<bool, StoreError> {
        {
            let mut state = self.shared.state.lock();
            if let Some(failure) = &state.failure {
                return Err(failure.repeat());
            }
            if state.stored.contains(name) || !state.pending.insert(*name) {
                return Ok(false);
            }
        }
        let ticket = Ticket { shared: Arc::clone(&self.shared), name: *name, outcome: None };
        let kibibytes = u32::try_from(stored.len().div_ceil(1024)).unwrap_or(MEMORY).clamp(1, MEMORY);
        let (slots, memory) = (Arc::clone(&self.slots), Arc::clone(&self.memory));
        let room = self.shared.bucket.run(async move {
            Ok::<_, tokio::sync::AcquireError>((
                slots.acquire_owned().await?,
                memory.acquire_many_owned(kibibytes).await?,
            ))
        });
        let room = room.expect("because the semaphores are never closed");
        let bytes = Bytes::copy_from_slice(stored);
        self.shared.bucket.spawn(async move {
            ticket.upload(bytes).await;
            drop(room);
        });
        Ok(true)
    }

    /// Returns when the object is not on its way any more.
    pub(super) fn wait_for(&self, name: &ObjectName) {
        let mut state = self.shared.state.lock();
        while state.pending.contains(name) {
            self.shared.ended.wait(&mut state);
        }
    }

    /// Returns when nothing is on its way any more, with the first failure there ever was.
    pub(super) fn wait(&self) -> Result<(), StoreError> {
        let mut state = self.shared.state.lock();
        while !state.pending.is_empty() {
            self.shared.ended.wait(&mut state);
        }
        state.failure.as_ref().map_or(Ok(()), |failure| Err(failure.repeat()))
    }

    /// An object has been removed.
    pub(super) fn forget(&self, name: &ObjectName) {
        self.shared.state.lock().stored.remove(name);
    }

    /// Of what [`Self::begin`] took for new, how much of a kind was there already.
    pub(super) fn repeated(&self, kind: ObjectKind) -> Repeated {
        self.shared.state.lock().repeated.get(&kind).copied().unwrap_or_default()
    }
}

/// An upload's entry among the pending ones. Gone with it, however it ends.
struct Ticket {
    shared: Arc<Shared>,
    name: ObjectName,
    outcome: Option<Result<(Uploaded, usize), StoreError>>,
}

impl Ticket {
    async fn upload(mut self, bytes: Bytes) {
        let shared = Arc::clone(&self.shared);
        let (bucket, size) = (&shared.bucket, bytes.len());
        let key = bucket.object_key(&self.name);
        let upload = put_absent(bucket, &key, bytes, &shared.conditions);
        let uploaded = bucket.requested("store", &self.name.to_string(), &key, None, upload).await;
        self.outcome = Some(uploaded.map(|uploaded| (uploaded, size)));
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        let mut state = self.shared.state.lock();
        state.pending.remove(&self.name);
        match self.outcome.take() {
            Some(Ok((uploaded, size))) => {
                if state.stored.len() >= REMEMBERED {
                    state.stored.clear();
                }
                state.stored.insert(self.name);
                if uploaded == Uploaded::Found {
                    let repeated = state.repeated.entry(self.name.kind).or_default();
                    repeated.objects += 1;
                    repeated.bytes += size as u64;
                }
            }
            Some(Err(failure)) => {
                state.failure.get_or_insert(failure);
            }
            None => {
                let (bucket, name) = (&self.shared.bucket, self.name.to_string());
                let object = bucket.address(bucket.object_key(&self.name).as_ref());
                let attempt =
                    Attempt { action: "store", name: &name, object: &object, place: bucket.place() };
                state.failure.get_or_insert_with(|| failed(attempt, "the upload was given up"));
            }
        }
        self.shared.ended.notify_all();
    }
}
