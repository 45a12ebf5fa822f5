//! Many small objects at once: in one answer of a server that knows batches, else with several requests at a time on the
//! caller's thread. Every object is checked against its hash, one by one.

use std::time::{Duration, Instant};

use futures_util::StreamExt as _;
use futures_util::stream;
use parking_lot::Mutex;
use reqwest::Client;
use varve_content::ObjectName;

use super::HttpSource;
use super::pursuit::{Pursuit, Wanted};
use crate::{Batch, Deadline, StoreError};

/// Requests at a time, where each object is asked for by itself.
const AT_A_TIME: usize = 8;

/// How long servers are not asked for batches after they were found not to know them.
const PAUSE: Duration = Duration::from_secs(3600);

/// Whether the servers know batches, as far as it was seen.
#[derive(Default)]
pub(super) struct BatchSupport {
    refused: Mutex<Option<Instant>>,
}

impl BatchSupport {
    fn is_worth_a_try(&self) -> bool {
        self.refused.lock().is_none_or(|since| since.elapsed() > PAUSE)
    }

    fn note_refusal(&self) {
        *self.refused.lock() = Some(Instant::now());
    }
}

/// The objects in the order of `wanted`.
pub(super) fn fetch(
    source: &HttpSource,
    wanted: &[(ObjectName, u64)],
    deadline: Deadline,
) -> Vec<Result<Vec<u8>, StoreError>> {
    let mut objects: Vec<Option<Result<Vec<u8>, StoreError>>> = wanted.iter().map(|_| None).collect();
    let result = source.engine.run(&source.config, &source.proxies, async |clients| {
        together(source, clients, wanted, &mut objects, deadline).await;
        one_by_one(source, clients, wanted, &mut objects, deadline).await;
    });
    let reason = result.err().map_or_else(String::new, |error| error.to_string());
    let missed = |name: &ObjectName| {
        let (name, place) = (name.to_string(), source.all_servers());
        Err(StoreError::Transport { name, place, reason: reason.clone() })
    };
    objects
        .into_iter()
        .zip(wanted)
        .map(|(object, (name, _))| object.unwrap_or_else(|| missed(name)))
        .collect()
}

/// Asks for all in one request and takes what is right of the answer.
async fn together(
    source: &HttpSource,
    clients: &[Client],
    wanted: &[(ObjectName, u64)],
    objects: &mut [Option<Result<Vec<u8>, StoreError>>],
    deadline: Deadline,
) {
    let names: Vec<ObjectName> = wanted.iter().map(|(name, _)| *name).collect();
    let Some(path) = Batch::address(&names) else { return };
    if wanted.len() < 2 || !source.batch_support.is_worth_a_try() {
        return;
    }
    let batch = Wanted {
        name: &"a batch of objects",
        path: format!("/{path}"),
        part: None,
        hash: None,
        limit: Batch::LIMIT,
        revalidate: false,
        optional: true,
    };
    let mut answer = Vec::new();
    match Pursuit::new(source, clients, &batch, &mut answer, deadline).run().await {
        Ok(()) => {}
        Err(error) => {
            if error.is_absence() {
                source.batch_support.note_refusal();
            }
            return;
        }
    }
    let Some(stored) = Batch::parse_answer(&answer, wanted.len()) else {
        source.batch_support.note_refusal();
        return;
    };
    for ((object, stored), (name, limit)) in objects.iter_mut().zip(stored).zip(wanted) {
        let Some(stored) = stored else { continue };
        if stored.len() as u64 <= *limit && name.hash.algorithm().hash(stored) == name.hash {
            *object = Some(Ok(stored.to_vec()));
        }
    }
}

/// Asks for each that has not come yet.
async fn one_by_one(
    source: &HttpSource,
    clients: &[Client],
    wanted: &[(ObjectName, u64)],
    objects: &mut [Option<Result<Vec<u8>, StoreError>>],
    deadline: Deadline,
) {
    let missing = objects.iter_mut().zip(wanted).filter(|(object, _)| object.is_none());
    stream::iter(missing)
        .for_each_concurrent(AT_A_TIME, |(object, (name, limit))| async move {
            let wanted = Wanted {
                name,
                path: format!("/data/{}", name.path()),
                part: None,
                hash: Some(name.hash),
                limit: *limit,
                revalidate: false,
                optional: false,
            };
            let mut stored = Vec::new();
            let pursued = Pursuit::new(source, clients, &wanted, &mut stored, deadline).run().await;
            *object = Some(pursued.map(|()| stored));
        })
        .await;
}
