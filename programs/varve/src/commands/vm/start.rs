//! `varve vm start`: lets a machine run that is stopped, saved or paused.

use clap::Args;
use varve_hypervisor::MachineName;

use super::follow;
use crate::failure::Failure;
use crate::invocation::Invocation;

/// Start a machine that was stopped, or let one go on that was saved
#[derive(Args, Debug)]
pub(crate) struct Start {
    /// The machine
    name: MachineName,
    /// Show the serial console until the machine ends; Ctrl-C leaves it running
    #[arg(long)]
    follow: bool,
}

impl Start {
    pub(crate) fn run(self, invocation: &Invocation) -> Result<(), Failure> {
        let machines = super::machines(invocation)?;
        // From its first line of this start on.
        let log = machines.console_log(&self.name).ok().and_then(|log| log.metadata().ok());
        let begin = log.map_or(0, |log| log.len());
        let status = machines.start(&self.name)?;
        super::say_started(invocation, &status);
        if self.follow { follow::follow(invocation, &machines, &self.name, begin) } else { Ok(()) }
    }
}
