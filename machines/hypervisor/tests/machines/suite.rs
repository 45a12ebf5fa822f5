//! What every back end must do with a machine, on a guest that says what it sees and counts.

use std::io::{Read as _, Write as _};
use std::path::Path;
use std::time::Duration;

use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};
use varve_hypervisor::{
    AcceleratorChoice, BackEnd, Boot, Deletion, Firmware, Hypervisor, HypervisorError, KernelBoot,
    MachineName, MachineSpec, Machines, MetadataSource, Network, PortForward, PowerState, Stopping, UserData,
};
use varve_testkit::{Guest, Scratch, wait_for, wait_until};

/// Emulated machines of a busy host are slow.
pub(crate) const LIMIT: Duration = Duration::from_secs(180);

/// Says what it was given, listens to the power button, and counts.
const SCRIPT: &str = "
mkdir -p /etc/acpi/PWRF
printf '#!/bin/sh\\necho BUTTON > /dev/console\\npoweroff -f\\n' > /etc/acpi/PWRF/00000080
chmod +x /etc/acpi/PWRF/00000080
acpid -l /dev/null
[ -e /sys/firmware/efi ] && echo FIRMWARE=UEFI
echo SCRATCH=$(cat /sys/block/vda/size)
echo SEED=$(strings /dev/vdb | grep -o hello-user-data | head -n 1)
echo NAME=$(strings /dev/vdb | grep -o local-hostname....[a-z]* | head -n 1)
echo GUEST-READY
";

/// The modules of that guest.
const MODULES: [&str; 3] = ["virtio_blk", "button", "evdev"];

pub(crate) struct Suite {
    pub(crate) scratch: Scratch,
    pub(crate) machines: Machines,
    pub(crate) back_end: BackEnd,
    pub(crate) guest: Guest,
}

impl Suite {
    pub(crate) fn new(
        hypervisor: impl FnOnce(&Path) -> Box<dyn Hypervisor>,
        back_end: BackEnd,
    ) -> Option<Self> {
        let guest = Guest::find()?;
        let scratch = Scratch::new();
        let hypervisor = hypervisor(&scratch.directory("cache"));
        // Longer than the address of a socket may be.
        let machines =
            Machines::new(scratch.directory(&format!("{}/machines", "long".repeat(30))), vec![hypervisor]);
        guest.initramfs(&scratch.join("initramfs, with=strange,,name"), &MODULES, SCRIPT);
        Some(Self { scratch, machines, back_end, guest })
    }

    pub(crate) fn spec(&self, name: &str) -> MachineSpec {
        MachineSpec {
            name: name.parse().expect("because it is a name"),
            cores: 1,
            memory: "256M".parse().expect("because it is a size"),
            boot: Boot::Kernel(KernelBoot {
                kernel: self.guest.kernel().to_owned(),
                initramfs: Some(self.scratch.join("initramfs, with=strange,,name")),
                command_line: "console=ttyS0 quiet panic=-1".to_owned(),
            }),
            firmware: Firmware::Bios,
            disks: vec![],
            scratch: vec!["64M".parse().expect("because it is a size")],
            network: Network::User { forwards: vec![PortForward::to(22)] },
            user_data: UserData::new(b"hello-user-data\n".to_vec()).expect("because it is short"),
            identity: UserData::default(),
            ssh_keys: vec![],
            metadata: MetadataSource::Attached,
        }
    }

    pub(crate) fn create(&self, spec: MachineSpec) -> MachineName {
        let home = self.machines.create(spec, self.back_end, AcceleratorChoice::Auto, 0);
        home.expect("because everything is there").name().clone()
    }

    pub(crate) fn log(&self, name: &MachineName) -> String {
        let mut bytes = Vec::new();
        if let Ok(mut log) = self.machines.console_log(name) {
            log.read_to_end(&mut bytes).expect("because it is a file");
        }
        String::from_utf8_lossy(&bytes).into_owned()
    }

    pub(crate) fn wait_for_line(&self, name: &MachineName, line: &str, times: usize) {
        wait_until(&format!("{line} on the console"), LIMIT, || {
            self.log(name).matches(line).count() >= times
        });
    }

    pub(crate) fn state(&self, name: &MachineName) -> PowerState {
        self.machines.status(name).expect("because it was made").inspection.state
    }

    /// Types at the console and waits for what is to be answered.
    pub(crate) fn ask(&self, name: &MachineName, typed: &str, answer: &str) {
        let mut held = self.machines.console(name).expect("because it runs");
        assert!(matches!(self.machines.console(name), Err(HypervisorError::ConsoleBusy { .. })));
        let console = &mut held.line;
        let flags = fcntl_getfl(&*console).expect("because it is open");
        fcntl_setfl(&*console, flags | OFlags::NONBLOCK).expect("because it is open");
        console.write_all(typed.as_bytes()).expect("because the machine listens");
        let mut seen = Vec::new();
        wait_for(answer, LIMIT, || {
            let mut piece = [0; 4096];
            if let Ok(count) = console.read(&mut piece) {
                seen.extend_from_slice(&piece[..count]);
            }
            String::from_utf8_lossy(&seen).contains(answer).then_some(())
        });
    }
}

