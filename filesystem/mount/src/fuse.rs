//! Everything that speaks FUSE: the connection to the kernel, its requests and replies, the mount table.

pub(crate) mod adopt;
pub(crate) mod attach;
pub(crate) mod attributes;
pub(crate) mod directory;
pub(crate) mod errno;
pub(crate) mod filesystem;
pub(crate) mod mount_table;
pub(crate) mod notify;
pub(crate) mod session;
pub(crate) mod tunnel;

#[cfg(test)]
mod handover_tests;
