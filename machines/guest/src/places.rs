//! Where things lie while the machine boots and afterwards.
//!
//! ```text
//!  the first file system, that of the image, which only the guest's own processes see after the switch
//!    /os        the operating system's repository, read-only
//!    /scratch   the scratch disk, or memory
//!    /sysroot   both as one, which becomes /
//!  handed on to the operating system
//!    /run/varve             what the guest leaves: its program, the record of the boot, sockets, logs
//!    /run/initramfs         what systemd goes back to at shutdown
//! ```

/// The operating system's repository.
pub const OS: &str = "/os";
/// The scratch disk, or memory.
pub const SCRATCH: &str = "/scratch";
/// What becomes the root directory.
pub const NEW_ROOT: &str = "/sysroot";
/// What the guest leaves for the booted system.
pub const RUN: &str = "/run/varve";
/// The guest's own program, for as long as the machine runs.
pub const PROGRAM: &str = "/run/varve/varve-guest";
/// The directory that systemd goes back to at shutdown.
pub const SHUTDOWN_ROOT: &str = "/run/initramfs";
/// The program that it starts there.
pub const SHUTDOWN: &str = "/run/initramfs/shutdown";
