//! Whole machines of a real distribution: what the tutorial says, from the packages to a program that runs in the machine, and on to
//! the next version and back.
#![allow(clippy::print_stdout)]

#[path = "machines/tutorial.rs"]
mod tutorial;
