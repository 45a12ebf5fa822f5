//! `varve umount`: ends mounts, also those whose processes are gone.

use std::path::PathBuf;

use clap::Args;

use crate::failure::Failure;
use crate::invocation::Invocation;

/// Unmount directories
#[derive(Args, Debug)]
#[command(visible_alias = "unmount")]
pub(crate) struct Umount {
    /// Where repositories are mounted
    #[arg(required = true)]
    directories: Vec<PathBuf>,
    /// Detach a directory that is in use; it ends when the last file in it is closed
    #[arg(short, long)]
    lazy: bool,
}

impl Umount {
    pub(crate) fn run(self, _: &Invocation) -> Result<(), Failure> {
        self.directories.iter().try_for_each(|directory| Ok(varve_mount::unmount(directory, self.lazy)?))
    }
}
