//! Equipment for tests: deterministic trees and their listings, scratch directories, processes, clocks, servers that
//! misbehave, and a slow link between two network namespaces. It knows nothing of Varve's own crates, so that all of
//! them can use it.
//!
//! Everything cleans up when it is dropped, also when the test fails. What can't be set up for want of permission says
//! so instead of failing; what else goes wrong panics, since only tests call it.
#![allow(clippy::panic, clippy::print_stdout)]

mod clock;
mod process;
mod scratch;
mod server;
mod waiting;

pub use clock::ManualClock;
pub use process::ProcessGuard;
pub use scratch::{Scratch, mounts_below, unmount_below};
pub use server::{Fault, FaultyProxy, FaultyServer, Listener, Request, Rule};
pub use waiting::{wait_for, wait_until};
