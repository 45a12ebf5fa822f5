//! Equipment for scenarios over the real program: an installation of its own, its server, its mounts.
//!
//! The scenarios are in `tests/`. What fails here panics with what the program said, since only tests call it.
#![allow(clippy::panic, clippy::print_stdout)]

mod installation;
mod machine;
mod page;
mod sandboxes;

pub use installation::{
    Installation, Outcome, Server, fuse_is_missing, overlays_are_missing, programs_are_missing,
};
pub use machine::{BootFiles, Equipment};
pub use page::shell_blocks;
pub use sandboxes::{Sandboxes, User};
