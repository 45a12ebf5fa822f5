//! The suite on QEMU, and what only QEMU has.

use varve_hypervisor::{BackEnd, Qemu};

use super::suite::{self, Suite};

fn qemu() -> Option<Suite> {
    if !Qemu::is_installed() {
        assert!(std::env::var_os("CI").is_none(), "qemu-system-x86_64 must be there in CI");
        println!("skipped: qemu-system-x86_64 is not installed (Debian: qemu-system-x86)");
        return None;
    }
    Suite::new(|cache| Box::new(Qemu::new(cache.to_owned())), BackEnd::Qemu)
}

#[test]
fn lives_and_dies() {
    if let Some(suite) = qemu() {
        suite::lives_and_dies(&suite);
    }
}

#[test]
fn keeps_its_memory() {
    if let Some(suite) = qemu() {
        suite::keeps_its_memory(&suite);
    }
}
