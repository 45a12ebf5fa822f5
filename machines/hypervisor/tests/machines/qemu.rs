//! The suite on QEMU, and what only QEMU has.

use std::fs;
use std::path::Path;

use rustix::process::{Pid, Signal, kill_process};
use varve_hypervisor::{
    AcceleratorChoice, BackEnd, Boot, Deletion, Disk, Firmware, HypervisorError, PowerState, Qemu, Stopping,
};
use varve_testkit::wait_until;

use super::suite::{self, LIMIT, Suite};

/// A boot sector that counts its starts in the sector behind it, and writes `COUNT=` and the number to the serial port.
const COUNTER: [u8; 71] = [
    0x31, 0xc0, 0x8e, 0xd8, 0x8e, 0xc0, 0x8e, 0xd0, 0xbc, 0x00, 0x7c, 0xbb, 0x00, 0x7e, 0xb8, 0x01, 0x02,
    0xb9, 0x02, 0x00, 0xb6, 0x00, 0xcd, 0x13, 0xfe, 0x06, 0x00, 0x7e, 0xb8, 0x01, 0x03, 0xb9, 0x02, 0x00,
    0xb6, 0x00, 0xcd, 0x13, 0xbe, 0x40, 0x7c, 0xba, 0xf8, 0x03, 0xac, 0x84, 0xc0, 0x74, 0x03, 0xee, 0xeb,
    0xf8, 0xa0, 0x00, 0x7e, 0x04, 0x30, 0xee, 0xb0, 0x0a, 0xee, 0xf4, 0xeb, 0xfd, 0x43, 0x4f, 0x55, 0x4e,
    0x54, 0x3d, 0x00,
];

fn qemu() -> Option<Suite> {
    Suite::new(|cache| Box::new(Qemu::new(cache.to_owned())), BackEnd::Qemu)
}

#[test]
fn lives_and_dies() {
    if let Some(suite) = qemu() {
        suite::lives_and_dies(&suite);
    }
}

#[test]
fn keeps_its_memory() {
    if let Some(suite) = qemu() {
        suite::keeps_its_memory(&suite);
    }
}

#[test]
fn is_started_by_uefi() {
    let Some(suite) = qemu() else { return };
    let spec = varve_hypervisor::MachineSpec { firmware: Firmware::Uefi, ..suite.spec("uefi") };
    let name = match suite.machines.create(spec, suite.back_end, AcceleratorChoice::Auto, 0) {
        Ok(home) => home.name().clone(),
        Err(error @ HypervisorError::NoFirmware { .. }) => {
            assert!(std::env::var_os("CI").is_none(), "UEFI must be there in CI");
            println!("skipped: {error} ({})", error.hint().unwrap_or_default());
            return;
        }
        Err(error) => panic!("{error}"),
    };
    suite.machines.start(&name).expect("because everything is there");
    suite.wait_for_line(&name, "GUEST-READY", 1);
    assert!(suite.log(&name).contains("FIRMWARE=UEFI"), "{}", suite.log(&name));
    let kept = "kept".parse().expect("because it is a name");
    suite.machines.snapshot(&name, &kept).expect("because it runs");
    suite.machines.restore(&name, &kept).expect("because it is there");
    suite.ask(&name, "echo $((6 * 7))x\n", "42x");
}

