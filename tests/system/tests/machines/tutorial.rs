//! docs/tutorials/machine.md, typed as it stands there.
//!
//! Only what must differ is replaced: the port, and the name of the server, which machines see as their network's host.

use std::fs;
use std::path::Path;

use varve_system::{Equipment, Installation, Outcome, Server, fuse_is_missing, shell_blocks};
use varve_testkit::TreeBuilder;

const PAGE: &str = include_str!("../../../../docs/tutorials/machine.md");
/// Where the documented server listens.
const LISTEN: &str = "0.0.0.0:8000";
/// What documented machines call it.
const PUBLISHER: &str = "publisher:8000";
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
    let missing: Vec<&str> =
        TOOLS.iter().filter(|(file, _)| !Path::new(file).exists()).map(|(_, package)| *package).collect();
    if !missing.is_empty() {
        assert!(std::env::var_os("CI").is_none(), "CI must have {missing:?}");
        println!("skipped: Debian's packages {missing:?} are not installed");
        return;
    }
    if Equipment::find().is_none() {
        return;
    }
    if fuse_is_missing() {
        return;
    }
    let mut typist = Typist::new();
    for block in shell_blocks(PAGE).expect("because its fences are marked") {
        println!("{block}");
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

/// Who follows the page.
struct Typist {
    installation: Installation,
    server: Option<Server>,
    /// What the commands have printed.
    said: Vec<String>,
}

impl Typist {
    fn new() -> Self {
        let installation = Installation::new();
        TreeBuilder::new(&installation.directory("work/tree"))
            .file("bin/hello", b"#!/bin/sh\necho hello from software.example.org\n")
            .mode("bin/hello", 0o755)
            .finish();
        Self { installation, server: None, said: Vec::new() }
    }

    fn enter(&mut self, block: &str) {
        if let Some(line) = block.lines().find(|line| line.starts_with("varve serve")) {
            let (before, _) = block.split_once(line).expect("because it was found there");
            self.run(before);
            assert!(line.contains(LISTEN), "documented servers listen at {LISTEN}: {line}");
            let line = line.replace(LISTEN, "127.0.0.1:0");
            let command = self.installation.shell(&format!("exec {line}"));
            self.server = Some(self.installation.start_server(command));
            self.bring_keys();
        } else {
            self.run(block);
        }
    }

    fn run(&mut self, script: &str) {
        let script = match &self.server {
            Some(server) => script.replace(PUBLISHER, &format!("10.0.2.2:{}", server.port())),
            None => script.to_owned(),
        };
        let Outcome { code, stdout, stderr } = self.installation.end(self.installation.shell(&script));
        print!("{stdout}{stderr}");
        assert_eq!(code, Some(0), "{script}{}", self.consoles());
        self.said.push(stdout);
        self.said.push(stderr);
    }

    /// What the machines have shown, for whoever looks for a fault.
    fn consoles(&self) -> String {
        self.installation.call(&["vm", "console", "--log", "node1"]).stdout
    }

    /// Public keys come to other machines somehow.
    fn bring_keys(&self) {
        let keys = fs::read_dir(self.installation.path("home/keys")).into_iter().flatten().flatten();
        for key in keys.filter(|key| key.path().extension().is_some_and(|extension| extension == "pub")) {
            let copy = self.installation.path("work").join(key.file_name());
            fs::copy(key.path(), copy).expect("because the scratch directory is writable");
        }
    }
}

impl Drop for Typist {
    fn drop(&mut self) {
        // After a failure: a machine would go on.
        self.installation.call(&["vm", "delete", "--force", "node1"]);
    }
}
