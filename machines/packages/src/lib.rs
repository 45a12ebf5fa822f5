//! Operating systems as lists of packages.
//!
//! A [`Lock`] is a closed, fully versioned list of packages, each with the digest that a signed index gave for it. It is
//! all that is needed to install the same system again.
//!
//! Invariants:
//! - Every name, version, path and digest is checked when it enters; none can leave its directory or end a line.
//! - A lock is written in one form only: the same packages give the same bytes.

mod archive;
mod debian;
mod digest;
mod expand;
mod family;
mod index;
mod list;
mod listed;
mod location;
mod lock;
mod locking;
mod name;
mod openpgp;
mod ready;
mod rpm;
mod solve;
mod sources;
mod suggest;
mod transfer;
mod tree;
mod universe;
mod version;

pub use archive::{Archive, ArchiveError, FetchProgress, Fetched, SilentFetch, Wanted, wanted};
pub use debian::{DebianUniverse, RecordError, Release, ReleaseError};
pub use digest::{DigestError, Fingerprint, Sha256};
pub use expand::ExpandError;
pub use family::{Family, UnknownFamily};
pub use index::{Index, IndexAccess, IndexError, IndexFault, IndexSource, UniverseError, universe};
pub use list::{Exclusions, ListError, ListedIndex, Request, ShoppingList, Subject};
pub use listed::{PackageDifference, PackageList};
pub use location::{LocationError, MirrorUrl, PackagePath};
pub use lock::{ListOrigin, Lock, LockError, LockedIndex, LockedPackage};
pub use locking::{
    Change, ChangeKind, LockingError, Previous, Requests, Resolved, UnknownRequest, UpdateScope, changes,
    locked_packages, make_lock, problem_of,
};
pub use name::{Architecture, IndexId, NameError, PackageName, PackageVersion};
pub use openpgp::{Keyring, KeyringError, SignatureError, SignedText};
pub use ready::{READY_LISTS, ReadyList};
pub use rpm::{RpmError, RpmUniverse};
pub use solve::{Chain, Closure, Conflict, Link, Problem, Reach, explain, solve};
pub use sources::{MachineSources, SourcesError, apt_sources, apt_sources_of, dnf_sources, dnf_sources_of};
pub use transfer::{TransferConfig, TransferError, Transfers};
pub use tree::{
    Differences, Privilege, Role, TreeError, TreeOrder, TreeRecord, TreeVersion, build_tree, sandbox,
    verify_tree, with_ids_of_trees,
};
pub use universe::{Clause, EntryError, Exclusion, PackageId, Relations, Universe};
pub use version::compare_versions;
