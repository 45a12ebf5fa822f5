//! Virtual machines that don't outlive their test: plain QEMU, in emulation, so that they run on every host.
//!
//! It stands apart from Varve's own way to run machines, which is itself under test.

use std::fs::{self, File};
use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{ChildStdin, Command, Stdio};
use std::time::{Duration, Instant};

use crate::{ProcessGuard, Scratch, wait_for};

/// The program.
const QEMU: &str = "qemu-system-x86_64";
/// UEFI, as Debian installs it.
const UEFI: &str = "/usr/share/OVMF/OVMF_CODE_4M.fd";
/// Empty variables for it.
const UEFI_VARIABLES: &str = "/usr/share/OVMF/OVMF_VARS_4M.fd";
/// How often a machine is started whose ports were taken by others.
const TRIALS: u32 = 5;

/// What a machine is.
#[derive(Clone, Debug, Default)]
pub struct MachineSettings {
    /// Memory in units of 2^20 bytes; 512 if 0.
    pub memory: u32,
    /// Processors; 1 if 0.
    pub cores: u32,
    /// Kernel, first file system, command line; in place of an image.
    pub kernel: Option<(PathBuf, PathBuf, String)>,
    /// An image to start from as from a CD.
    pub cd: Option<PathBuf>,
    /// Raw images, written to; started from the first if there is no kernel and no CD.
    pub disks: Vec<PathBuf>,
    /// UEFI in place of the BIOS.
    pub uefi: bool,
    /// A file for `opt/varve/user-data`.
    pub user_data: Option<PathBuf>,
    /// Ports of the machine, to which free ports of this host lead.
    pub ports: Vec<u16>,
    /// More arguments for QEMU.
    pub arguments: Vec<String>,
}

/// A running machine. On drop it ends as by a power cut; its disks stay.
pub struct Machine {
    process: ProcessGuard,
    typed: ChildStdin,
    ports: Vec<(u16, u16)>,
    scratch: Scratch,
}

impl Machine {
    /// Starts a machine; `None`, with the reason printed, without QEMU, or UEFI where that is wanted.
    ///
    /// # Panics
    /// If QEMU doesn't start, and under `CI` where it isn't there.
    pub fn start(settings: &MachineSettings) -> Option<Self> {
        let version = Command::new(QEMU).arg("--version").stdout(Stdio::null()).status();
        let missing = if version.is_err() {
            format!("no {QEMU}; apt install qemu-system-x86")
        } else if settings.uefi && !Path::new(UEFI).exists() {
            format!("no {UEFI}; apt install ovmf")
        } else {
            return Some(Self::started(settings));
        };
        assert!(std::env::var_os("CI").is_none(), "{missing}");
        println!("skipped: {missing}");
        None
    }

    fn started(settings: &MachineSettings) -> Self {
        for _ in 0..TRIALS {
            let mut machine = Self::spawn(settings);
            // QEMU opens its monitor once it has its ports.
            let socket = machine.scratch.join("monitor");
            let ready = wait_for("QEMU", Duration::from_secs(60), || {
                let ended = machine.process.wait(Duration::ZERO).expect("because it is our child");
                if ended.is_some() { Some(false) } else { UnixStream::connect(&socket).ok().map(|_| true) }
            });
            if ready && machine.process.wait(Duration::from_millis(50)).is_ok_and(|ended| ended.is_none()) {
                return machine;
            }
            let said = fs::read_to_string(machine.scratch.join("said")).unwrap_or_default();
            assert!(said.contains("host forwarding rule"), "QEMU did not start: {said}");
        }
        panic!("the ports of a machine were taken {TRIALS} times");
    }

    fn spawn(settings: &MachineSettings) -> Self {
        let scratch = Scratch::new();
        let ports: Vec<(u16, u16)> = settings.ports.iter().map(|&port| (port, free_port())).collect();
        let create = |name: &str| File::create(scratch.join(name)).expect("because it is writable");
        let mut command = Command::new(QEMU);
        command.args(arguments(settings, &ports, &scratch)).current_dir(scratch.path());
        command.stdin(Stdio::piped()).stdout(create("console")).stderr(create("said"));
        let mut process = ProcessGuard::start(&mut command).expect("because QEMU is there");
        let typed = process.child().stdin.take().expect("because it is a pipe");
        Self { process, typed, ports, scratch }
    }

