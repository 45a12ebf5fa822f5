//! Bytes by hash: where the objects of a repository come from, where they are kept, and the disk cache between.
//!
//! [`ObjectSource`] is the reading side that every back end has, [`ObjectStore`] adds writing. What comes out of either
//! has been checked against its hash. What the bytes mean is not known here; see the repository crate.
//!
//! | to | use |
//! |---|---|
//! | publish to and read from a directory that a web server serves | [`DirectoryStore`] |
//! | publish to and read from a bucket of an S3 service | [`S3Store`] |
//! | read from web servers, through proxies, with fail-over | [`HttpSource`] |
//! | read files that lie outside of a repository's objects | [`ExternalFile`] |
//! | test against a store, stop at each of its changes | [`MemoryStore`], [`FailingStore`] |
//! | read objects again and again, decompressed, shared by processes | [`Cache`] |

mod batch;
mod byte_size;
mod cache;
mod deadline;
mod directory;
mod error;
mod failing;
mod flight;
mod http;
mod memory;
mod object_store;
#[cfg(feature = "s3")]
mod s3;

pub use batch::Batch;
pub use byte_size::{ByteSize, ByteSizeError};
pub use cache::{
    Cache, CacheConfig, CacheCounters, CachedBundle, CachedObject, Clock, MappedObject, ObjectRequest,
    PlainSize,
};
pub use deadline::Deadline;
pub use directory::DirectoryStore;
pub use error::{ServiceFault, StoreError};
pub use failing::FailingStore;
pub use http::{
    Announcement, Announcements, ExternalFile, HttpConfig, HttpConfigError, HttpCounters, HttpSource,
    NearbyError, Proxy, ProxyGroups, ServerUrl, nearest_first,
};
pub use memory::MemoryStore;
pub use object_store::{Freshness, ObjectSink, ObjectSource, ObjectStore, Repeated, RepositoryFile};
#[cfg(feature = "s3")]
pub use s3::{
    AwsEnvironment, BucketName, CredentialsError, Endpoint, KeyPrefix, S3Body, S3Config, S3Credentials,
    S3Location, S3LocationError, S3Reader, S3Store,
};
