//! What every back end can do with a machine.
//!
//! ```text
//!   (create) ──▶ stopped ──start──▶ running ──save──▶ saved ──start──▶ running
//!                   ▲                 │  ▲
//!                   └──stop, kill─────┘  └── resume ── paused
//! ```
//!
//! A machine that ended for any other reason, by itself, by a crash, by its host's, is stopped; nobody has to notice when.

use std::fmt;
use std::fs::File;
use std::net::Ipv4Addr;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::directory::Home;
use crate::error::HypervisorError;
use crate::spec::{Protocol, SnapshotName};

/// One way to run machines.
///
/// Everything is told about a machine by its [`Home`]. Whoever calls a function that changes something holds the machine's
/// lock; [`Self::inspect`], [`Self::console`] and [`Self::snapshots`] need none. Each function may be killed at any instant,
/// and can be called again.
pub trait Hypervisor: Send + Sync {
    /// Which one this is.
    fn back_end(&self) -> BackEnd;

    /// Makes what the machine needs beside its definition, in a directory that nobody else sees yet.
    ///
    /// # Errors
    /// Anything; the directory is thrown away then.
    fn create(&self, home: &Home) -> Result<(), HypervisorError>;

    /// Lets a machine that is not running run: from where it was saved, else from its firmware.
    ///
    /// # Errors
    /// If it doesn't run then.
    fn start(&self, home: &Home, choice: AcceleratorChoice) -> Result<(), HypervisorError>;

    /// Looks how it is, at the process itself and not at what was written down.
    ///
    /// # Errors
    /// If that can't be found out.
    fn inspect(&self, home: &Home) -> Result<Inspection, HypervisorError>;

    /// Presses the power button, which asks the system in it to shut down, and doesn't wait.
    ///
    /// # Errors
    /// If there is no button: the machine doesn't run.
    fn press_power_button(&self, home: &Home) -> Result<(), HypervisorError>;

    /// Pulls the plug, and returns once the machine has ended. One that doesn't run is left as it is.
    ///
    /// # Errors
    /// If it can't be ended.
    fn kill(&self, home: &Home) -> Result<(), HypervisorError>;

    /// Lets a paused machine go on.
    ///
    /// # Errors
    /// If it can't.
    fn resume(&self, home: &Home) -> Result<(), HypervisorError>;

    /// Keeps the memory of a running machine in its directory and ends it; [`Self::start`] goes on from there, once.
    ///
    /// # Errors
    /// If it can't be kept; the machine goes on then.
    fn save(&self, home: &Home) -> Result<(), HypervisorError>;

    /// Keeps memory and disks of a running machine under a name; it goes on.
    ///
    /// # Errors
    /// If they can't be kept.
    fn snapshot(&self, home: &Home, name: &SnapshotName) -> Result<(), HypervisorError>;

    /// Puts a running machine back to where it was at a snapshot.
    ///
    /// # Errors
    /// If it can't be.
    fn restore(&self, home: &Home, name: &SnapshotName) -> Result<(), HypervisorError>;

    /// Forgets a snapshot of a running machine.
    ///
    /// # Errors
    /// If it isn't there.
    fn delete_snapshot(&self, home: &Home, name: &SnapshotName) -> Result<(), HypervisorError>;

    /// The snapshots of a machine, by name.
    ///
    /// # Errors
    /// If they can't be listed.
    fn snapshots(&self, home: &Home) -> Result<Vec<Snapshot>, HypervisorError>;

    /// A line to the machine's serial console. What it writes there is in [`Home::console_log`] as well.
    ///
    /// # Errors
    /// If the machine doesn't run.
    fn console(&self, home: &Home) -> Result<File, HypervisorError>;

    /// Forgets what is kept outside of the machine's directory. The machine doesn't run.
    ///
    /// # Errors
    /// If something is left.
    fn delete(&self, home: &Home) -> Result<(), HypervisorError>;
}

/// Which back end runs a machine.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BackEnd {
    /// QEMU, started by us.
    #[default]
    Qemu,
    /// QEMU, looked after by libvirt.
    Libvirt,
}

impl BackEnd {
    /// As people write it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Qemu => "qemu",
            Self::Libvirt => "libvirt",
        }
    }
}

impl fmt::Display for BackEnd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for BackEnd {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "qemu" => Ok(Self::Qemu),
            "libvirt" => Ok(Self::Libvirt),
            _ => Err("a hypervisor is qemu or libvirt".to_owned()),
        }
    }
}

/// What executes a machine's instructions.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Accelerator {
    /// Whether it is the processor itself, through KVM; else QEMU's translator.
    pub kvm: bool,
    /// Why this one.
    pub why: String,
}

impl Accelerator {
    /// As people write it.
    pub fn as_str(&self) -> &'static str {
        if self.kvm { "kvm" } else { "tcg" }
    }
}

/// Which accelerator somebody wants.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AcceleratorChoice {
    /// KVM where a guest comes alive under it, else emulation.
    #[default]
    Auto,
    /// KVM, or an error.
    Kvm,
    /// Emulation.
    Tcg,
}

impl FromStr for AcceleratorChoice {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "auto" => Ok(Self::Auto),
            "kvm" => Ok(Self::Kvm),
            "tcg" => Ok(Self::Tcg),
            _ => Err("an accelerator is auto, kvm or tcg".to_owned()),
        }
    }
}

/// How a machine is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum PowerState {
    /// It runs.
    Running,
    /// It is held: memory is there, nothing happens.
    Paused,
    /// Its memory is kept in a file.
    Saved,
    /// It is off.
    Stopped,
}

impl fmt::Display for PowerState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Running => "running",
            Self::Paused => "paused",
            Self::Saved => "saved",
            Self::Stopped => "stopped",
        })
    }
}

/// What [`Hypervisor::inspect`] found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Inspection {
    /// How it is.
    pub state: PowerState,
    /// The process it runs in.
    pub process: Option<u32>,
    /// Since when that runs.
    pub uptime: Option<Duration>,
    /// What runs it, of a machine that is not off.
    pub accelerator: Option<Accelerator>,
    /// Ports of this host that lead into it, of a machine that is not off.
    pub ports: Vec<ForwardedPort>,
}

/// A port of this host that leads into a machine now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ForwardedPort {
    /// The address of this host.
    pub address: Ipv4Addr,
    /// The port of this host.
    pub host: u16,
    /// The port of the machine.
    pub guest: u16,
    /// What is forwarded.
    pub protocol: Protocol,
}

/// A kept state of a machine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Snapshot {
    /// Its name.
    pub name: String,
    /// When it was made, in seconds since 1970.
    pub created: i64,
    /// The bytes of its memory, where that is known.
    pub memory: Option<u64>,
}
