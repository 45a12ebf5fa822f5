//! `varve bench ingest`: publishing a tar archive, beside the bare work on the files in it.

use std::process::Command;

use super::limits;
use super::publishing::settle;
use super::report::Finding;
use super::trees::Trees;
use crate::scratch::{Scratch, ScratchError, Talk};

/// Ingests `rounds` times into fresh repositories.
pub(super) fn run(scratch: &Scratch, trees: &mut Trees, rounds: usize) -> Result<Vec<Finding>, ScratchError> {
    let tree = trees.toolchain(scratch)?;
    let archive = scratch.path("archive.tar");
    scratch.run(Command::new("tar").arg("-cf").arg(&archive).arg("-C").arg(&tree).arg("."), Talk::Kept)?;
    // Thrown away: it brings the files into the page cache.
    let work = limits::read_compress_hash(&tree)?;
    let mut ingested = vec![];
    for round in 0..rounds {
        settle(scratch)?;
        let limit = limits::read_compress_hash(&tree)?.elapsed;
        let name = format!("ingest{round}.bench.example");
        scratch.run(scratch.varve("repo create").arg(&name), Talk::Kept)?;
        settle(scratch)?;
        let finished = scratch.run(scratch.varve("repo ingest").arg(&name).arg(&archive), Talk::Kept)?;
        ingested.push((finished.elapsed, limit));
    }
    let what = format!("ingest a tar of {} files, {} MB", work.files, work.bytes / 1_000_000);
    Ok(vec![Finding::speed(what, &ingested, "read+SHA-1+libdeflate 6", ">= 0.8")])
}
