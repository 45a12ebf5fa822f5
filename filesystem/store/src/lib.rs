//! Bytes by hash: where the objects of a repository come from, where they are kept, and the disk cache between.
//!
//! [`ObjectSource`] is the reading side that every back end has, [`ObjectStore`] adds writing. What comes out of either
//! has been checked against its hash. What the bytes mean is not known here; see the repository crate.
//!
//! | to | use |
//! |---|---|
//! | publish to and read from a directory that a web server serves | [`DirectoryStore`] |
//! | read from web servers, through proxies, with fail-over | [`HttpSource`] |
//! | read files that lie outside of a repository's objects | [`ExternalFile`] |
//! | test against a store | [`MemoryStore`] |
//! | read objects again and again, decompressed, shared by processes | [`Cache`] |

mod batch;
mod byte_size;
mod cache;
mod deadline;
mod directory;
mod error;
mod flight;
mod http;
mod memory;
mod object_store;

pub use batch::Batch;
pub use byte_size::{ByteSize, ByteSizeError};
pub use cache::{
    Cache, CacheConfig, CacheCounters, CachedBundle, CachedObject, Clock, MappedObject, ObjectRequest,
    PlainSize,
};
pub use deadline::Deadline;
pub use directory::DirectoryStore;
pub use error::StoreError;
pub use http::{
    Announcement, Announcements, ExternalFile, HttpConfig, HttpConfigError, HttpCounters, HttpSource,
    NearbyError, Proxy, ProxyGroups, ServerUrl, nearest_first,
};
pub use memory::MemoryStore;
pub use object_store::{Freshness, ObjectSink, ObjectSource, ObjectStore, RepositoryFile};
