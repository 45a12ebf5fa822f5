//! Trees that are filled when they are touched, by threads of this process whose system calls are watched.

mod listings;
mod watched;
