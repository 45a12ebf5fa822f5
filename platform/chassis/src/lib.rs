//! What every server and long-running command of Varve stands on. It knows nothing of repositories.
//!
//! - [`logging`]: what is said on standard error, and how much of it.

pub mod logging;
