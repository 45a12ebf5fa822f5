//! A machine with a scratch disk, told what it is by a NoCloud disc: the disk is empty at first and warm at the second boot,
//! which stays at its revision, and outlives cuts of its server and of its network.

use std::fs::{self, File};
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use varve_system::{BootFiles, Equipment, Installation};
use varve_testkit::Machine;

use super::operating_system::{self, NAME};

const LONG: Duration = Duration::from_secs(240);
const DISK: u64 = 1 << 30;

/// Shows what it finds, changes something, and reads a large file when the server is gone and comes back.
const SCRIPT: &str = "
    echo \"OS: name $(cat /etc/hostname) keys $(grep -c . /root/.ssh/authorized_keys)\"
    echo \"OS: boots so far: $(cat /root/boots)\"
    echo x >> /root/boots
    sync
    echo \"OS: $(grep -o '\"hash\": \"[0-9a-f]*\"' /run/varve/boot.json)\"
    if [ $(wc -l < /root/boots) = 2 ]; then
        echo 'OS: waiting for the cut'
        echo \"OS: sum $(md5sum < /usr/large)\"
    fi
    if [ $(wc -l < /root/boots) = 3 ]; then
        echo 'OS: waiting for the cable'
        read line < /dev/console
        echo \"OS: other $(md5sum < /usr/other)\"
    fi
";

struct Lab {
    equipment: Equipment,
    installation: Installation,
    disk: PathBuf,
    disc: PathBuf,
}

impl Lab {
    /// `None`, and it says so, if something is missing.
    fn new() -> Option<Self> {
        let equipment = Equipment::find()?;
        let installation = Installation::new();
        let large = installation.directory("os/usr").join("large");
        fs::write(large, b"large file, large file\n".repeat(40_000)).unwrap();
        fs::write(installation.path("os/usr/other"), b"another one\n".repeat(90_000)).unwrap();
        operating_system::publish(&installation, SCRIPT)?;
        let disk = installation.path("disk");
        File::create(&disk).unwrap().set_len(DISK).unwrap();
        let disc = no_cloud(&installation)?;
        Some(Self { equipment, installation, disk, disc })
    }

    fn boot(&self, files: &BootFiles, words: &str) -> Machine {
        let mut settings = files.machine(words);
        settings.disks = vec![self.disk.clone()];
        let disc = format!("file={},if=virtio,format=raw,readonly=on", self.disc.display());
        settings.arguments.extend(["-drive".to_owned(), disc]);
        Machine::start(&settings).expect("because QEMU is part of the equipment")
    }
}

/// A disc as cloud-init's users make it.
fn no_cloud(installation: &Installation) -> Option<PathBuf> {
    let files = installation.directory("cidata");
    fs::write(files.join("meta-data"), "instance-id: lab-1\nlocal-hostname: by-disc\npublic-keys:\n  - ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ me\n").unwrap();
    fs::write(files.join("user-data"), "#cloud-config\nhostname: by-user\n").unwrap();
    let disc = installation.path("cidata.iso");
    let made = Command::new("xorriso")
        .args(["-as", "mkisofs", "-quiet", "-V", "cidata", "-r", "-o"])
        .args([&disc, &files])
        .output();
    match made {
        Ok(output) if output.status.success() => Some(disc),
        result => {
            assert!(std::env::var_os("CI").is_none(), "xorriso: {result:?}, and CI must have it");
            println!("skipped: xorriso can't be run (Debian: xorriso)");
            None
        }
    }
}

#[test]
fn a_warm_disk_is_used_and_cuts_are_outlived() {
    let Some(lab) = Lab::new() else { return };
    let server = lab.installation.serve(None);
    let port = server.port();
    let settings = operating_system::boot_settings(&lab.installation, port);
    let files = lab.equipment.write_image(&settings, &lab.installation.directory("image"));
    let first = lab.boot(&files, "").wait_for_end(LONG);
    for expected in [
        "scratch disk /dev/vda, which was empty",
        "user data: NoCloud disk",
        "OS: name by-user keys 1",
        "OS: boots so far: ",
        "varve: powering off",
    ] {
        assert!(first.contains(expected), "no '{expected}' in:\n{first}");
    }
    assert!(!first.contains("stays small"), "{first}");
    let hash = |console: &str| {
        let at = console.find("\"hash\": ").expect("because the init shows it");
        console[at..at + 50].to_owned()
    };

    // Something newer is published, and the server is gone: the machine boots all the same, and stays.
    fs::write(lab.installation.path("os/etc/release"), "tiny 2\n").unwrap();
    let tree = lab.installation.path("os");
    lab.installation.run(&["repo".as_ref(), "publish".as_ref(), NAME.as_ref(), tree.as_os_str()]);
    drop(server);
    let mut second = lab.boot(&files, "");
    let console = second.wait_for_text("OS: waiting for the cut", LONG);
    assert!(
        console.contains("scratch disk /dev/vda\n") && console.contains("OS: boots so far: x"),
        "{console}"
    );
    assert!(console.contains("OS: tiny 1"), "{console}");
    assert_eq!(hash(&console), hash(&first));

    // What it reads now was never fetched: it waits until the server is there again.
    let address = format!("127.0.0.1:{port}");
    let _server = lab.installation.start_server(lab.installation.command(&["serve", "--listen", &address]));
    let second = second.wait_for_end(LONG);
    let sum = "OS: sum d2dc3815";
    assert!(second.contains(sum), "no '{sum}' in:\n{second}");
    assert!(second.contains("varve: powering off"), "{second}");

    // Something else is asked for, by its date: the machine moves, and keeps what was changed.
    let mut third = lab.boot(&files, "varve.date=2099-01-01");
    third.wait_for_text("OS: waiting for the cable", LONG);
    // What it is going to read was never fetched, and nobody can be reached until the cable is back.
    third.set_link(false);
    third.type_text("go on\n");
    std::thread::sleep(Duration::from_secs(5));
    assert!(!third.console().contains("OS: other"), "it was read without a network:\n{}", third.console());
    third.set_link(true);
    let third = third.wait_for_end(LONG);
    assert!(third.contains("OS: tiny 2") && third.contains("OS: boots so far: x\nx"), "{third}");
    assert!(third.contains("OS: other e352c110"), "{third}");
}
