//! `varve demo`: the main job from end to end. What happens stands in `crate::demo`.

use std::path::PathBuf;

use clap::Args;

use crate::cli::ListingOptions;
use crate::demo::{self, Story};
use crate::failure::Failure;
use crate::invocation::Invocation;
use crate::scratch::Scratch;

/// Publish, serve and mount the Rust toolchain of this machine, compile with it, update it, go offline
///
/// Works in a directory of its own, on the loopback interface, and removes everything at the end, also when interrupted.
#[derive(Args, Debug)]
pub(crate) struct Demo {
    /// Use this Rust toolchain instead of the one that `rustc` belongs to
    #[arg(long, value_name = "DIR")]
    tree: Option<PathBuf>,
    /// Where to work; needs a few gigabytes on a local disk
    #[arg(long, value_name = "DIR", default_value = "/var/tmp")]
    directory: PathBuf,
    #[command(flatten)]
    listing: ListingOptions,
}

impl Demo {
    pub(crate) fn run(self, invocation: &Invocation) -> Result<(), Failure> {
        let mut scratch = Scratch::new(&self.directory)?;
        let facts = demo::play(&mut scratch, self.tree, &Story::new(invocation.output))?;
        drop(scratch);
        invocation.output.listing(self.listing, &facts)
    }
}
