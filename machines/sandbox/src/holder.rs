//! The holder: a process that keeps what a user's sandboxes show mounted, in namespaces of its own.
//!
//! ```text
//!  run ──Join {mounts}──▶ holder (root of a user namespace, unless it is root; first of its process namespace)
//!   ▲                       │ mounts what isn't yet, each once
//!   └── namespaces, trees ──┘   └─▶ processes that serve the mounts
//! ```
//!
//! A mount is there as long as a connection wants it; with the last connection the holder ends. Its mounts and the processes
//! behind them are in its namespaces and in nobody else's, so the kernel ends them with it, however it ends. Then its socket
//! is left, which the runs that lose it take away, or else the next run.
//!
//! | module | owns |
//! |---|---|
//! | door | the socket: where it is, who starts a holder |
//! | client | a run's side |
//! | server | the holder's side |
//! | slots | what is mounted, and for how many |

mod client;
mod door;
mod server;
mod slots;

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

pub use self::client::{Joined, Kept, join};
pub use self::door::Door;
pub use self::server::serve;
pub use self::slots::Mounter;

/// Something to be mounted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wanted {
    /// What people call it.
    pub target: String,
    /// What the [`Mounter`] makes of it. Equal orders share a mount.
    pub order: serde_json::Value,
}

/// What a run asks for.
#[derive(Debug, Serialize, Deserialize)]
struct Join {
    wanted: Vec<Wanted>,
    /// How many seconds it all is to stay after the end of the connection.
    linger: u64,
}

/// The answer.
#[derive(Debug, Serialize, Deserialize)]
enum Answer {
    /// With the mount namespace, and the user namespace if there is one.
    Joined { trees: Vec<PathBuf>, scaffold: PathBuf },
    /// Nothing of it is mounted for this run.
    Failed { target: String, message: String },
}
