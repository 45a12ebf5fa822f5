//! The cloud as its users and hosts see it: over HTTP, on both engines of databases, with Amazon's own clients and a real
//! machine where they can be had.
#![allow(clippy::panic, clippy::print_stdout, clippy::unwrap_used)]

mod amazon;
mod endpoint;
mod hosts;
mod launching;
mod machine;
mod ownership;
mod service;
mod signatures;
