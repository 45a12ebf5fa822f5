//! The serial console of a machine, shown as it grows until the machine ends.

use std::io::{Read as _, Seek as _, SeekFrom};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use varve_hypervisor::{MachineName, Machines, PowerState};

use crate::exit_code::ExitCode;
use crate::failure::Failure;
use crate::invocation::Invocation;

/// Between two looks.
const POLL: Duration = Duration::from_millis(100);

/// Shows what is written from `offset` on.
pub(crate) fn follow(
    invocation: &Invocation,
    machines: &Machines,
    name: &MachineName,
    offset: u64,
) -> Result<(), Failure> {
    let interrupted = Arc::new(AtomicBool::new(false));
    for signal in [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM] {
        signal_hook::flag::register(signal, Arc::clone(&interrupted))
            .map_err(|error| Failure::new(ExitCode::Failure, error))?;
    }
    let mut log = machines.console_log(name)?;
    let unreadable = |error| Failure::new(ExitCode::Failure, error);
    log.seek(SeekFrom::Start(offset)).map_err(unreadable)?;
    loop {
        // What it writes before it ends is there once it has ended.
        let ended = machines.status(name)?.inspection.state != PowerState::Running;
        let mut bytes = Vec::new();
        (&mut log).take(1 << 20).read_to_end(&mut bytes).map_err(unreadable)?;
        invocation.output.write(&bytes)?;
        if interrupted.load(Ordering::Relaxed) {
            invocation.output.say(format!("{name} goes on; `varve vm console {name}` shows it again"));
            return Err(Failure::silent(ExitCode::Interrupted));
        }
        if ended && bytes.is_empty() {
            return Ok(());
        }
        if bytes.is_empty() {
            std::thread::sleep(POLL);
        }
    }
}
