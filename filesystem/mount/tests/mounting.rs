//! Real mounts of real repositories: what applications see, and what they see when something breaks.
//!
//! The test binary is its own supervisor and worker: started with a channel as standard input, the two tests named
//! `becomes_…` become them; otherwise they do nothing.
#![allow(clippy::unwrap_used, clippy::print_stdout)]

#[path = "mounting/external.rs"]
mod external;
#[path = "mounting/faults.rs"]
mod faults;
#[path = "mounting/fixtures.rs"]
mod fixtures;
#[path = "mounting/harness.rs"]
mod harness;
#[path = "mounting/trees.rs"]
mod trees;
#[path = "mounting/tunnel.rs"]
mod tunnel;
#[path = "mounting/updates.rs"]
mod updates;

#[test]
fn becomes_supervisor() {
    if harness::is_started_by_a_mount() {
        varve_mount::supervisor().unwrap();
        std::process::exit(0);
    }
}

#[test]
fn becomes_worker() {
    if harness::is_started_by_a_mount() {
        varve_mount::worker(harness::plan).unwrap();
        std::process::exit(0);
    }
}
