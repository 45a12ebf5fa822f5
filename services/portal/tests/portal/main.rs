//! The hub through its router, as browsers, programs and machines use it, on both databases.
#![allow(clippy::panic, clippy::unwrap_used)]

mod accounts;
mod client;
mod contexts;
mod pairing;
mod roles;
mod scene;
