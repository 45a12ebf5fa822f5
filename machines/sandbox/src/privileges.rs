//! What the processes inside give up for ever.

use std::io;

use rustix::process::{DumpableBehavior, Signal};
use rustix::thread::{CapabilitySet, CapabilitySets};

use crate::sandbox::Identity;

/// What root keeps inside: over its own files and processes, as installers of packages need it. All of it counts only within
/// the sandbox's user namespace.
const OF_ROOT: [CapabilitySet; 9] = [
    CapabilitySet::CHOWN,
    CapabilitySet::DAC_OVERRIDE,
    CapabilitySet::FOWNER,
    CapabilitySet::FSETID,
    CapabilitySet::KILL,
    CapabilitySet::SETGID,
    CapabilitySet::SETUID,
    CapabilitySet::NET_BIND_SERVICE,
    CapabilitySet::SYS_CHROOT,
];

/// What an identity keeps.
pub(crate) fn kept_by(identity: Identity) -> CapabilitySet {
    match identity {
        Identity::Own => CapabilitySet::empty(),
        Identity::Root => OF_ROOT.iter().fold(CapabilitySet::empty(), |all, one| all | *one),
    }
}

/// Drops everything but `kept`, also for programs that will be started, and all ways to new privileges.
pub(crate) fn reduce_to(kept: CapabilitySet) -> io::Result<()> {
    for capability in CapabilitySet::all().iter() {
        if !kept.contains(capability) {
            match rustix::thread::remove_capability_from_bounding_set(capability) {
                // The kernel is older than the capability.
                Err(rustix::io::Errno::INVAL) => {}
                result => result?,
            }
        }
    }
    rustix::thread::clear_ambient_capability_set()?;
    set(kept)?;
    rustix::thread::set_no_new_privs(true)?;
    Ok(())
}

/// Drops what [`reduce_to`] has kept.
pub(crate) fn drop_all() -> io::Result<()> {
    set(CapabilitySet::empty())
}

fn set(kept: CapabilitySet) -> io::Result<()> {
    let inheritable = CapabilitySet::empty();
    let sets = CapabilitySets { effective: kept, permitted: kept, inheritable };
    Ok(rustix::thread::set_capabilities(None, sets)?)
}

/// Nobody inside may look into this process, which has the memory of the one that started it.
pub(crate) fn hide() -> io::Result<()> {
    Ok(rustix::process::set_dumpable_behavior(DumpableBehavior::NotDumpable)?)
}

/// Takes back [`hide`].
pub(crate) fn show() -> io::Result<()> {
    Ok(rustix::process::set_dumpable_behavior(DumpableBehavior::Dumpable)?)
}

/// Ends this process when its parent ends. To be said anew after privileges have changed.
pub(crate) fn end_with_parent() -> io::Result<()> {
    Ok(rustix::process::set_parent_process_death_signal(Some(Signal::KILL))?)
}
