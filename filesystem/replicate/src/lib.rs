//! Gives repositories to others.
//!
//! [`RepositoryServer`] answers HTTP requests for the repositories below a directory, with the headers that
//! CernVM-FS's clients, proxies and mirrors expect. It checks nothing: whoever fetches verifies.
//!
//! [`Mirror`] copies a repository from its servers into a store, verified, and switches to it when all is there. [`Revision`]
//! is one revision by itself: copied, checked, listed; an [`Arrival`] takes one that comes in an archive.

mod mirror;
mod revision;
mod serve;

pub use mirror::{
    GoneTag, Mirror, MirrorError, MirrorProgress, MirrorRequest, Mirrored, TagPattern, TagSelection,
    UnseenProgress,
};
pub use revision::{Arrival, ArrivalError, Effort, Revision, RevisionObjects, RevisionTally};
pub use serve::{Elsewhere, GeoError, Place, RepositoryServer, ServeConfig, ServeError};