    /// What the machine has written to its serial console, its lines ended as elsewhere.
    pub fn console(&self) -> String {
        let console = fs::read(self.scratch.join("console")).unwrap_or_default();
        String::from_utf8_lossy(&console).replace('\r', "")
    }

    /// Waits until `text` is on the serial console, and returns everything that is there.
    ///
    /// # Panics
    /// If the machine ends before, or it isn't there within `limit`; the end of the console is shown.
    pub fn wait_for_text(&mut self, text: &str, limit: Duration) -> String {
        let end = Instant::now() + limit;
        loop {
            let ended = self.process.wait(Duration::from_millis(50)).expect("because it is our child");
            let console = self.console();
            if console.contains(text) {
                return console;
            }
            let shown = last(&console);
            assert!(ended.is_none(), "the machine ended before it wrote '{text}':\n{shown}");
            assert!(Instant::now() < end, "no '{text}' on the console within {limit:?}:\n{shown}");
        }
    }

    /// Types at the serial console.
    ///
    /// # Panics
    /// If the machine has ended.
    pub fn type_text(&mut self, text: &str) {
        self.typed.write_all(text.as_bytes()).expect("because the machine runs");
    }

    /// The port of this host that leads to `port` of the machine.
    ///
    /// # Panics
    /// If none does.
    pub fn port(&self, port: u16) -> u16 {
        let found = self.ports.iter().find(|(guest, _)| *guest == port);
        found.unwrap_or_else(|| panic!("no port leads to {port}")).1
    }

    /// Pulls the network cable, or plugs it in.
    ///
    /// # Panics
    /// If the machine has ended.
    pub fn set_link(&self, up: bool) {
        self.command(if up { "set_link network on" } else { "set_link network off" });
    }

    /// Tells QEMU's monitor. It prompts twice, for the command and behind it: whoever leaves before that is not heard.
    fn command(&self, command: &str) {
        let mut monitor = UnixStream::connect(self.scratch.join("monitor")).expect("because it runs");
        monitor.write_all(format!("{command}\n").as_bytes()).expect("because it runs");
        let mut said = String::new();
        let mut bytes = [0; 256];
        while said.matches("(qemu) ").count() < 2 {
            let length = monitor.read(&mut bytes).expect("because it runs");
            assert_ne!(length, 0, "the machine has ended: {said}");
            said += &String::from_utf8_lossy(&bytes[..length]);
        }
    }

    /// Waits until the machine has switched itself off, and returns what it wrote to its console.
    ///
    /// # Panics
    /// If it hasn't within `limit`.
    pub fn wait_for_end(&mut self, limit: Duration) -> String {
        let ended = self.process.wait(limit).expect("because it is our child");
        assert!(ended.is_some(), "the machine still runs after {limit:?}:\n{}", last(&self.console()));
        self.console()
    }

    /// Ends the machine as a power cut would, and returns what it wrote to its console. What it had not flushed to its disks is
    /// lost as far as the host's QEMU had it.
    ///
    /// # Panics
    /// If it can't be ended.
    pub fn power_cut(mut self) -> String {
        self.process.kill().expect("because it is our child");
        self.console()
    }
}

