//! `varve vm`: machines on this host. One file per verb in `vm/`.

mod console;
mod delete;
mod follow;
mod list;
mod restore;
mod run;
mod save;
mod snapshot;
mod ssh;
mod start;
mod stop;

use clap::{Args, Subcommand};
use varve_hypervisor::{Libvirt, MachineStatus, Machines, Qemu};

use crate::failure::Failure;
use crate::invocation::Invocation;

/// Run virtual machines on this host
#[derive(Args, Debug)]
#[command(after_help = "Machines go on when this program ends. See docs/operate/vm.md.")]
pub(crate) struct Vm {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    Run(run::Run),
    List(list::List),
    Console(console::Console),
    Ssh(ssh::Ssh),
    Stop(stop::Stop),
    Start(start::Start),
    Save(save::Save),
    Snapshot(snapshot::Snapshots),
    Restore(restore::Restore),
    Delete(delete::Delete),
}

impl Vm {
    pub(crate) fn run(self, invocation: &Invocation) -> Result<(), Failure> {
        match self.verb {
            Verb::Run(verb) => verb.run(invocation),
            Verb::List(verb) => verb.run(invocation),
            Verb::Console(verb) => verb.run(invocation),
            Verb::Ssh(verb) => verb.run(invocation),
            Verb::Stop(verb) => verb.run(invocation),
            Verb::Start(verb) => verb.run(invocation),
            Verb::Save(verb) => verb.run(invocation),
            Verb::Snapshot(verb) => verb.run(invocation),
            Verb::Restore(verb) => verb.run(invocation),
            Verb::Delete(verb) => verb.run(invocation),
        }
    }
}

/// This user's machines, with every back end.
fn machines(invocation: &Invocation) -> Result<Machines, Failure> {
    let places = invocation.places()?;
    let cache = places.cache().join("vm");
    let qemu = Qemu::new(cache.clone());
    // The libvirt that its own programs would take for this user.
    let libvirt = Libvirt::new(None, cache);
    Ok(Machines::new(places.machines(), vec![Box::new(qemu), Box::new(libvirt)]))
}

/// Says how a machine runs that was just started.
fn say_started(invocation: &Invocation, status: &MachineStatus) {
    let name = status.home.name();
    let how = match &status.inspection.accelerator {
        Some(accelerator) if accelerator.kvm => format!("under KVM: {}", accelerator.why),
        Some(accelerator) => format!("in emulation: {}", accelerator.why),
        None => "and has ended already".to_owned(),
    };
    invocation.output.say(format!("{name} runs {how}"));
    for port in &status.inspection.ports {
        let (address, host, guest, protocol) = (port.address, port.host, port.guest, port.protocol);
        let hint = if guest == 22 { format!(" (varve vm ssh {name})") } else { String::new() };
        invocation.output.say(format!("{address}:{host} leads to its {protocol} port {guest}{hint}"));
    }
}
