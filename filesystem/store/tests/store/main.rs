//! What the store promises to the crates above it, shown on every back end.

mod cache;
mod conformance;
mod directory;
mod http;
