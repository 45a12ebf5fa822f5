//! The sections of the document, one file each: its keys, how two of it are merged, what it makes of a root directory.

pub mod agent;
pub mod boot;
pub mod desktop;
pub mod directory;
pub mod dynamic_dns;
pub mod elastiq;
pub mod environment;
pub mod files;
pub mod htcondor;
pub mod machine;
pub mod monitoring;
pub mod network;
pub mod packages;
pub mod puppet;
pub mod repositories;
pub mod scripts;
pub mod services;
pub mod slurm;
pub mod squid;
pub mod ssh;
pub mod storage;
pub mod users;
pub mod vpn;
pub mod work_queue;
pub mod x509;
pub mod xrootd;
