//! Repositories without `/dev/fuse`: a directory on the local disk that is filled when it is touched.
//!
//! The first touch of a file is a system call with its path. A seccomp filter on the command has the kernel ask a *supervisor*
//! outside of the sandbox about these calls; it fills what the path leads to and lets the call go on. Nothing is traced, and
//! programs need no libraries for it.
//!
//! | module | owns |
//! |---|---|
//! | tree | the directory on the disk: what is in place, what isn't, how a file gets there |
//! | calls, filter | which system calls take paths; the filter that has them watched |
//! | filler | the process that has the trees of a run |
//! | supervisor, workers | who receives calls, who waits |
//! | pending, patience | a call that waits for its answer, and whether it may wait longer |
//! | answer, listing, attributes | what becomes of a call |
//! | resolve, target, interpreter | where a path leads |
//! | kernel | system calls that no library wraps |
//!
//! # Why no byte is ever wrong
//!
//! The kernel reads a call's path again after the supervisor has looked at it, so a path can be another one by then; and there
//! are ways to open a file that no notification tells of. So it isn't the supervisor that keeps wrong bytes away:
//!
//! - What isn't filled is a *socket* in the directory that the sandbox sees. Opening a socket fails with ENXIO, running it with
//!   EACCES, for everybody and in every way: system calls, `io_uring`, handles, the kernel itself. Permissions play no part.
//! - A file is renamed over its socket when its content is complete and verified, and never written to again.
//! - The directory is shown read-only, and the places where files are made are not shown at all.
//! - After a stop of the machine, files that were not synced are not believed (see [`tree`]).
//!
//! What the supervisor tells of a file that isn't filled (`stat`, listings) comes from the catalog. Whoever goes past it sees a
//! socket there.
//!
//! # What differs from a mount
//!
//! - Where the user may not give files away, all belong to the user.
//! - The size of a directory is the disk's; hidden entries are not there; magic extended attributes are not there.
//! - `fstatat` and `statx` with `AT_EMPTY_PATH` are not watched, since they nearly always ask about a descriptor: with that flag
//!   and a path they show sockets.
//! - New mounts, new user name spaces and `io_uring` are refused inside.
//! - When the supervisor is killed, calls with paths fail with ENOSYS.

mod answer;
mod attributes;
mod calls;
mod error;
pub mod filler;
mod filter;
mod interpreter;
mod kernel;
mod listing;
mod patience;
mod pending;
mod resolve;
mod supervisor;
mod target;
pub mod tree;
mod workers;

pub use self::error::FillError;
pub use self::filter::Listener;
pub use self::resolve::Mounted;
pub use self::supervisor::{Service, Supervisor};
pub use self::tree::bound::{Removed, bound};
pub use self::tree::{Contents, Options, Tree, this_boot};
