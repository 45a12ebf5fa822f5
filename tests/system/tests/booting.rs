//! Machines whose operating system is streamed: they boot under QEMU from a repository that this test publishes and serves.
#![allow(clippy::unwrap_used, clippy::print_stdout)]

#[path = "booting/errand.rs"]
mod errand;
#[path = "booting/first_boot.rs"]
mod first_boot;
#[path = "booting/operating_system.rs"]
mod operating_system;
#[path = "booting/power_cuts.rs"]
mod power_cuts;
#[path = "booting/scratch_disk.rs"]
mod scratch_disk;
