//! A machine as QEMU's command line. Pure.
//!
//! Whatever somebody else chose is JSON or a whole argument, but for checked names and numbers; files that stand in QEMU's own
//! `key=value,…` syntax lie in the machine's directory, which is the working directory, under names of ours.

use serde_json::{Value, json};

use super::disk::BackingImage;
use super::firmware::Uefi;
use super::made::{Made, disk_file};
use crate::directory::Home;
use crate::hypervisor::{Accelerator, ForwardedPort};
use crate::image_format::ImageFormat;
use crate::spec::{Boot, MetadataSource, Network};

/// Where the user data are found by a guest that looks into QEMU's firmware configuration.
const USER_DATA: &str = "opt/varve/user-data";
/// Likewise, the keys that open what is sealed in them.
const IDENTITY: &str = "opt/varve/identity";
/// Likewise, the name and keys of the machine.
const METADATA: &str = "opt/varve/meta-data";

/// How a machine is started this time.
pub(super) struct Starting<'a> {
    pub(super) home: &'a Home,
    pub(super) made: &'a Made,
    pub(super) accelerator: &'a Accelerator,
    pub(super) ports: &'a [ForwardedPort],
    pub(super) uefi: Option<&'a Uefi>,
    /// To wait for memory that was saved.
    pub(super) incoming: bool,
}

