//! The first process of a machine: finds its user data, brings up the network, mounts the operating system from a repository,
//! and becomes its init.
//!
//! [`boot::run`] is the whole way; [`errand::run`] that of a machine for one command. Invariants: nothing of the operating system is used that a key of the image does not vouch
//! for; what comes from outside is bounded; no disk that holds anything is written to; the processes that serve the operating
//! system need nothing of it.

pub mod appliance;
pub mod block_device;
pub mod boot;
mod clock;
pub mod command_line;
pub mod config;
pub mod console;
mod context;
pub mod datasource;
mod emergency;
pub mod errand;
mod error;
mod fetch;
mod kernel_mounts;
pub mod modules;
pub mod network;
pub mod os_mount;
pub mod places;
mod plain_http;
pub mod rebase;
pub mod record;
pub mod releases;
pub mod scratch;
pub mod shutdown;
mod switch;
pub mod update;

pub use error::GuestError;
