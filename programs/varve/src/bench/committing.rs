//! `varve bench transaction`: committing a few changed files of very many, in many nested catalogs.

use std::path::Path;
use std::time::Duration;

use super::publishing::settle;
use super::report::{Finding, megabytes, seconds};
use super::trees;
use crate::namespace;
use crate::scratch::{Scratch, ScratchError, Talk, io_error};

/// Nested catalogs, with a thousand files each.
const CATALOGS: usize = 200;

/// Files that are changed, each in a catalog of its own.
const CHANGED: usize = 10;

const NAME: &str = "transaction.bench.example";

/// Commits `rounds` times.
pub(super) fn run(scratch: &Scratch, rounds: usize) -> Result<Vec<Finding>, ScratchError> {
    let what = format!("commit {CHANGED} of {CATALOGS},000 files in {CATALOGS} nested catalogs");
    if !namespace::may_mount() {
        return Ok(vec![Finding::alone(what, "not measured: it needs root", "< 1 s")]);
    }
    let tree = trees::nested(scratch, CATALOGS)?;
    scratch.run(scratch.varve("repo create").arg(NAME), Talk::Kept)?;
    scratch.run(scratch.varve("repo publish").arg(NAME).arg(&tree), Talk::Kept)?;
    let mut commits: Vec<(Duration, u64)> = vec![];
    for round in 0..rounds {
        settle(scratch)?;
        let opened = scratch.run(scratch.varve("repo transaction").arg(NAME), Talk::Kept)?;
        let view = Path::new(opened.stdout.trim());
        for catalog in (0..CATALOGS).step_by(CATALOGS / CHANGED) {
            let file = view.join(format!("{catalog:03}/file{round:03}"));
            std::fs::write(&file, format!("changed in round {round}"))
                .map_err(io_error("change a file in the view"))?;
        }
        let finished = scratch.run(scratch.varve("repo commit").arg(NAME), Talk::Kept)?;
        commits.push((finished.elapsed, finished.peak_memory));
    }
    commits.sort();
    let (elapsed, _) = commits.get(commits.len() / 2).copied().unwrap_or_default();
    let memory = commits.iter().map(|(_, memory)| *memory).max().unwrap_or_default();
    Ok(vec![
        Finding::alone(what, seconds(elapsed), "< 1 s"),
        Finding::alone("peak memory of the commit", megabytes(memory), "< 200 MB"),
    ])
}
