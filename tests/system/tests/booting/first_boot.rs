//! A machine without a disk: it boots, is given user data by its hypervisor, and ends.

use std::fs;
use std::time::Duration;

use varve_system::{Equipment, Installation};
use varve_testkit::Machine;

use super::operating_system::{self, NAME};

const LONG: Duration = Duration::from_secs(180);

#[test]
fn a_machine_boots_from_a_repository_and_ends() {
    let Some(equipment) = Equipment::find() else { return };
    let installation = Installation::new();
    let script = "
        echo \"OS: root is $(mount | grep ' on / ')\"
        echo hello > /root/written; echo \"OS: wrote $(cat /root/written)\"
        echo \"OS: name $(cat /etc/hostname)\"
        cat /run/varve/boot.json
        ps -o pid,args | grep varve-guest
    ";
    if operating_system::publish(&installation, script).is_none() {
        return;
    }
    let server = installation.serve(None);
    let settings = operating_system::boot_settings(&installation, server.port());
    let files = equipment.write_image(&settings, &installation.directory("image"));
    let user_data = installation.path("user-data");
    fs::write(&user_data, "#!/bin/sh\n").unwrap();
    let mut settings = files.machine("");
    settings.user_data = Some(user_data);
    settings.arguments.extend(["-fw_cfg", "name=opt/varve/hostname,string=node-7"].map(str::to_owned));
    let mut machine = Machine::start(&settings).expect("because QEMU is part of the equipment");
    let console = machine.wait_for_end(LONG);
    println!("{console}");
    for expected in [
        "user data: QEMU fw_cfg, 10 bytes",
        "by DHCP from 10.0.2.2",
        "OS: tiny 1",
        "OS: root is varve-os on / type overlay",
        "OS: wrote hello",
        "OS: name node-7",
        "@varve-guest mount-worker",
        "OS: end",
        "varve: powering off",
    ] {
        assert!(console.contains(expected), "no '{expected}' in:\n{console}");
    }
    assert!(console.contains(NAME));
}

#[test]
fn one_image_boots_the_tag_that_is_asked_for() {
    let Some(equipment) = Equipment::find() else { return };
    let installation = Installation::new();
    if operating_system::publish(&installation, "").is_none() {
        return;
    }
    let tree = installation.path("os");
    for (release, tag) in [("october", "2026-10"), ("november", "2026-11")] {
        fs::write(tree.join("etc/release"), release).unwrap();
        installation.run(&["repo", "publish", NAME, &tree.to_string_lossy(), "--tag", tag]);
    }
    let server = installation.serve(None);
    let settings = operating_system::boot_settings(&installation, server.port());
    let files = equipment.write_image(&settings, &installation.directory("image"));
    let user_data = installation.path("user-data");
    for (release, tag) in [("october", "2026-10"), ("november", "2026-11")] {
        fs::write(&user_data, format!("[boot]\ntag = '{tag}'\n")).unwrap();
        let mut settings = files.machine("");
        settings.user_data = Some(user_data.clone());
        let mut machine = Machine::start(&settings).expect("because QEMU is part of the equipment");
        let console = machine.wait_for_end(LONG);
        assert!(console.contains(&format!("OS: {release}")), "not {release} at {tag}:\n{console}");
    }
}