impl Starting<'_> {
    /// All arguments.
    pub(super) fn arguments(&self) -> Vec<String> {
        let mut line = Line::default();
        self.machine(&mut line);
        self.lines(&mut line);
        self.disks(&mut line);
        self.network(&mut line);
        self.boot(&mut line);
        if self.incoming {
            line.option("-incoming", "defer");
            line.words.push("-S".to_owned());
        }
        line.words
    }

    /// Whether the machine asks a server what it is to become.
    fn has_server(&self) -> bool {
        matches!(self.home.spec().metadata, MetadataSource::Server { .. })
    }

    fn machine(&self, line: &mut Line) {
        let (spec, definition) = (self.home.spec(), self.home.definition());
        line.option("-name", format!("guest={}", spec.name));
        line.option("-uuid", &definition.id);
        if self.has_server() {
            // By this systems know what kind of metadata server they may ask.
            let id = &definition.id;
            line.option("-smbios", format!("type=1,manufacturer=Amazon EC2,serial={id},uuid={id}"));
        }
        let pflash = if self.uefi.is_some() { ",pflash0=code,pflash1=variables" } else { "" };
        let accelerator = self.accelerator.as_str();
        line.option("-machine", format!("{},accel={accelerator}{pflash}", self.made.machine_type));
        line.option("-cpu", if self.accelerator.kvm { "host" } else { "max" });
        line.option("-smp", spec.cores.to_string());
        line.option("-m", format!("{}M", spec.memory.number()));
        line.words.extend(["-nodefaults", "-no-user-config"].map(str::to_owned));
        line.option("-display", "none");
        line.option("-rtc", "base=utc");
        line.option("-pidfile", super::process::FILE);
        // What a guest that took QEMU over could do is made less. The relay to a metadata server is a program of its own, though,
        // and begins a session, which counts as a privilege there.
        let rest = if self.has_server() { "allow" } else { "deny" };
        line.option(
            "-sandbox",
            format!("on,obsolete=deny,resourcecontrol=deny,elevateprivileges={rest},spawn={rest}"),
        );
        line.device(&json!({ "driver": "VGA" }));
        line.device(&json!({ "driver": "virtio-rng-pci" }));
    }

    /// The monitor and the serial console.
    fn lines(&self, line: &mut Line) {
        let monitor = format!("socket,id=monitor,path={},server=on,wait=off", super::MONITOR);
        line.option("-chardev", monitor);
        line.option("-mon", "chardev=monitor,mode=control");
        line.option(
            "-chardev",
            "socket,id=console,path=console.socket,server=on,wait=off,logfile=console.log,logappend=on",
        );
        line.option("-serial", "chardev:console");
    }

    fn disks(&self, line: &mut Line) {
        if let Some(uefi) = self.uefi {
            let file = json!({ "driver": "file", "filename": uefi.code, "read-only": true });
            line.node(&json!({ "driver": "raw", "node-name": "code", "read-only": true, "file": file }));
        }
        if let Some(base) = &self.made.base {
            self.system(line, base);
        }
        for (node, backing) in self.made.own_images(self.home) {
            let mut image = self.own(&node);
            image["backing"] = backing.as_ref().map_or(Value::Null, BackingImage::node);
            line.node(&image);
            if let Some(number) = node.strip_prefix("scratch") {
                line.device(&json!({
                    "driver": "virtio-blk-pci", "drive": node, "serial": format!("scratch{number}")
                }));
            }
        }
        for (number, disk) in self.made.disks.iter().enumerate() {
            let read_only = self.home.spec().disks.get(number).is_none_or(|disk| disk.read_only);
            let mut node = disk.node();
            node["node-name"] = format!("disk{number}").into();
            node["read-only"] = read_only.into();
            node["file"]["read-only"] = read_only.into();
            line.node(&node);
            line.device(&json!({
                "driver": "virtio-blk-pci", "drive": format!("disk{number}"), "serial": format!("disk{number}")
            }));
        }
        if self.has_server() {
            return;
        }
        let file = json!({ "driver": "file", "filename": self.home.path("seed.img"), "read-only": true });
        line.node(&json!({ "driver": "raw", "node-name": "seed", "read-only": true, "file": file }));
        line.device(&json!({ "driver": "virtio-blk-pci", "drive": "seed", "serial": "cidata" }));
    }

    /// What the machine starts from.
    fn system(&self, line: &mut Line, base: &BackingImage) {
        if base.format == ImageFormat::Iso {
            let mut node = base.node();
            node["node-name"] = "system".into();
            line.node(&node);
            line.device(&json!({ "driver": "ide-cd", "bus": "ide.0", "drive": "system", "bootindex": 0 }));
        } else {
            line.device(&json!({ "driver": "virtio-blk-pci", "drive": "system", "bootindex": 0 }));
        }
    }

    /// An image in the machine's directory that the machine writes to.
    fn own(&self, node: &str) -> Value {
        let file = json!({
            "driver": "file", "filename": self.home.path(&disk_file(node)), "discard": "unmap"
        });
        json!({ "driver": "qcow2", "node-name": node, "discard": "unmap", "file": file })
    }

    fn network(&self, line: &mut Line) {
        if matches!(self.home.spec().network, Network::Off) {
            return;
        }
        let mut user = "user,id=network".to_owned();
        if self.has_server() {
            // The server's address must be in the machine's own network, else it is looked for on the host's.
            let (relay, socket) = (MetadataSource::RELAY, MetadataSource::SOCKET);
            user += &format!(",net=169.254.0.0/16,guestfwd=tcp:169.254.169.254:80-cmd:./{relay} {socket}");
        }
        for port in self.ports {
            user += &format!(",hostfwd={}:{}:{}-:{}", port.protocol, port.address, port.host, port.guest);
        }
        line.option("-netdev", user);
        let mac = self.home.definition().mac();
        line.device(&json!({ "driver": "virtio-net-pci", "netdev": "network", "mac": mac }));
    }

    fn boot(&self, line: &mut Line) {
        if let Boot::Kernel(boot) = &self.home.spec().boot {
            line.option("-kernel", "kernel");
            if boot.initramfs.is_some() {
                line.option("-initrd", "initramfs");
            }
            line.option("-append", &boot.command_line);
        }
        if self.has_server() {
            return;
        }
        line.option("-fw_cfg", format!("name={METADATA},file=meta-data"));
        if !self.home.spec().user_data.is_empty() {
            line.option("-fw_cfg", format!("name={USER_DATA},file=user-data"));
        }
        if !self.home.spec().identity.is_empty() {
            line.option("-fw_cfg", format!("name={IDENTITY},file=identity"));
        }
    }
}

/// A command line that grows. QEMU itself makes nodes before the devices that use them.
#[derive(Default)]
struct Line {
    words: Vec<String>,
}

impl Line {
    fn option(&mut self, name: &str, value: impl Into<String>) {
        self.words.extend([name.to_owned(), value.into()]);
    }

    fn node(&mut self, node: &Value) {
        self.option("-blockdev", node.to_string());
    }

    fn device(&mut self, device: &Value) {
        self.option("-device", device.to_string());
    }
}
