//! Equipment for tests: deterministic trees and their listings, container images, scratch directories, processes, clocks,
//! servers that misbehave, a real squid, a real Slurm, a slow link between two network namespaces, and virtual machines. It
//! knows nothing of Varve's own crates, so that all of them can use it.
//!
//! Everything cleans up when it is dropped, also when the test fails. What can't be set up for want of permission says
//! so instead of failing; what else goes wrong panics, since only tests call it.
#![allow(clippy::panic, clippy::print_stdout)]

mod clock;
mod comparison;
mod container;
mod fixture;
mod guest;
mod link;
mod listing;
mod machine;
mod postgres;
mod process;
mod random;
mod s3_server;
mod scratch;
mod server;
mod slurm;
mod squid;
mod tree;
mod waiting;

pub use clock::ManualClock;
pub use comparison::{assert_same, differences};
pub use container::{ImageLayout, gzip};
pub use fixture::{Attributes, ExpectedEntry, ExpectedMagic, Fixture};
pub use guest::Guest;
pub use link::{Link, LinkSettings, Namespace, Network, Traffic};
pub use listing::{escape, listing, magic_listing, unescape};
pub use machine::{Machine, MachineSettings};
pub use postgres::Postgres;
pub use process::ProcessGuard;
pub use random::Random;
pub use s3_server::S3Server;
pub use scratch::{Scratch, mounts_below, unmount_below};
pub use server::{Fault, FaultyGateway, FaultyProxy, FaultyServer, Listener, Request, Rule};
pub use slurm::Slurm;
pub use squid::{Squid, SquidAccess};
pub use tree::{TreeBuilder, TreeSize};
pub use waiting::{wait_for, wait_until};
