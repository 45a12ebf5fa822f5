//! `varve vm save`: keeps a machine's memory and ends it; `varve vm start` goes on from there.

use clap::Args;
use varve_hypervisor::MachineName;

use crate::failure::Failure;
use crate::invocation::Invocation;

/// Keep a machine's memory and end it, so that `start` goes on from there
#[derive(Args, Debug)]
#[command(visible_alias = "suspend")]
pub(crate) struct Save {
    /// The machine
    name: MachineName,
}

impl Save {
    pub(crate) fn run(self, invocation: &Invocation) -> Result<(), Failure> {
        super::machines(invocation)?.save(&self.name)?;
        let name = self.name;
        invocation.output.say(format!("{name} is saved; `varve vm start {name}` goes on from here"));
        Ok(())
    }
}
