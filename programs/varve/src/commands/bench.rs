//! `varve bench`: measures this machine. What is measured, and how, stands in `crate::bench`.

use std::path::PathBuf;

use clap::{Args, ValueEnum as _};

use crate::bench::{self, Benchmark, Settings};
use crate::cli::ListingOptions;
use crate::failure::Failure;
use crate::invocation::Invocation;
use crate::scratch::Scratch;

/// Measure publishing, serving and reading on this machine, beside the local disk and the bare work
///
/// Works in a directory of its own, which is removed at the end. Reading needs FUSE.
#[derive(Args, Debug)]
pub(crate) struct Bench {
    /// What to measure; everything if nothing is named
    benchmarks: Vec<Benchmark>,
    /// How often each is repeated; the median counts
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u8).range(1..))]
    rounds: u8,
    /// Publish and read a copy of this tree instead of the Rust toolchain; boot this one, as varve os build made it
    #[arg(long, value_name = "DIR")]
    tree: Option<PathBuf>,
    /// How many entries the memory benchmark walks over
    #[arg(long, default_value_t = 1_000_000)]
    entries: usize,
    /// The kernel of the machines: a package that apt knows, or a bzImage such as varve image kernel makes
    #[arg(long, value_name = "PACKAGE|FILE", default_value = "linux-image-amd64")]
    kernel: String,
    /// Where to work; needs several gigabytes on a local disk
    #[arg(long, value_name = "DIR", default_value = "/var/tmp")]
    directory: PathBuf,
    #[command(flatten)]
    listing: ListingOptions,
}

impl Bench {
    pub(crate) fn run(self, invocation: &Invocation) -> Result<(), Failure> {
        let settings = Settings {
            rounds: usize::from(self.rounds),
            tree: self.tree,
            entries: self.entries,
            kernel: self.kernel,
        };
        let benchmarks =
            if self.benchmarks.is_empty() { Benchmark::value_variants().to_vec() } else { self.benchmarks };
        let mut findings = vec![];
        for benchmark in benchmarks {
            invocation.output.say(format!(
                "measuring: {}",
                benchmark.to_possible_value().map_or_else(String::new, |value| value.get_name().to_owned())
            ));
            let mut scratch = Scratch::new(&self.directory)?;
            findings.extend(bench::run(benchmark, &mut scratch, &settings)?);
        }
        invocation.output.listing(self.listing, &findings)
    }
}
