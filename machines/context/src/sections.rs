//! The sections of the document, one file each: its keys, how two of it are merged, what it makes of a root directory.

pub mod boot;
pub mod environment;
pub mod files;
pub mod machine;
pub mod packages;
pub mod repositories;
pub mod scripts;
pub mod services;
pub mod ssh;
pub mod users;