/// A machine's own changes are kept; the image is left as it is, and must stay so.
#[test]
fn images_stay_as_they_are() {
    let Some(suite) = qemu() else { return };
    let image = suite.scratch.join("disk, \"x\"=y,,file=z.img");
    let mut bytes = vec![0; 1 << 20];
    bytes[..COUNTER.len()].copy_from_slice(&COUNTER);
    bytes[510..512].copy_from_slice(&[0x55, 0xaa]);
    fs::write(&image, &bytes).expect("because it is writable");
    let extra = suite.scratch.join("extra,readonly=on.img");
    fs::write(&extra, [7; 4096]).expect("because it is writable");
    let spec = varve_hypervisor::MachineSpec {
        boot: Boot::Image(image.clone()),
        disks: vec![Disk { path: extra, read_only: false }],
        ..suite.spec("counter")
    };
    let name = suite.create(spec.clone());
    for count in ["COUNT=1", "COUNT=2"] {
        suite.machines.start(&name).expect("because everything is there");
        suite.wait_for_line(&name, count, 1);
        suite.machines.stop(&name, Stopping::Forced).expect("because it runs");
    }
    assert!(fs::read(&image).expect("because it is there") == bytes);

    // The machine's own disk shows what is behind it: it is no image for others.
    let own = suite.machines.status(&name).expect("because it is there").home.path("system.qcow2");
    let other = varve_hypervisor::MachineSpec {
        boot: Boot::Image(own),
        name: "other".parse().expect("because it is a name"),
        ..spec.clone()
    };
    let refused = suite.machines.create(other.clone(), suite.back_end, AcceleratorChoice::Auto, 0);
    assert!(matches!(refused, Err(HypervisorError::Image(_))), "{refused:?}");
    for (boot, why) in [
        ("no-such-file", "No such file"),
        ("extra,readonly=on.img", "no boot sector"),
        ("", "is a directory"),
    ] {
        let boot = Boot::Image(suite.scratch.join(boot));
        let spec = varve_hypervisor::MachineSpec { boot, ..other.clone() };
        let refused = suite.machines.create(spec, suite.back_end, AcceleratorChoice::Auto, 0);
        let error = chain(&refused.expect_err("because nothing starts from it"));
        assert!(error.contains(why), "{error}");
    }
    assert_eq!(suite.machines.list().expect("because it can be read").len(), 1);

    bytes[600] = 1;
    fs::write(&image, &bytes).expect("because it is writable");
    let error = chain(&suite.machines.start(&name).expect_err("because the image is another one"));
    assert!(error.contains("was changed since"), "{error}");
}

/// A machine whose process is gone is off, whatever was written down.
#[test]
fn the_dead_are_noticed() {
    let Some(suite) = qemu() else { return };
    let name = suite.create(suite.spec("mortal"));
    for _ in 0..2 {
        let status = suite.machines.start(&name).expect("because everything is there");
        let process = status.inspection.process.expect("because it runs");
        let process = Pid::from_raw(process.cast_signed()).expect("because it is a process");
        kill_process(process, Signal::KILL).expect("because it is ours");
        wait_until("the end", LIMIT, || suite.state(&name) == PowerState::Stopped);
    }
    let home = suite.machines.status(&name).expect("because it is there").home;
    assert!(home.path("qemu.pid").exists(), "the killed process left it");
    suite.machines.delete(&name, Deletion::Stopped).expect("because it is off");
    assert!(!Path::new(home.directory()).exists());
}

/// What somebody else has or is missing is named.
#[test]
fn errors_name_what_is_wrong() {
    let Some(suite) = qemu() else { return };
    let taken = std::net::TcpListener::bind(("127.0.0.1", 0)).expect("because there are free ports");
    let port = taken.local_addr().expect("because it is bound").port();
    let forward = format!("{port}:22").parse().expect("because it is a forward");
    let network = varve_hypervisor::Network::User { forwards: vec![forward] };
    let name = suite.create(varve_hypervisor::MachineSpec { network, ..suite.spec("taken") });
    let error = chain(&suite.machines.start(&name).expect_err("because the port is taken"));
    assert!(error.contains(&format!("port {port}")) && error.contains("another program"), "{error}");
    assert_eq!(suite.state(&name), PowerState::Stopped);

    let huge = "32T".parse().expect("because it is a size");
    let name = suite.create(varve_hypervisor::MachineSpec { memory: huge, ..suite.spec("huge") });
    let error = chain(&suite.machines.start(&name).expect_err("because no host has that"));
    assert!(error.contains("could not start machine huge"), "{error}");
    assert!(!error.contains("without a word"), "{error}");
}

fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text += &format!(": {error}");
        cause = error.source();
    }
    text
}
