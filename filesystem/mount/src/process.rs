//! The processes of a mount: who starts whom, what they tell each other, and what happens when one of them dies.
//!
//! ```text
//!  caller ──starts──▶ supervisor ──starts──▶ worker
//!    ▲  Ready/Failed      │ holds: /dev/fuse, journal      │ serves: /dev/fuse, journal
//!    └────────────────────┘ ◀── Prepared, Ready, Ended ────┘
//! ```
//!
//! Both hold the kernel's connection and the journal (a memory file), so either can replace the other:
//!
//! | dies | then |
//! |---|---|
//! | caller, before the mount is ready | the supervisor gives up and unmounts |
//! | worker | the supervisor starts another with the same descriptors; the kernel sends the pending requests again |
//! | ten workers in a row, each within a second | the supervisor unmounts |
//! | supervisor | the worker starts another and hands it the descriptors |
//! | both | the kernel ends the connection; the next mount or unmount of the directory clears it |
//!
//! Both also hold a socket by which an unmount sees that they have ended.
//!
//! Links between them are the standard input of the started process: a `SOCK_SEQPACKET` pair over which descriptors are
//! passed. Its end of file tells that the other side is gone.

pub(crate) mod caller;
pub(crate) mod journal;
pub(crate) mod link;
mod presence;
pub(crate) mod supervisor;
pub(crate) mod worker;
