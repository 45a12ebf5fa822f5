//! A machine that lives no longer than the process that started it, and of which nothing lies on a disk: a kernel, a first file
//! system, and channels to this process.
//!
//! Three things end it with its process, however that ends: the kernel's own signal at the death of a parent; the guest, which
//! sees its channels close; and whoever drops it.

use std::io;
use std::os::fd::{AsFd as _, AsRawFd as _, OwnedFd};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use rustix::io::{FdFlags, fcntl_setfd};

use crate::error::HypervisorError;
use crate::hypervisor::{Accelerator, AcceleratorChoice};
use crate::qemu::{self, accelerator};
use crate::spec::Megabytes;

/// Starts a program that is killed when its parent dies.
const LEASH: &str = "setpriv";
/// So many channels go through one device; its first is for a console.
const PORTS_EACH: usize = 30;

/// What such a machine is.
#[derive(Debug)]
pub struct Transient {
    /// A Linux kernel.
    pub kernel: PathBuf,
    /// Its first file system.
    pub initramfs: PathBuf,
    /// Its command line.
    pub command_line: String,
    /// Virtual processors.
    pub cores: u16,
    /// Memory.
    pub memory: Megabytes,
    /// Whether it reaches what this user reaches; the addresses are those of [`Transient::ADDRESS`] and the ones beside it.
    pub network: bool,
    /// Connected sockets, each with the name by which the guest finds it.
    pub channels: Vec<(String, OwnedFd)>,
    /// A connected socket for what the machine writes to its serial console, and for what QEMU says.
    pub console: OwnedFd,
}

/// One that runs. It ends when this is dropped.
#[derive(Debug)]
pub struct RunningTransient {
    process: Child,
    accelerator: Accelerator,
}

impl Transient {
    /// The machine's address, in the form of Linux's `ip=`, with its name server.
    pub const ADDRESS: &str = "ip=10.0.2.15/24::10.0.2.2 nameserver=10.0.2.3";

    /// Starts it; what is found out about the host is kept in the directory `cache`. To be called by a thread that lives as long
    /// as the machine is to.
    ///
    /// # Errors
    /// [`HypervisorError`] if QEMU can't be started, or what was chosen can't be had.
    pub fn start(self, choice: AcceleratorChoice, cache: &Path) -> Result<RunningTransient, HypervisorError> {
        let accelerator = accelerator::choose(choice, cache)?;
        let failed = |source| HypervisorError::io("use", Path::new("the console of a machine"))(source);
        let said = self.console.try_clone().map_err(failed)?;
        let mut command = Command::new(LEASH);
        command.args(["--pdeathsig", "KILL", qemu::PROGRAM]).args(self.arguments(&accelerator));
        // Signals of this terminal are not for it.
        command.process_group(0).stdin(Stdio::null()).stdout(Stdio::null()).stderr(said);
        let inherited = self.channels.iter().map(|(_, channel)| channel).chain([&self.console]);
        for descriptor in inherited {
            fcntl_setfd(descriptor, FdFlags::empty()).map_err(|errno| failed(errno.into()))?;
        }
        let process = command.spawn().map_err(qemu::missing(LEASH, "util-linux"))?;
        Ok(RunningTransient { process, accelerator })
    }

    /// No word of anybody else stands in QEMU's own syntax: names of channels are ours, paths are arguments of their own.
    fn arguments(&self, accelerator: &Accelerator) -> Vec<std::ffi::OsString> {
        let mut line: Vec<std::ffi::OsString> = Vec::new();
        let mut option = |name: &str, value: &dyn AsRef<std::ffi::OsStr>| {
            line.extend([name.into(), value.as_ref().to_owned()]);
        };
        option("-machine", &format!("q35,accel={}", accelerator.as_str()));
        option("-cpu", &if accelerator.kvm { "host" } else { "max" });
        option("-smp", &self.cores.to_string());
        option("-m", &format!("{}M", self.memory.number()));
        option("-display", &"none");
        option("-rtc", &"base=utc");
        option("-sandbox", &"on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny");
        option("-kernel", &self.kernel);
        option("-initrd", &self.initramfs);
        option("-append", &self.command_line);
        option("-chardev", &format!("socket,id=console,fd={}", self.console.as_fd().as_raw_fd()));
        option("-serial", &"chardev:console");
        option("-device", &"virtio-rng-pci");
        for (number, (name, channel)) in self.channels.iter().enumerate() {
            let (device, port) = (number / PORTS_EACH, number % PORTS_EACH + 1);
            if port == 1 {
                option("-device", &format!("virtio-serial-pci,id=serial{device},max_ports=31"));
            }
            let descriptor = channel.as_fd().as_raw_fd();
            option("-chardev", &format!("socket,id=channel{number},fd={descriptor}"));
            let place = format!("bus=serial{device}.0,nr={port},chardev=channel{number},name={name}");
            option("-device", &format!("virtserialport,{place}"));
        }
        if self.network {
            option("-netdev", &"user,id=network,ipv6=off");
            // Nothing is started over the network, and the file for that may not be installed.
            option("-device", &"virtio-net-pci,netdev=network,romfile=");
        }
        line.extend(["-nodefaults", "-no-user-config", "-no-reboot"].map(Into::into));
        line
    }
}

impl RunningTransient {
    /// What executes its instructions, and why.
    pub fn accelerator(&self) -> &Accelerator {
        &self.accelerator
    }

    /// Ends it at once, and waits until it is gone.
    ///
    /// # Errors
    /// If the system doesn't let this process wait.
    pub fn end(&mut self) -> io::Result<()> {
        // It may have ended already.
        let _ = self.process.kill();
        self.process.wait().map(drop)
    }
}

impl Drop for RunningTransient {
    fn drop(&mut self) {
        let _ = self.end();
    }
}
