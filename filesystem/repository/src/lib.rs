//! What the bytes of a repository mean: names, entries, catalogs, signatures, tags, and the verified [`Snapshot`].

mod authorities;
mod blacklist;
mod bundles;
mod catalog;
mod catalog_loader;
mod certificate;
mod db;
mod entry;
mod error;
mod history;
mod index;
mod key_fingerprint;
mod manifest;
mod meta_info;
mod name;
mod pkcs7;
mod proof;
mod public_keys;
mod reference;
mod reflog;
mod repository;
mod signature;
mod signing;
mod snapshot;
mod status;
mod trust;
mod whitelist;

pub use authorities::{AuthoritiesError, CertificateAuthorities};
pub use blacklist::Blacklist;
pub use bundles::{Bundle, Bundles};
pub use catalog::{
    CatalogError, CatalogProperties, CatalogReader, CatalogReference, CatalogWriteError, CatalogWriter,
    Counters, SchemaVersion, TreeCounters,
};
pub use catalog_loader::{Catalog, CatalogLoader, fetch_catalog, fetch_stored_catalog, unpack_catalog};
pub use certificate::{CERTIFICATE_LIMIT, Certificate, CertificateError};
pub use db::DatabaseError;
pub use entry::{
    Chunk, Entry, EntryKind, FileContent, FileData, HardLink, Metadata, Mtime, NestedRole, Node, Xattrs,
    XattrsError,
};
pub use error::RepositoryError;
pub use history::{
    Branch, HEAD, HISTORY_LIMIT, History, HistoryError, PREVIOUS_HEAD, PublishedRoot, Tag, TagName,
};
pub use index::{CatalogIndex, ChunksView, ContentView, EntryView, IndexBytes};
pub use key_fingerprint::{KeyFingerprint, KeyFingerprintError};
pub use manifest::{DEFAULT_TTL, Manifest, ManifestError, ManifestFields, SignedManifest};
pub use meta_info::{META_INFO_LIMIT, MetaInfo, MetaInfoError};
pub use name::{EntryName, NameError, RepositoryName, RepositoryPath};
pub use pkcs7::Pkcs7Error;
pub use proof::{Proof, ProofAge, Proven, ProvenRoot};
pub use public_keys::{PublicKeys, PublicKeysError};
pub use reference::Reference;
pub use reflog::{LoggedObject, Reflog};
pub use repository::{FetchedManifest, Repository};
pub use signature::LetterError;
pub use signing::{SigningError, SigningKeys, WHITELIST_VALIDITY};
pub use snapshot::{Listing, Location, Snapshot};
pub use status::{status_date, status_with};
pub use trust::{Evidence, Trust, TrustError};
pub use whitelist::{SignedWhitelist, Whitelist, WhitelistError, WhitelistVerification};
