//! Checks a whole repository at rest: signatures, tags, catalogs, statistics, and on demand every stored byte.
//!
//! A check finds as much as it can: what is damaged is reported and everything that can still be reached is checked as
//! well. It changes nothing, and takes no lock: during a publish it may report objects that are on their way as orphans.
//!
//! What is checked: the manifest, whitelist and certificate as a client verifies them; history, log of references and
//! description; the trees of the current revision, of all tags and of all revisions in the log of references (every
//! catalog once); that every object they list is stored. With [`CheckOptions::data`] every stored object is read and
//! hashed, whether anything refers to it or not, and decompressed to compare its size.

mod catalog;
mod finding;
mod hard_links;
mod objects;
pub(crate) mod parallel;
mod references;
mod signatures;
mod transitions;

use std::time::{Duration, SystemTime};

use serde::Serialize;
use varve_content::ObjectName;
use varve_repository::{CatalogReference, RepositoryName, RepositoryPath, Trust};
use varve_store::ObjectStore;

pub(crate) use catalog::metadata_compression;
pub use finding::{Finding, FindingKind};
use objects::Expected;
use transitions::Catalogs;

/// How long a single object may take.
const PATIENCE: Duration = Duration::from_secs(600);

/// What is checked.
#[derive(Clone, Copy, Debug)]
pub struct CheckOptions {
    /// Read, hash and decompress every stored object.
    pub data: bool,
    /// How many threads work.
    pub threads: usize,
}

/// Receives progress, from many threads at once.
pub trait CheckProgress: Sync {
    /// A catalog is being checked.
    fn catalog(&self, path: &RepositoryPath) {
        let _ = path;
    }

    /// Hashing begins, of this many objects and bytes.
    fn data(&self, objects: u64, bytes: u64) {
        let _ = (objects, bytes);
    }

    /// One object of this size was hashed.
    fn hashed(&self, bytes: u64) {
        let _ = bytes;
    }
}

/// Tells nobody.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoProgress;

impl CheckProgress for NoProgress {}

/// What a check came to.
#[derive(Clone, Debug, Default, Serialize)]
pub struct CheckReport {
    /// The current revision, as far as the manifest can be read.
    pub revision: Option<u64>,
    /// Tags in the history.
    pub tags: u64,
    /// Different catalogs of all revisions that were reached.
    pub catalogs: u64,
    /// Entries in them.
    pub entries: u64,
    /// Different objects of files that they list.
    pub referenced_objects: u64,
    /// Objects in the store.
    pub stored_objects: u64,
    /// Objects that were read and hashed.
    pub hashed_objects: u64,
    /// Bytes that were read and hashed.
    pub hashed_bytes: u64,
    /// Objects that are stored but that nothing refers to: no damage, only space.
    pub orphans: u64,
    /// Bytes in them.
    pub orphaned_bytes: u64,
    /// What is wrong, sorted; empty for a sound repository.
    pub findings: Vec<Finding>,
    /// The names and sizes behind [`Self::orphans`].
    #[serde(skip)]
    pub orphan_list: Vec<(ObjectName, u64)>,
}

impl CheckReport {
    /// Whether nothing is wrong.
    pub fn is_sound(&self) -> bool {
        self.findings.is_empty()
    }
}

/// Checks the repository in `store`.
///
/// `trust` says whose signatures count, `now` whether the whitelist has expired. Nothing makes this fail: what can't be
/// read is among the findings.
pub fn check(
    store: &dyn ObjectStore,
    name: &RepositoryName,
    trust: &Trust,
    now: SystemTime,
    options: CheckOptions,
    progress: &dyn CheckProgress,
) -> CheckReport {
    let mut report = CheckReport::default();
    let mut findings = Vec::new();
    let mut expected = Expected::default();
    let (stored, unreadable) = objects::list(store);
    findings.extend(unreadable);
    report.stored_objects = stored.len() as u64;

    let manifest = signatures::check(store, name, trust, now, &mut findings);
    let mut catalogs = Catalogs::default();
    if let Some(manifest) = manifest {
        report.revision = Some(manifest.revision);
        let head = CatalogReference {
            path: RepositoryPath::ROOT,
            hash: manifest.root_catalog,
            size: Some(manifest.root_catalog_size).filter(|&size| size != 0),
        };
        let references = references::check(store, name, &manifest, &mut findings);
        report.tags = references.tags.len() as u64;
        references.objects.iter().for_each(|object| expected.add(*object));
        let mut roots = vec![head.clone()];
        roots.extend(references.tags.iter().map(|tag| tag.root.clone()));
        roots.extend(references.logged.iter().map(|hash| CatalogReference {
            path: RepositoryPath::ROOT,
            hash: *hash,
            size: None,
        }));
        findings.extend(catalogs.walk(store, options.threads, roots, progress));
        findings.extend(catalogs.compare());
        findings.extend(references::compare(&references, &manifest, &head, &catalogs));
    }
    (report.catalogs, report.entries) = catalogs.count();
    catalogs.names().for_each(|object| expected.add(object));
    findings.extend(expected.add_files(catalogs.into_uses()));
    report.referenced_objects = expected.len();
    findings.extend(expected.missing(&stored));
    report.orphan_list = expected.orphans(&stored);
    report.orphans = report.orphan_list.len() as u64;
    report.orphaned_bytes = report.orphan_list.iter().map(|(_, size)| size).sum();
    if options.data {
        let hashed = expected.hash_all(store, &stored, options.threads, progress);
        (report.hashed_objects, report.hashed_bytes) = (hashed.objects, hashed.bytes);
        findings.extend(hashed.findings);
    }
    findings.sort();
    findings.dedup();
    report.findings = findings;
    report
}
