//! Runs a command in an isolated environment on this host, as root and without any privileges.
//!
//! [`Sandbox`] says what the command sees and may do; [`Sandbox::start`] starts it, [`Running::wait`] tells how it ended.
//! Repositories are not known here: software and operating systems are directories, whoever shows them.
//!
//! | module | owns |
//! |---|---|
//! | sandbox | what a command sees and may do |
//! | fill | repositories without `/dev/fuse` |
//!
//! Invariants: the host's own table of mounts is never touched; no process inside outlives the one that started it; a limit or
//! a protection that was asked for and can't be had is an error, never left out.

mod error;
pub mod fill;
mod sandbox;

pub use error::SandboxError;
pub use sandbox::{Access, Bind, Identity, Limits, Network, Root, Sandbox, Writes};
