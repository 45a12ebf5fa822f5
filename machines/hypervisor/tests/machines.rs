//! Real machines on every back end that is there: one suite for the trait. What is missing for it is printed.

#![allow(clippy::print_stdout)]

#[path = "machines/libvirt.rs"]
mod libvirt;
#[path = "machines/qemu.rs"]
mod qemu;
#[path = "machines/suite.rs"]
mod suite;
