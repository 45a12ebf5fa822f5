//! `varve env prune`: removes what runs without FUSE have filled.

use clap::Args;
use varve_sandbox::fill::bound;
use varve_store::ByteSize;

use crate::commands::run::filler::trees;
use crate::failure::Failure;
use crate::invocation::Invocation;

/// Remove what runs without FUSE have put into directories, and no run uses
///
/// It is put there again when it is needed, from the cache of objects where that has it. With a cache quota this happens at the end of
/// each such run, down to the same size.
#[derive(Args, Debug)]
pub(crate) struct Prune {
    /// Leave as much as this, the longest unused go first
    #[arg(long, value_name = "SIZE", default_value = "0")]
    keep: ByteSize,
}

impl Prune {
    pub(crate) fn run(self, invocation: &Invocation) -> Result<(), Failure> {
        let removed = bound(&trees(&invocation.places()?), self.keep.get())?;
        let freed = ByteSize::bytes(removed.bytes);
        invocation.output.say(format!("{} directories removed, {freed} freed", removed.trees));
        Ok(())
    }
}
