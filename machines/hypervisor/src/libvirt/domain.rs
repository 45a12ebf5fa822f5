//! A machine as libvirt's XML. Pure: whatever somebody chose goes through the writer, which quotes it.

use std::io;

use quick_xml::Writer;
use quick_xml::events::BytesText;

use crate::directory::Home;
use crate::hypervisor::{Accelerator, ForwardedPort};
use crate::image_format::ImageFormat;
use crate::qemu::firmware::Uefi;
use crate::qemu::made::{Made, disk_file};
use crate::spec::{Boot, Network};

/// Where the network's card is: far from where libvirt puts what it knows.
const NETWORK_SLOT: &str = "0x10";

/// How a machine is started this time.
pub(super) struct Domain<'a> {
    pub(super) home: &'a Home,
    pub(super) made: &'a Made,
    pub(super) accelerator: &'a Accelerator,
    pub(super) ports: &'a [ForwardedPort],
    pub(super) uefi: Option<&'a Uefi>,
}

type Xml = Writer<Vec<u8>>;

impl Domain<'_> {
    /// The document.
    pub(super) fn xml(&self) -> io::Result<Vec<u8>> {
        let mut xml = Writer::new_with_indent(Vec::new(), b' ', 2);
        let kind = if self.accelerator.kvm { "kvm" } else { "qemu" };
        xml.create_element("domain")
            .with_attribute(("type", kind))
            .with_attribute(("xmlns:qemu", "http://libvirt.org/schemas/domain/qemu/1.0"))
            .write_inner_content(|xml| self.contents(xml))?;
        Ok(xml.into_inner())
    }

    fn contents(&self, xml: &mut Xml) -> io::Result<()> {
        let (spec, definition) = (self.home.spec(), self.home.definition());
        text(xml, "name", &super::domain_name(self.home))?;
        text(xml, "uuid", &definition.id)?;
        xml.create_element("memory")
            .with_attribute(("unit", "MiB"))
            .write_text_content(BytesText::new(&spec.memory.number().to_string()))?;
        text(xml, "vcpu", &spec.cores.to_string())?;
        self.configuration(xml)?;
        self.boot(xml)?;
        xml.create_element("features").write_inner_content(|xml| {
            xml.create_element("acpi").write_empty()?;
            xml.create_element("apic").write_empty()?;
            Ok(())
        })?;
        let mode = if self.accelerator.kvm { "host-passthrough" } else { "maximum" };
        xml.create_element("cpu").with_attribute(("mode", mode)).write_empty()?;
        for (event, action) in [("on_poweroff", "destroy"), ("on_reboot", "restart"), ("on_crash", "destroy")]
        {
            text(xml, event, action)?;
        }
        xml.create_element("devices").write_inner_content(|xml| self.devices(xml))?;
        self.network(xml)
    }

    /// User data and metadata.
    fn configuration(&self, xml: &mut Xml) -> io::Result<()> {
        let spec = self.home.spec();
        let files = [
            ("meta-data", true),
            ("user-data", !spec.user_data.is_empty()),
            ("identity", !spec.identity.is_empty()),
        ];
        xml.create_element("sysinfo").with_attribute(("type", "fwcfg")).write_inner_content(|xml| {
            for (file, _) in files.iter().filter(|(_, there)| *there) {
                xml.create_element("entry")
                    .with_attribute(("name", format!("opt/varve/{file}").as_str()))
                    .with_attribute(("file", path(self.home, file).as_str()))
                    .write_empty()?;
            }
            Ok(())
        })?;
        Ok(())
    }

    fn boot(&self, xml: &mut Xml) -> io::Result<()> {
        xml.create_element("os").write_inner_content(|xml| {
            xml.create_element("type")
                .with_attribute(("arch", "x86_64"))
                .with_attribute(("machine", self.made.machine_type.as_str()))
                .write_text_content(BytesText::new("hvm"))?;
            if let Some(uefi) = self.uefi {
                xml.create_element("loader")
                    .with_attribute(("readonly", "yes"))
                    .with_attribute(("type", "pflash"))
                    .write_text_content(BytesText::new(&uefi.code.to_string_lossy()))?;
                text(xml, "nvram", &path(self.home, "variables.raw"))?;
            }
            if let Boot::Kernel(boot) = &self.home.spec().boot {
                text(xml, "kernel", &path(self.home, "kernel"))?;
                if boot.initramfs.is_some() {
                    text(xml, "initrd", &path(self.home, "initramfs"))?;
                }
                text(xml, "cmdline", &boot.command_line)?;
            }
            Ok(())
        })?;
        Ok(())
    }

    fn devices(&self, xml: &mut Xml) -> io::Result<()> {
        let mut letters = 'a'..='z';
        let mut target = || format!("vd{}", letters.next().unwrap_or('z'));
        for (node, backing) in self.made.own_images(self.home) {
            if node == "variables" || node == "memory" {
                continue;
            }
            let disk = Disk {
                file: &path(self.home, &disk_file(&node)),
                format: "qcow2",
                backing: backing
                    .as_ref()
                    .map(|image| (image.format.driver(), image.path.to_string_lossy().into_owned())),
                target: &target(),
                serial: &node,
                read_only: false,
                boots: node == "system",
            };
            disk.write(xml)?;
        }
        for (number, image) in self.made.disks.iter().enumerate() {
            let disk = Disk {
                file: &image.path.to_string_lossy(),
                format: image.format.driver(),
                backing: None,
                target: &target(),
                serial: &format!("disk{number}"),
                read_only: self.home.spec().disks.get(number).is_none_or(|disk| disk.read_only),
                boots: false,
            };
            disk.write(xml)?;
        }
        let seed = Disk {
            file: &path(self.home, "seed.img"),
            format: "raw",
            backing: None,
            target: &target(),
            serial: "cidata",
            read_only: true,
            boots: false,
        };
        seed.write(xml)?;
        if let Some(base) = self.made.base.as_ref().filter(|base| base.format == ImageFormat::Iso) {
            cd(xml, &base.path.to_string_lossy())?;
        }
        xml.create_element("controller")
            .with_attribute(("type", "usb"))
            .with_attribute(("model", "none"))
            .write_empty()?;
        xml.create_element("serial").with_attribute(("type", "pty")).write_inner_content(|xml| {
            xml.create_element("log")
                .with_attribute(("file", path(self.home, "console.log").as_str()))
                .with_attribute(("append", "on"))
                .write_empty()?;
            Ok(())
        })?;
        xml.create_element("memballoon").with_attribute(("model", "none")).write_empty()?;
        xml.create_element("rng").with_attribute(("model", "virtio")).write_inner_content(|xml| {
            xml.create_element("backend")
                .with_attribute(("model", "random"))
                .write_text_content(BytesText::new("/dev/urandom"))?;
            Ok(())
        })?;
        xml.create_element("video").write_inner_content(|xml| {
            xml.create_element("model").with_attribute(("type", "vga")).write_empty()?;
            Ok(())
        })?;
        Ok(())
    }

    /// Forwarded ports are nothing that libvirt has a word for, unless another program is installed.
    fn network(&self, xml: &mut Xml) -> io::Result<()> {
        if matches!(self.home.spec().network, Network::Off) {
            return Ok(());
        }
        let mut user = "user,id=network".to_owned();
        for port in self.ports {
            user += &format!(",hostfwd={}:{}:{}-:{}", port.protocol, port.address, port.host, port.guest);
        }
        let mac = self.home.definition().mac();
        let device = format!("virtio-net-pci,netdev=network,mac={mac},bus=pcie.0,addr={NETWORK_SLOT}");
        xml.create_element("qemu:commandline").write_inner_content(|xml| {
            for word in ["-netdev", user.as_str(), "-device", device.as_str()] {
                xml.create_element("qemu:arg").with_attribute(("value", word)).write_empty()?;
            }
            Ok(())
        })?;
        Ok(())
    }
}