fn arguments(settings: &MachineSettings, ports: &[(u16, u16)], scratch: &Scratch) -> Vec<String> {
    let or = |number: u32, otherwise: u32| if number == 0 { otherwise } else { number };
    let quoted = |path: &Path| path.to_string_lossy().replace(',', ",,");
    let mut words = Vec::new();
    let mut option = |name: &str, value: String| words.extend([name.to_owned(), value]);
    option("-machine", "q35,accel=tcg".to_owned());
    option("-cpu", "max".to_owned());
    option("-m", format!("{}M", or(settings.memory, 512)));
    option("-smp", or(settings.cores, 1).to_string());
    option("-display", "none".to_owned());
    option("-chardev", "stdio,id=console,signal=off".to_owned());
    option("-serial", "chardev:console".to_owned());
    option("-monitor", "unix:monitor,server=on,wait=off".to_owned());
    option("-device", "VGA".to_owned());
    option("-device", "virtio-rng-pci".to_owned());
    let mut user = "user,id=network".to_owned();
    for (guest, host) in ports {
        user += &format!(",hostfwd=tcp:127.0.0.1:{host}-:{guest}");
    }
    option("-netdev", user);
    option("-device", "virtio-net-pci,netdev=network".to_owned());
    if settings.uefi {
        fs::copy(UEFI_VARIABLES, scratch.join("variables")).expect("because it is installed");
        option("-drive", format!("if=pflash,format=raw,readonly=on,file={UEFI}"));
        option("-drive", "if=pflash,format=raw,file=variables".to_owned());
    }
    if let Some((kernel, initramfs, command_line)) = &settings.kernel {
        option("-kernel", kernel.to_string_lossy().into_owned());
        option("-initrd", initramfs.to_string_lossy().into_owned());
        option("-append", command_line.clone());
    }
    if let Some(cd) = &settings.cd {
        option("-drive", format!("if=none,id=cd,format=raw,readonly=on,media=cdrom,file={}", quoted(cd)));
        option("-device", "ide-cd,drive=cd,bus=ide.0,bootindex=0".to_owned());
    }
    for (number, disk) in settings.disks.iter().enumerate() {
        // Written data are in the host's hands at once, so that a power cut is one.
        let file = quoted(disk);
        option("-drive", format!("if=none,id=disk{number},format=raw,cache=writethrough,file={file}"));
        let place = number + 1;
        option("-device", format!("virtio-blk-pci,drive=disk{number},serial=disk{number},bootindex={place}"));
    }
    if let Some(user_data) = &settings.user_data {
        option("-fw_cfg", format!("name=opt/varve/user-data,file={}", quoted(user_data)));
    }
    words.push("-nodefaults".to_owned());
    words.extend(settings.arguments.iter().cloned());
    words
}

fn free_port() -> u16 {
    let listener = TcpListener::bind(("127.0.0.1", 0)).expect("because there are free ports");
    listener.local_addr().expect("because it is bound").port()
}

/// The end of a long text.
fn last(text: &str) -> &str {
    let at = text.char_indices().rev().nth(4000).map_or(0, |(at, _)| at);
    &text[at..]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Guest;

    #[test]
    fn a_machine_writes_listens_and_is_cut_off() {
        let Some(guest) = Guest::find() else { return };
        let scratch = Scratch::new();
        let initramfs = scratch.join("initramfs");
        guest.initramfs(&initramfs, &["virtio_blk"], "echo SAYS $(head -c 5 /dev/vda)");
        let disk = scratch.join("disk,with=comma");
        fs::write(&disk, [b'x'; 4096]).expect("because it is writable");
        let settings = MachineSettings {
            kernel: Some((guest.kernel().to_owned(), initramfs, "console=ttyS0 quiet".to_owned())),
            memory: 128,
            disks: vec![disk.clone()],
            ports: vec![22],
            ..MachineSettings::default()
        };
        let mut machine = Machine::start(&settings).expect("because the guest is there");
        let limit = Duration::from_secs(120);
        machine.wait_for_text("SAYS xxxxx", limit);
        assert_ne!(machine.port(22), 0);
        machine.type_text("echo written > /dev/vda; sync; echo it-is-$((1 + 1))\n");
        machine.wait_for_text("it-is-2", limit);
        machine.power_cut();
        assert!(fs::read(&disk).expect("because it is there").starts_with(b"written\n"));
        let mut machine = Machine::start(&settings).expect("because the guest is there");
        machine.wait_for_text("SAYS writt", limit);
        machine.type_text("poweroff -f\n");
        machine.wait_for_end(limit);
    }
}
