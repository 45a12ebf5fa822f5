//! What a catalog says of itself, and what refers to a catalog.

use std::time::Duration;

use varve_content::ContentHash;

use crate::RepositoryPath;

/// Names a catalog: where it is mounted in the repository and which object it is.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct CatalogReference {
    /// The directory whose content it lists.
    pub path: RepositoryPath,
    /// The hash of its object of kind `Catalog`.
    pub hash: ContentHash,
    /// The size of the database in bytes, before compression; old catalogs don't record it.
    pub size: Option<u64>,
}

/// The properties of a catalog.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CatalogProperties {
    /// `root_prefix`: the directory whose content the catalog lists; the repository's root has no such row.
    pub root_prefix: RepositoryPath,
    /// `revision`: the repository's revision for a root catalog, else counts the catalog's own changes.
    pub revision: u64,
    /// `last_modified`: seconds since 1970.
    pub last_modified: u64,
    /// `previous_revision`: the catalog that this one replaces. Without one the row is missing in revision 0, and
    /// holds forty zeros else.
    pub previous: Option<ContentHash>,
    /// `TTL`: how long a client may use the revision before it looks for a new one, in whole seconds; in root
    /// catalogs only.
    pub time_to_live: Option<Duration>,
    /// `volatile`: clients should evict its files from their caches first.
    pub volatile: bool,
    /// `voms_authz`: which certificates allow to read the repository.
    pub authorization: Option<String>,
}

/// The version of a catalog's schema: 2.5 with a revision for everything of the last decade.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct SchemaVersion {
    /// The property `schema` in hundredths: 250 for 2.5, 100 without the property.
    pub hundredths: u32,
    /// The property `schema_revision`, 0 without it.
    pub revision: u32,
}

impl SchemaVersion {
    /// What is written: 2.5, revision 7.
    pub const WRITTEN: Self = Self { hundredths: 250, revision: 7 };
}
