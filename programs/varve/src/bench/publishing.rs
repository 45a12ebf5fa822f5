//! `varve bench publish`: the first publish of a tree beside the bare work, and the second one with ten changed files.
//!
//! Both sides find the files in the page cache and nothing waiting to be written. Repositories stay until the end: deleting
//! one would keep the disk busy through the next round, and ext4 takes longer to make files where many were just deleted.

use std::fs::{File, OpenOptions};
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
    let mut first_busy = vec![];
    let mut again = vec![];
    for round in 0..rounds {
        settle(scratch)?;
        let busy = processor_time()?;
        let limit = limits::read_compress_hash(&tree)?.elapsed;
        let limit_busy = processor_time()?.saturating_sub(busy);
        let name = format!("publish{round}.bench.example");
        scratch.run(scratch.varve("repo create").arg(&name), Talk::Kept)?;
        settle(scratch)?;
        let busy = processor_time()?;
        let published = scratch.run(scratch.varve("repo publish").arg(&name).arg(&tree), Talk::Kept)?;
        first_busy.push((processor_time()?.saturating_sub(busy), limit_busy));
        first.push((published.elapsed, limit));
        for (path, _) in files.iter().step_by((files.len() / CHANGED).max(1)).take(CHANGED) {
            let mut file = OpenOptions::new().append(true).open(path).map_err(io_error("change a file"))?;
            file.write_all(b"\n").map_err(io_error("change a file"))?;
        }
        settle(scratch)?;
        again.push(scratch.run(scratch.varve("repo publish").arg(&name).arg(&tree), Talk::Kept)?.elapsed);
    }
    again.sort();
    let again = again.get(again.len() / 2).copied().unwrap_or(Duration::ZERO);
    let what = format!("publish {} files, {} MB", work.files, work.bytes / 1_000_000);
    Ok(vec![
        Finding::speed(what, &first, "read+SHA-1+libdeflate 6", ">= 0.8"),
        Finding::speed("the same, processor time", &first_busy, "read+SHA-1+libdeflate 6", ">= 0.8"),
        Finding::alone(format!("publish again, {CHANGED} files changed"), seconds(again), "< 2 s"),
    ])
}

/// Writes out what is in memory only, so that it isn't written during what is measured next.
pub(super) fn settle(scratch: &Scratch) -> Result<(), ScratchError> {
    let directory = File::open(scratch.path(".")).map_err(io_error("open the scratch directory"))?;
    rustix::fs::syncfs(directory).map_err(|errno| io_error("sync the scratch directory")(errno.into()))
}

/// What this process and the commands it ran have used of the processors so far, to a hundredth of a second.
fn processor_time() -> Result<Duration, ScratchError> {
    let stat = std::fs::read("/proc/self/stat").map_err(io_error("read /proc/self/stat"))?;
    Ok(stat_time(&String::from_utf8_lossy(&stat)))
}

/// User and system time of a process and of its children in a line of `/proc/PID/stat`, whose ticks are hundredths.
fn stat_time(stat: &str) -> Duration {
    let behind_name = stat.rsplit(')').next().unwrap_or_default();
    let ticks: u64 = behind_name.split_whitespace().skip(11).take(4).flat_map(str::parse::<u64>).sum();
    Duration::from_millis(ticks * 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_found_behind_any_name() {
        let stat = "7 (a) b) S 1 2 3 4 5 6 7 8 9 10 100 20 3 4 99 99";
        assert_eq!(stat_time(stat), Duration::from_millis(1270));
    }
}
