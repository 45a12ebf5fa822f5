//! What the store promises to the crates above it, shown on every back end.

mod batches;
mod cache;
mod cache_disk;
mod cache_sharing;
mod conformance;
mod directory;
mod hedging;
mod http;
mod https;
mod nearby;
mod s3;
mod squid;
