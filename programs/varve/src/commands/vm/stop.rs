//! `varve vm stop`: presses the power button of machines and waits, or pulls their plug.

use std::time::Duration;

use clap::Args;
use varve_hypervisor::{MachineName, Stopping};

use crate::failure::Failure;
use crate::invocation::Invocation;

/// Stop machines
#[derive(Args, Debug)]
#[command(
    after_help = "Without --force the system in the machine is asked to shut down, by the power button. One that does \
                  not within the limit runs on, and the exit code is 5."
)]
pub(crate) struct Stop {
    /// The machines
    #[arg(required = true, value_name = "NAME")]
    names: Vec<MachineName>,
    /// How long the system in a machine may take to shut down
    #[arg(long, value_name = "SECONDS", default_value_t = 90)]
    timeout: u64,
    /// End them at once, as a power cut would; a saved one loses its memory
    #[arg(long, conflicts_with = "timeout")]
    force: bool,
}

impl Stop {
    pub(crate) fn run(self, invocation: &Invocation) -> Result<(), Failure> {
        let machines = super::machines(invocation)?;
        let how =
            if self.force { Stopping::Forced } else { Stopping::Asked(Duration::from_secs(self.timeout)) };
        for name in &self.names {
            machines.stop(name, how)?;
            invocation.output.say(format!("{name} is off"));
        }
        Ok(())
    }
}
