//! docs/tutorials/machine.md, typed as it stands there.

use varve_system::{Equipment, fuse_is_missing, shell_blocks};
use varve_testkit::TreeBuilder;

use crate::packages_are_missing;
use crate::typist::Typist;

const PAGE: &str = include_str!("../../../../docs/tutorials/machine.md");
/// What is needed of Debian, by a file of it.
const TOOLS: [(&str, &str); 6] = [
    ("/usr/bin/mmdebstrap", "mmdebstrap"),
    ("/usr/bin/xorriso", "xorriso"),
    ("/usr/lib/ISOLINUX/isolinux.bin", "isolinux"),
    ("/usr/bin/mcopy", "mtools"),
    ("/usr/sbin/mkfs.vfat", "dosfstools"),
    ("/usr/bin/ssh", "openssh-client"),
];

#[test]
fn from_nothing_to_a_machine_and_to_its_next_version() {
    if packages_are_missing(&TOOLS) {
        return;
    }
    if Equipment::find().is_none() {
        return;
    }
    if fuse_is_missing() {
        return;
    }
    // Machines see their network's host so.
    let mut typist = Typist::new("10.0.2.2");
    TreeBuilder::new(&typist.installation().directory("work/tree"))
        .file("bin/hello", b"#!/bin/sh\necho hello from software.example.org\n")
        .mode("bin/hello", 0o755)
        .finish();
    typist.on_failure = &["vm", "console", "--log", "node1"];
    typist.at_end = &["vm", "delete", "--force", "node1"];
    for block in shell_blocks(PAGE).expect("because its fences are marked") {
        typist.enter(block);
    }
    let said = typist.said.join("");
    for expected in [
        "basic-1",
        "hello from software.example.org",
        "/etc/motd: merged line by line",
        "os.example.org at basic-2",
        "kept: anna's line",
        "brought: a line of version 2",
    ] {
        assert!(said.contains(expected), "'{expected}' is not in what was said:\n{said}");
    }
    let (_, undone) =
        said.rsplit_once("os.example.org at basic (revision 2)").expect("the machine went back");
    assert!(undone.contains("kept: anna's line") && !undone.contains("brought:"), "{undone}");
}
