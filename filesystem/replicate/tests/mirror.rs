//! Replication between stores, with sources that lie, lose and move on, and with replicas that are stopped at every step.

#[path = "mirror/collected.rs"]
mod collected;
#[path = "mirror/fixtures.rs"]
mod fixtures;
#[path = "mirror/revisions.rs"]
mod revisions;
#[path = "mirror/servers.rs"]
mod servers;
#[path = "mirror/stopped.rs"]
mod stopped;
#[path = "mirror/unsound.rs"]
mod unsound;
#[path = "mirror/workshop.rs"]
mod workshop;
