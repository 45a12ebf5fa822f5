//! EC2's wire: the Query protocol, signatures, faults, documents, and one file for each action.
//!
//! Nothing outside of this module knows how EC2 writes things, and nothing in it but `actions` knows what they mean.

mod actions;
mod endpoint;
mod fault;
mod filters;
mod instance_document;
mod paging;
mod parameters;
mod signature;
mod tags;
pub(crate) mod time;
mod xml;

pub use endpoint::router;
pub use fault::Fault;
pub use parameters::Parameters;
pub(crate) use parameters::shown;
pub use signature::{Claim, Credentials, Scope, Signed, authorization};

/// The version of the API that is spoken.
pub const VERSION: &str = "2016-11-15";