impl Drop for Suite {
    fn drop(&mut self) {
        for (name, _) in self.machines.list().unwrap_or_default() {
            // A failed test leaves machines; what can't be removed either is told by the failure.
            let _ = self.machines.delete(&name, Deletion::Forced);
        }
    }
}

/// From nothing to nothing: what it was given is there, the console answers, the button works, and it starts again.
pub(crate) fn lives_and_dies(suite: &Suite) {
    let name = suite.create(suite.spec("first"));
    assert_eq!(suite.state(&name), PowerState::Stopped);
    let again = suite.machines.create(suite.spec("first"), suite.back_end, AcceleratorChoice::Auto, 0);
    assert!(matches!(again, Err(HypervisorError::Exists { .. })));

    let status = suite.machines.start(&name).expect("because everything is there");
    assert_eq!(status.inspection.state, PowerState::Running);
    let accelerator = status.inspection.accelerator.expect("because it runs");
    assert!(!accelerator.why.is_empty());
    assert_eq!(status.inspection.ports.len(), 1);
    assert!(matches!(suite.machines.start(&name), Err(HypervisorError::State { .. })));
    suite.wait_for_line(&name, "GUEST-READY", 1);
    let log = suite.log(&name);
    for line in ["SCRATCH=131072", "SEED=hello-user-data", "NAME=local-hostname\":\"first"] {
        assert!(log.contains(line), "{line} is not in\n{log}");
    }
    suite.ask(&name, "echo $((6 * 7))x\n", "42x");

    assert!(matches!(suite.machines.delete(&name, Deletion::Stopped), Err(HypervisorError::State { .. })));
    suite.machines.stop(&name, Stopping::Asked(LIMIT)).expect("because it listens to the button");
    assert_eq!(suite.state(&name), PowerState::Stopped);
    assert!(suite.log(&name).contains("BUTTON"));

    suite.machines.start(&name).expect("because it was off");
    suite.wait_for_line(&name, "GUEST-READY", 2);
    suite.machines.stop(&name, Stopping::Forced).expect("because it runs");
    assert_eq!(suite.state(&name), PowerState::Stopped);
    suite.machines.delete(&name, Deletion::Stopped).expect("because it is off");
    assert!(matches!(suite.machines.status(&name), Err(HypervisorError::Unknown { .. })));
    assert!(suite.machines.list().expect("because it can be read").is_empty());
}

/// What was in its memory is there again after it was saved, and after it went back to a snapshot.
pub(crate) fn keeps_its_memory(suite: &Suite) {
    let name = suite.create(suite.spec("keeper"));
    suite.machines.start(&name).expect("because everything is there");
    suite.wait_for_line(&name, "GUEST-READY", 1);
    suite.ask(&name, "echo one > /tmp/x; echo done-$((1 + 1))\n", "done-2");

    suite.machines.save(&name).expect("because it runs");
    assert_eq!(suite.state(&name), PowerState::Saved);
    assert!(matches!(
        suite.machines.stop(&name, Stopping::Asked(LIMIT)),
        Err(HypervisorError::State { state: PowerState::Saved, .. })
    ));
    suite.machines.start(&name).expect("because it was saved");
    assert_eq!(suite.state(&name), PowerState::Running);
    suite.ask(&name, "echo is-$(cat /tmp/x)\n", "is-one");

    let kept = "before".parse().expect("because it is a name");
    suite.machines.snapshot(&name, &kept).expect("because it runs");
    assert!(matches!(
        suite.machines.snapshot(&name, &kept),
        Err(HypervisorError::Snapshot { there: true, .. })
    ));
    suite.ask(&name, "echo two > /tmp/x; echo now-$(cat /tmp/x)\n", "now-two");
    suite.machines.restore(&name, &kept).expect("because it is there");
    suite.ask(&name, "echo back-$(cat /tmp/x)\n", "back-one");
    let names = |snapshots: Vec<varve_hypervisor::Snapshot>| -> Vec<String> {
        snapshots.into_iter().map(|snapshot| snapshot.name).collect()
    };
    assert_eq!(names(suite.machines.snapshots(&name).expect("because it runs")), ["before"]);
    suite.machines.delete_snapshot(&name, &kept).expect("because it is there");
    assert!(names(suite.machines.snapshots(&name).expect("because it runs")).is_empty());

    suite.machines.save(&name).expect("because it runs");
    suite.machines.stop(&name, Stopping::Forced).expect("because its memory is given up");
    assert_eq!(suite.state(&name), PowerState::Stopped);
    suite.machines.delete(&name, Deletion::Stopped).expect("because it is off");
}
