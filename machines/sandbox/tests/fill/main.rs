//! Trees that are filled when they are touched, by threads of this process whose system calls are watched.

mod beside;
mod bounded;
mod faults;
mod hostile;
mod listings;
mod programs;
mod watched;
mod workshop;
