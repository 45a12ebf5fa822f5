//! Plans done to a root directory.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};

use varve_context::{Outcome, read};

use super::machine::Machine;

const FIRST: &str = r#"
[machine]
hostname = "node1.example.org"
timezone = "Europe/Zurich"

[[groups]]
name = "physics"
gid = 4000

[[users]]
name = "ada"
full-name = "Ada L."
groups = ["physics", "sudo"]
password = "correct horse"
ssh-keys = ["ssh-ed25519 AAAA ada@example.org"]
admin = true

[[files]]
path = "/etc/motd"
content = "hello\n"
owner = "ada:physics"
mode = "0640"

[[scripts]]
name = "hello"
content = "echo hello"

[services]
enable = ["ssh", "getty@ttyS1"]
mask = ["apt-daily.timer"]

[repositories]
proxy = "http://squid.example.org:3128;DIRECT"
servers = ["http://stratum-1.example.org/cvmfs/@fqrn@"]

[[repositories.mount]]
name = "software.example.org"
keys = ["-----BEGIN PUBLIC KEY-----\nMIIB\n-----END PUBLIC KEY-----\n"]
"#;

#[test]
fn a_document_makes_a_machine() {
    let Some(machine) = Machine::new() else { return };
    machine.become_what(FIRST);
    assert_eq!(machine.text("/etc/hostname"), "node1.example.org\n");
    assert!(machine.text("/etc/hosts").contains("127.0.1.1 node1.example.org node1\n"));
    assert!(machine.text("/etc/passwd").ends_with("ada:x:1000:1000:Ada L.:/home/ada:/bin/bash\n"));
    assert_eq!(
        machine.text("/etc/group"),
        "root:x:0:\ndaemon:x:1:\nsudo:x:27:ada\nphysics:x:4000:ada\nada:x:1000:\n"
    );
    let shadow = machine.text("/etc/shadow");
    let line = shadow.lines().find(|line| line.starts_with("ada:")).unwrap();
    assert!(line.starts_with("ada:$6$") && line.ends_with(":20000:0:99999:7:::"), "{line}");
    let keys = fs::metadata(machine.path("/home/ada/.ssh/authorized_keys")).unwrap();
    assert_eq!((keys.uid(), keys.gid(), keys.mode() & 0o777), (1000, 1000, 0o600));
    let profile = fs::metadata(machine.path("/home/ada/.profile")).unwrap();
    assert_eq!((profile.uid(), profile.gid()), (1000, 1000));
    let message = fs::metadata(machine.path("/etc/motd")).unwrap();
    assert_eq!((message.uid(), message.gid(), message.mode() & 0o777), (1000, 4000, 0o640));
    for link in
        ["multi-user.target.wants/ssh.service", "sshd.service", "getty.target.wants/getty@ttyS1.service"]
    {
        assert!(fs::symlink_metadata(machine.path(&format!("/etc/systemd/system/{link}"))).is_ok(), "{link}");
    }
    let masked = fs::read_link(machine.path("/etc/systemd/system/apt-daily.timer")).unwrap();
    assert_eq!(masked.to_str(), Some("/dev/null"));
    assert!(machine.text("/etc/systemd/system/varve-repository-software.example.org.service").contains(
        "ExecStart=\"/run/varve/varve-guest\" \"mount\" \"software.example.org\" \"/cvmfs/software.example.org\" \"--server\""
    ));
    assert_eq!(machine.text("/var/lib/varve/context/scripts/hello"), "#!/bin/sh\necho hello");
}

#[test]
fn a_password_that_was_chosen_since_stays() {
    let Some(machine) = Machine::new() else { return };
    machine.become_what(FIRST);
    let shadow = machine.text("/etc/shadow");
    let (before, _) = shadow.split_once("ada:").unwrap();
    machine.write("/etc/shadow", &format!("{before}ada:$6$own$choice:20001:0:99999:7:::\n"));
    machine.become_what(FIRST);
    assert!(machine.text("/etc/shadow").contains("ada:$6$own$choice:"));
}

#[test]
fn links_do_not_lead_out_of_the_root() {
    let Some(machine) = Machine::new() else { return };
    let outside = tempfile::TempDir::new().unwrap();
    symlink(outside.path(), machine.path("/etc/ssh")).unwrap();
    symlink(outside.path().join("motd"), machine.path("/etc/motd")).unwrap();
    fs::create_dir(machine.path("/srv")).unwrap();
    symlink("/srv", machine.path("/opt")).unwrap();
    machine.become_what("[machine]\nmessage = \"x\"\n[[files]]\npath = \"/opt/a\"\ncontent = \"y\"\n");
    assert_eq!(machine.text("/etc/motd"), "x");
    assert_eq!(machine.text("/srv/a"), "y");
    let document = read(b"[ssh]\npassword-login = false\n").document;
    let report = document.plan().apply(machine.root(), 20_000).unwrap();
    assert!(matches!(report.outcomes[0], Outcome::Failed { .. }));
    assert_eq!(fs::read_dir(outside.path()).unwrap().count(), 0);
}

#[test]
fn links_in_a_home_directory_are_not_followed() {
    let Some(machine) = Machine::new() else { return };
    machine.become_what("[[users]]\nname = \"eve\"\n");
    fs::create_dir_all(machine.path("/root/.ssh")).unwrap();
    symlink("/root/.ssh", machine.path("/home/eve/.ssh")).unwrap();
    let document = read(b"[[users]]\nname = \"eve\"\nssh-keys = [\"ssh-ed25519 AAAA\"]\n").document;
    let report = document.plan().apply(machine.root(), 20_000).unwrap();
    assert!(matches!(report.outcomes.last(), Some(Outcome::Failed { .. })));
    assert_eq!(fs::read_dir(machine.path("/root/.ssh")).unwrap().count(), 0);
}

#[test]
fn a_file_of_mode_0600_is_never_readable_by_others() {
    let Some(machine) = Machine::new() else { return };
    machine.become_what("[[files]]\npath = \"/etc/a/key\"\nsecret = \"s\"\n");
    let mode = fs::metadata(machine.path("/etc/a/key")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}
