//! `varve bench publish`: the first publish of a tree beside the bare work, and the second one with ten changed files.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::time::Duration;

use super::limits;
use super::report::{Finding, seconds};
use super::trees::Trees;
use crate::scratch::{Scratch, ScratchError, Talk, io_error};

/// How many files change before the second publish.
const CHANGED: usize = 10;

/// Publishes `rounds` times into fresh repositories.
pub(super) fn run(scratch: &Scratch, trees: &mut Trees, rounds: usize) -> Result<Vec<Finding>, ScratchError> {
    let tree = trees.toolchain(scratch)?;
    let mut files = limits::regular_files(&tree)?;
    files.sort();
    // The first pass is thrown away: it brings the files into the page cache for everything that follows.
    let work = limits::read_compress_hash(&tree)?;
    let mut first = vec![];
    let mut again = vec![];
    for round in 0..rounds {
        let limit = limits::read_compress_hash(&tree)?.elapsed;
        let name = format!("publish{round}.bench.example");
        scratch.run(scratch.varve("repo create").arg(&name), Talk::Kept)?;
        let published = scratch.run(scratch.varve("repo publish").arg(&name).arg(&tree), Talk::Kept)?;
        first.push((published.elapsed, limit));
        for (path, _) in files.iter().step_by((files.len() / CHANGED).max(1)).take(CHANGED) {
            let mut file = OpenOptions::new().append(true).open(path).map_err(io_error("change a file"))?;
            file.write_all(b"\n").map_err(io_error("change a file"))?;
        }
        again.push(scratch.run(scratch.varve("repo publish").arg(&name).arg(&tree), Talk::Kept)?.elapsed);
        std::fs::remove_dir_all(scratch.path("home/repositories").join(&name))
            .map_err(io_error("remove a repository"))?;
    }
    again.sort();
    let again = again.get(again.len() / 2).copied().unwrap_or(Duration::ZERO);
    let what = format!("publish {} files, {} MB", work.files, work.bytes / 1_000_000);
    Ok(vec![
        Finding::speed(what, &first, "read+SHA-1+libdeflate 6", ">= 0.8"),
        Finding::alone(format!("publish again, {CHANGED} files changed"), seconds(again), "< 2 s"),
    ])
}
