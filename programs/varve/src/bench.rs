//! Measurements of this machine, each beside a peer or a limit in the same run. Their figures are in docs/benchmarks.md.

mod booting;
mod collecting;
mod committing;
mod filling;
mod ingesting;
pub(crate) mod limits;
mod publishing;
mod readers;
mod reading;
pub(crate) mod report;
mod running;
mod serving;
pub(crate) mod trees;

use std::path::PathBuf;

use clap::ValueEnum;

pub(crate) use self::readers::compile;
use self::report::Finding;
use self::trees::Trees;
use crate::scratch::{Scratch, ScratchError};

/// What can be measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Benchmark {
    /// Publish the Rust toolchain, then again with ten changed files
    Publish,
    /// Read through a mount what the kernel and the cache hold
    Warm,
    /// Read through a mount with an empty cache, from a server on this machine
    Cold,
    /// Walk over a million entries and look at the mount's memory
    Memory,
    /// Requests per second of the server, beside nginx (needs wrk and nginx)
    Serve,
    /// Publish a tar archive of the Rust toolchain
    Ingest,
    /// Commit ten changed files of 200,000 in 200 nested catalogs (needs root)
    Transaction,
    /// Touch and read small files in a run without FUSE
    Fill,
    /// Collect the garbage of 50 revisions with 200,000 objects
    Gc,
    /// Start machines whose operating system is streamed (needs QEMU, and mmdebstrap without --tree)
    Boot,
    /// Start commands in an environment, and work in it (needs a static busybox)
    Run,
}

/// How to measure.
pub(crate) struct Settings {
    /// Repetitions; the median counts.
    pub(crate) rounds: usize,
    /// The tree to publish and read instead of the Rust toolchain.
    pub(crate) tree: Option<PathBuf>,
    /// How many entries the memory benchmark walks over.
    pub(crate) entries: usize,
    /// The kernel of the machines that are booted.
    pub(crate) kernel: String,
}

/// Runs one benchmark in an installation of its own.
pub(crate) fn run(
    benchmark: Benchmark,
    scratch: &mut Scratch,
    settings: &Settings,
) -> Result<Vec<Finding>, ScratchError> {
    let mut trees = Trees::new(settings.tree.clone());
    match benchmark {
        Benchmark::Publish => publishing::run(scratch, &mut trees, settings.rounds),
        Benchmark::Warm => reading::warm(scratch, &mut trees, settings.rounds),
        Benchmark::Cold => reading::cold(scratch, &mut trees, settings.rounds),
        Benchmark::Memory => reading::memory(scratch, settings.entries),
        Benchmark::Serve => serving::run(scratch, settings.rounds),
        Benchmark::Ingest => ingesting::run(scratch, &mut trees, settings.rounds),
        Benchmark::Transaction => committing::run(scratch, settings.rounds),
        Benchmark::Fill => filling::run(scratch, settings.rounds),
        Benchmark::Gc => collecting::run(scratch),
        Benchmark::Boot => {
            let subject = booting::Subject { tree: settings.tree.as_deref(), kernel: &settings.kernel };
            booting::run(scratch, &subject, settings.rounds)
        }
        Benchmark::Run => running::run(scratch, settings.rounds),
    }
}
