//! Machines on this host: create, start, inspect, stop, delete.
//!
//! A caller says with a [`MachineSpec`] what a machine is, and gives it to [`Machines`], the directory of all machines of a
//! user. A [`Transient`] machine is none of these: it belongs to one process. How a machine is run is the matter of a [`Hypervisor`]: one trait, one file per back end ([`Qemu`], [`Libvirt`]).
//!
//! Invariants:
//! - A machine is a directory below that of all machines; it appears and goes away by one rename. Nothing about it is kept in
//!   a process: machines go on when the program ends, and whoever asks next looks at what is true.
//! - Who changes a machine holds its lock; who only looks doesn't.
//! - Words of the caller never become a part of another program's syntax: names are checked, paths go through JSON or XML
//!   writers, files that are named on a command line lie in the machine's own directory.
//! - An image is never opened by guesswork: its format is known from its first bytes, and one that refers to other files of
//!   the host is refused.
//!
//! The terminal, the wall clock and the environment are the caller's.

mod console;
mod directory;
mod error;
mod hypervisor;
mod image_format;
mod libvirt;
mod machines;
mod ports;
mod qemu;
mod seed;
mod spec;
mod transient;

pub use console::{Escape, Keys, Typed};
pub use directory::{Definition, Home};
pub use error::HypervisorError;
pub use hypervisor::{
    Accelerator, AcceleratorChoice, BackEnd, ForwardedPort, Hypervisor, Inspection, PowerState, Snapshot,
};
pub use image_format::{ImageError, ImageFormat, Unusable};
pub use libvirt::Libvirt;
pub use machines::{Console, Deletion, Listed, MachineStatus, Machines, Stopping};
pub use qemu::Qemu;
pub use spec::{
    Boot, Disk, Firmware, KernelBoot, MachineName, MachineSpec, Megabytes, MetadataSource, Network,
    PortForward, Protocol, SnapshotName, SpecError, UserData,
};
pub use transient::{RunningTransient, Transient};
