//! How much is fetched at a time.

use std::num::NonZeroUsize;

use clap::Args;
use varve_replicate::{Effort, MirrorProgress};
use varve_store::ByteSize;

use crate::progress::Progress;

/// How much is fetched at a time.
#[derive(Args, Clone, Copy, Debug)]
pub(super) struct EffortOptions {
    /// The most requests at a time
    #[arg(long, value_name = "NUMBER", default_value = "16")]
    parallel: NonZeroUsize,
    /// The most memory for objects on their way
    #[arg(long, value_name = "SIZE", default_value = "256MiB")]
    memory: ByteSize,
}

impl EffortOptions {
    pub(super) fn effort(&self) -> Effort {
        Effort { workers: self.parallel, memory: self.memory.get() }
    }
}

/// Shows the bytes that came.
pub(super) struct Shown<'a>(pub(super) &'a Progress);

impl MirrorProgress for Shown<'_> {
    fn stored(&self, _objects: u64, bytes: u64) {
        self.0.advance(bytes);
    }
}
