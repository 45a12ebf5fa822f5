//! Runs a command in an isolated environment on this host, as root and without any privileges.
//!
//! [`Sandbox`] says what the command sees and may do; [`Sandbox::start`] starts it, [`Running::wait`] tells how it ended.
//! Repositories are not known here: software and operating systems are directories, whoever shows them.
//!
//! | module | owns |
//! |---|---|
//! | sandbox | what a command sees and may do |
//! | fill | repositories without `/dev/fuse` |
//! | launch | the caller's side: from namespaces to the exit code |
//! | init, privileges | the first process inside, and what it gives up |
//! | tree, mounts | the directories that the command sees |
//! | seccomp | the system calls that it may make |
//! | relay, terminal | signals and the terminal |
//! | holder | the process that keeps things mounted for a user's sandboxes |
//! | limits | what a command may use: control groups |
//! | collect | what was written, as an archive or a directory |
//! | errand | a sandbox in a machine of its own: what is told to the machine and what comes back |
//! | namespaces | user namespaces and their numbers |
//! | support | what of a host stands in the way |
//! | channel | messages between processes |
//! | bare | system calls that no crate has a safe form for |
//!
//! Invariants: the host's own table of mounts is never touched; no process inside outlives the one that started it; a limit or
//! a protection that was asked for and can't be had is an error, never left out.

mod bare;
mod channel;
mod collect;
pub mod errand;
mod error;
pub mod fill;
pub mod holder;
mod init;
mod launch;
mod limits;
mod mounts;
mod namespaces;
mod privileges;
mod relay;
mod sandbox;
mod seccomp;
mod support;
mod terminal;
mod tree;

pub use collect::Collection;
pub use error::SandboxError;
pub use launch::{Exit, Namespaces, Place, Running, Watch};
pub use sandbox::{Access, Account, Bind, Identity, Limits, Network, Root, Sandbox, Writes};
pub use support::Obstacle;
