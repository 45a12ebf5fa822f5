//! Whole operations on repositories in directories, from creation to roll-back, and what a crash leaves.

mod bench;
mod crash;
mod operations;
mod workshop;
