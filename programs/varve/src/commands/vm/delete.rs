//! `varve vm delete`: removes machines and everything that was made for them.

use clap::Args;
use varve_hypervisor::{Deletion, MachineName};

use crate::failure::Failure;
use crate::invocation::Invocation;

/// Delete machines, with their own disks and snapshots
#[derive(Args, Debug)]
#[command(after_help = "Images that machines were made from, and disks that were given to them, stay.")]
pub(crate) struct Delete {
    /// The machines
    #[arg(required = true, value_name = "NAME")]
    names: Vec<MachineName>,
    /// Also if they are not off
    #[arg(long)]
    force: bool,
}

impl Delete {
    pub(crate) fn run(self, invocation: &Invocation) -> Result<(), Failure> {
        let machines = super::machines(invocation)?;
        let how = if self.force { Deletion::Forced } else { Deletion::Stopped };
        for name in &self.names {
            machines.delete(name, how)?;
            invocation.output.say(format!("{name} is deleted"));
        }
        Ok(())
    }
}
