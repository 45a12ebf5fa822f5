//! Whole operations on repositories in directories, from creation to roll-back, what a crash leaves, and what a check
//! finds in sound and unsound ones.

mod bench;
mod check;
mod collect;
mod crash;
mod diff;
mod fixture;
mod forged;
mod operations;
mod unsound;
mod workshop;
