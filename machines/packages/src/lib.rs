//! Operating systems as lists of packages.
//!
//! A [`Lock`] is a closed, fully versioned list of packages, each with the digest that a signed index gave for it. It is
//! all that is needed to install the same system again.
//!
//! Invariants:
//! - Every name, version, path and digest is checked when it enters; none can leave its directory or end a line.
//! - A lock is written in one form only: the same packages give the same bytes.

mod digest;
mod family;
mod location;
mod lock;
mod name;
mod ready;
mod tree;

pub use digest::{DigestError, Fingerprint, Sha256};
pub use family::{Family, UnknownFamily};
pub use location::{LocationError, MirrorUrl, PackagePath};
pub use lock::{ListOrigin, Lock, LockError, LockedIndex, LockedPackage};
pub use name::{Architecture, IndexId, NameError, PackageName, PackageVersion};
pub use ready::{READY_LISTS, ReadyList};
pub use tree::{
    Differences, Privilege, Role, TreeError, TreeOrder, TreeRecord, TreeVersion, build_tree, sandbox,
    verify_tree, with_ids_of_trees,
};
