//! Which system calls programs inside may make: the kernel's filter of system calls.
//!
//! | module | owns |
//! |---|---|
//! | program | a filter as a program of the kernel's, made of rules |
//! | numbers | the numbers of the calls that rules name, for each machine |
//! | profile | the rules for every sandbox |

mod numbers;
mod profile;
mod program;

pub(crate) use self::profile::profile;
