//! Deletes what was used least recently, and what writers left behind. When that is needed is decided by the cache.
//!
//! One process at a time, the one that holds `eviction.lock`; readers and writers go on meanwhile. What is open or
//! mapped anywhere stays readable, its space is free once it is let go.

use std::fs::{self, File};
use std::path::Path;
use std::time::{Duration, SystemTime};

use rustix::fs::{FlockOperation, flock};

use super::directory::{Directory, TEMPORARY_PREFIX, Writer};
use super::ledger::{Ledger, disk_use};

/// After this a temporary file whose writer can't be seen is nobody's any more; how often leftovers are looked for.
const LEFTOVER_AGE: Duration = Duration::from_secs(3600);

/// How much may stay.
#[derive(Clone, Copy, Debug)]
pub(super) enum Goal {
    /// This many bytes.
    Bytes(u64),
    /// This many bytes, or three quarters of them if there is more now.
    Quota(u64),
    /// Three quarters of what there is now.
    Fewer,
}

/// What an eviction did.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Evicted {
    pub(super) files: u64,
    pub(super) bytes: u64,
    /// What is left.
    pub(super) remaining: u64,
}

struct Candidate {
    used: SystemTime,
    bytes: u64,
    directory: u8,
    name: Box<str>,
}

/// Three quarters of an amount.
fn three_quarters(amount: u64) -> u64 {
    amount - amount / 4
}

/// Scans the cache and deletes down to the goal. `None` if another process or thread is at it, or nothing can be
/// written here.
pub(super) fn evict(directory: &Directory, ledger: &Ledger, goal: Goal, now: SystemTime) -> Option<Evicted> {
    let _lock = lock(directory)?;
    let mut candidates = Vec::new();
    for number in 0..=255 {
        scan(directory, number, now, &mut candidates);
    }
    let mut evicted =
        Evicted { remaining: candidates.iter().map(|candidate| candidate.bytes).sum(), ..Evicted::default() };
    let most = match goal {
        Goal::Bytes(bytes) => bytes,
        Goal::Quota(bytes) if evicted.remaining <= bytes => bytes,
        Goal::Quota(bytes) => three_quarters(bytes),
        Goal::Fewer => three_quarters(evicted.remaining),
    };
    if evicted.remaining > most {
        candidates.sort_unstable_by_key(|candidate| candidate.used);
        for candidate in candidates {
            if evicted.remaining <= most {
                break;
            }
            let path = folder(directory, candidate.directory).join(&*candidate.name);
            if fs::remove_file(path).is_ok() {
                evicted.files += 1;
                evicted.bytes += candidate.bytes;
                evicted.remaining -= candidate.bytes;
            }
        }
    }
    ledger.set(evicted.remaining);
    // Its time tells other processes that leftovers were looked for.
    let _marked = File::create(directory.path().join("swept"));
    tracing::debug!(?evicted, "scanned the cache");
    Some(evicted)
}

/// Whether nobody has looked for leftovers lately.
pub(super) fn is_sweep_due(directory: &Directory, now: SystemTime) -> bool {
    let swept = fs::metadata(directory.path().join("swept")).and_then(|metadata| metadata.modified());
    swept.map_or(true, |swept| now.duration_since(swept).is_ok_and(|age| age > LEFTOVER_AGE))
}

fn lock(directory: &Directory) -> Option<File> {
    let path = directory.path().join("eviction.lock");
    let file = File::options().write(true).create(true).truncate(false).open(path).ok()?;
    flock(&file, FlockOperation::NonBlockingLockExclusive).ok()?;
    Some(file)
}

fn folder(directory: &Directory, number: u8) -> std::path::PathBuf {
    directory.path().join(format!("{number:02x}"))
}

/// Collects the files of one directory and deletes leftovers in it.
fn scan(directory: &Directory, number: u8, now: SystemTime, candidates: &mut Vec<Candidate>) {
    // What can't be listed or looked up now is somebody else's deletion, or the next scan's work.
    let Ok(entries) = fs::read_dir(folder(directory, number)) else { return };
    for entry in entries.flatten() {
        let Ok(metadata) = entry.metadata() else { continue };
        let used = metadata.modified().unwrap_or(SystemTime::UNIX_EPOCH);
        let name = entry.file_name();
        let Some(name) = name.to_str().filter(|_| metadata.is_file()) else { continue };
        if name.starts_with(TEMPORARY_PREFIX) {
            sweep(directory, &entry.path(), name, now, used);
        } else {
            let bytes = disk_use(metadata.len());
            candidates.push(Candidate { used, bytes, directory: number, name: name.into() });
        }
    }
}

fn sweep(directory: &Directory, path: &Path, name: &str, now: SystemTime, written: SystemTime) {
    let is_leftover = match directory.writer_of(name) {
        // However old it looks: clocks are set.
        Writer::Alive => false,
        Writer::Gone => true,
        Writer::Unknown => now.duration_since(written).is_ok_and(|age| age > LEFTOVER_AGE),
    };
    if is_leftover {
        // It may be gone already.
        let _removed = fs::remove_file(path);
    }
}