/// A disk.
struct Disk<'a> {
    file: &'a str,
    format: &'a str,
    backing: Option<(&'static str, String)>,
    target: &'a str,
    serial: &'a str,
    read_only: bool,
    boots: bool,
}

impl Disk<'_> {
    fn write(&self, xml: &mut Xml) -> io::Result<()> {
        xml.create_element("disk")
            .with_attribute(("type", "file"))
            .with_attribute(("device", "disk"))
            .write_inner_content(|xml| {
                xml.create_element("driver")
                    .with_attribute(("name", "qemu"))
                    .with_attribute(("type", self.format))
                    .write_empty()?;
                source(xml, self.file)?;
                // Told in full, so that nothing is looked for in the image itself.
                match &self.backing {
                    None => xml.create_element("backingStore").write_empty()?,
                    Some((format, file)) => xml
                        .create_element("backingStore")
                        .with_attribute(("type", "file"))
                        .write_inner_content(|xml| {
                            xml.create_element("format").with_attribute(("type", *format)).write_empty()?;
                            source(xml, file)?;
                            xml.create_element("backingStore").write_empty()?;
                            Ok(())
                        })?,
                };
                xml.create_element("target")
                    .with_attribute(("dev", self.target))
                    .with_attribute(("bus", "virtio"))
                    .write_empty()?;
                if self.read_only {
                    xml.create_element("readonly").write_empty()?;
                }
                text(xml, "serial", self.serial)?;
                if self.boots {
                    xml.create_element("boot").with_attribute(("order", "1")).write_empty()?;
                }
                Ok(())
            })?;
        Ok(())
    }
}

fn cd(xml: &mut Xml, file: &str) -> io::Result<()> {
    xml.create_element("disk")
        .with_attribute(("type", "file"))
        .with_attribute(("device", "cdrom"))
        .write_inner_content(|xml| {
            xml.create_element("driver")
                .with_attribute(("name", "qemu"))
                .with_attribute(("type", "raw"))
                .write_empty()?;
            source(xml, file)?;
            xml.create_element("target")
                .with_attribute(("dev", "sda"))
                .with_attribute(("bus", "sata"))
                .write_empty()?;
            xml.create_element("readonly").write_empty()?;
            xml.create_element("boot").with_attribute(("order", "1")).write_empty()?;
            Ok(())
        })?;
    Ok(())
}

fn source(xml: &mut Xml, file: &str) -> io::Result<()> {
    xml.create_element("source").with_attribute(("file", file)).write_empty()?;
    Ok(())
}

fn text(xml: &mut Xml, element: &str, text: &str) -> io::Result<()> {
    xml.create_element(element).write_text_content(BytesText::new(text))?;
    Ok(())
}

/// A file in the machine's directory.
fn path(home: &Home, file: &str) -> String {
    home.path(file).to_string_lossy().into_owned()
}
