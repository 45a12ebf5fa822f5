//! Bytes by hash: where the objects of a repository come from, where they are kept, and the disk cache between.
//!
//! [`ObjectSource`] is the reading side that every back end has, [`ObjectStore`] adds writing. What comes out of either
//! has been checked against its hash. What the bytes mean is not known here; see the repository crate.

mod deadline;
mod error;
mod object_store;

pub use deadline::Deadline;
pub use error::StoreError;
pub use object_store::{Freshness, ObjectSink, ObjectSource, ObjectStore, RepositoryFile};
