//! `varve bench gc`: garbage collection of many objects in many revisions, beside a plain walk of the store.

use std::time::Instant;

use super::limits;
use super::publishing::settle;
use super::report::{Finding, megabytes, seconds};
use super::trees;
use crate::scratch::{Scratch, ScratchError, Talk};

/// Revisions, each with as many new objects as it has files.
const REVISIONS: usize = 50;

/// Files in each.
const FILES: usize = 4000;

const NAME: &str = "gc.bench.example";

/// Collects what half of the revisions have for themselves.
pub(super) fn run(scratch: &Scratch) -> Result<Vec<Finding>, ScratchError> {
    scratch.run(scratch.varve("repo create").arg(NAME), Talk::Kept)?;
    for revision in 0..REVISIONS {
        let tree = trees::changing(scratch, FILES, revision)?;
        scratch.run(scratch.varve("repo publish").arg(NAME).arg(&tree), Talk::Kept)?;
    }
    settle(scratch)?;
    let data = scratch.path("home/repositories").join(NAME).join("data");
    // The first walk is thrown away: it brings the directories into memory.
    limits::regular_files(&data)?;
    let begun = Instant::now();
    let objects = limits::regular_files(&data)?.len();
    let walk = begun.elapsed();
    let keep = (REVISIONS / 2).to_string();
    let collect = |more: &[&str]| {
        let mut command = scratch.varve("repo gc");
        scratch.run(command.args([NAME, "--keep-revisions", &keep]).args(more), Talk::Kept)
    };
    let sought = collect(&["--dry-run"])?;
    let collected = collect(&[])?;
    let left = limits::regular_files(&data)?.len();
    let what = format!("find the garbage among {objects} objects of {REVISIONS} revisions");
    Ok(vec![
        Finding::time(what, &[(sought.elapsed, walk)], "walk of the store", ""),
        Finding::alone("peak memory of that", megabytes(sought.peak_memory), ""),
        Finding::alone(format!("collect {} of them", objects - left), seconds(collected.elapsed), ""),
    ])
}
