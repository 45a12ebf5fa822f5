//! What the kernel shows of itself: `/proc` of the sandbox's own processes, and `/sys`, without what reaches beyond.

use std::path::Path;

use super::{Place, memory};
use crate::error::SandboxError;
use crate::mounts::{self, Attributes, Detached};
use crate::support::Obstacle;

/// Settings of the whole machine: with the number of root they could be written even without privileges.
const READ_ONLY: [&str; 5] = ["/proc/sys", "/proc/sysrq-trigger", "/proc/irq", "/proc/bus", "/proc/fs"];

/// What tells of other processes, or is the memory and the devices of the machine.
const HIDDEN: [&str; 12] = [
    "/proc/kcore",
    "/proc/keys",
    "/proc/key-users",
    "/proc/timer_list",
    "/proc/sched_debug",
    "/proc/latency_stats",
    "/proc/kallsyms",
    "/proc/scsi",
    "/proc/acpi",
    "/sys/firmware",
    "/sys/kernel/debug",
    "/sys/devices/virtual/powercap",
];

pub(super) fn show(place: &Place) -> Result<(), SandboxError> {
    let (proc, sys) = (Path::new("/proc"), Path::new("/sys"));
    let attributes = Attributes { no_programs: true, ..Attributes::PLAIN };
    let processes =
        Detached::new("proc", &[("source", "proc")], attributes).map_err(|source| SandboxError::Inside {
            message: format!("cannot mount /proc: {source}"),
            obstacle: (source.kind() == std::io::ErrorKind::PermissionDenied).then_some(Obstacle::MaskedProc),
        })?;
    place.show(proc, &processes)?;
    let devices = Detached::of(sys, attributes.read_only()).map_err(SandboxError::io("show", sys))?;
    place.show(sys, &devices)?;
    for path in READ_ONLY.map(Path::new) {
        // Not every kernel has everything.
        let Ok(found) = place.find(path) else { continue };
        Detached::of_descriptor(&found, attributes.read_only())
            .and_then(|copy| copy.show_on(&found))
            .map_err(SandboxError::io("protect", path))?;
    }
    for path in HIDDEN.map(Path::new) {
        let Ok(found) = place.find(path) else { continue };
        let directory = mounts::is_directory(&found).map_err(SandboxError::io("look at", path))?;
        let nothing = if directory {
            memory("555", Attributes::PLAIN.read_only())
        } else {
            Detached::only(Path::new("/dev/null"), Attributes::default())
        };
        nothing.and_then(|nothing| nothing.show_on(&found)).map_err(SandboxError::io("hide", path))?;
    }
    Ok(())
}
