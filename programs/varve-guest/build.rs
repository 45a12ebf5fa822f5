//! Links the guest without what nobody reads of it: it lies in every boot image.

use std::env;

fn main() {
    println!("cargo::rerun-if-changed=small.ld");
    // Cargo doesn't tell a build script how panics end. Only the profile `guest`, in which they abort, is built for size.
    let abort = env::var("OPT_LEVEL").is_ok_and(|level| level == "z");
    let linux = env::var("CARGO_CFG_TARGET_OS").is_ok_and(|system| system == "linux");
    if abort && linux {
        let script = format!("{}/small.ld", env::var("CARGO_MANIFEST_DIR").expect("cargo sets it"));
        println!("cargo::rustc-link-arg-bins=-Wl,-T,{script}");
        println!("cargo::rustc-link-arg-bins=-Wl,-z,pack-relative-relocs");
    }
}
