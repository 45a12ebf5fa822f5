//! `varve vm restore`: puts a machine back to a snapshot.

use clap::Args;
use varve_hypervisor::{MachineName, SnapshotName};

use crate::failure::Failure;
use crate::invocation::Invocation;

/// Put a running machine back to where it was at a snapshot
#[derive(Args, Debug)]
pub(crate) struct Restore {
    /// The machine
    name: MachineName,
    /// The snapshot
    snapshot: SnapshotName,
}

impl Restore {
    pub(crate) fn run(self, invocation: &Invocation) -> Result<(), Failure> {
        super::machines(invocation)?.restore(&self.name, &self.snapshot)?;
        invocation.output.say(format!("{} is where it was at {}", self.name, self.snapshot));
        Ok(())
    }
}
