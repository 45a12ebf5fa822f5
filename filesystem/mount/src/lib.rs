//! Repositories as a kernel file system.
//!
//! [`start`] mounts in the background, [`stay`] in the foreground, [`unmount`] ends a mount. Two hidden commands of the
//! program, [`supervisor`] and [`worker`], are the processes behind a mount; `process` draws how they live together.
//! [`Entrance`] is a mount in a virtual machine that its host answers; there, [`Tunnelled`] answers for repositories,
//! [`HostDirectory`] for the host's own directories.
//!
//! Invariants: nothing unverified reaches the kernel; no lock is held over the network; a request ends in data or an errno by
//! its deadline; an inode never changes its content.

mod attached;
mod contents;
mod control;
mod error;
mod failure;
mod files;
mod follow;
mod fuse;
mod inodes;
mod order;
pub mod overlay;
mod plan;
mod pool;
mod process;
mod serving;
mod tree;
mod variant_link;
mod xattr;

pub use control::{RepositoryStatus, Status, ask};
pub use error::MountError;
pub use files::Files;
pub use fuse::directory::HostDirectory;
pub use fuse::tunnel::Entrance;
pub use order::{Access, MountOrder, Relaunch};
pub use plan::{ClientFacts, MagicVisibility, MountPlan, MountedRepository, PlanRoot, RepositorySource};
pub use process::caller::{start, stay, unmount};
pub use process::supervisor::supervisor;
pub use serving::{Tunnelled, worker};
pub use variant_link::{Variables, expand_link};
