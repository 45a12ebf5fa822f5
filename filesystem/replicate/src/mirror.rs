//! Replication: a store comes to hold a repository's newest revision and its tags, and switches to it when all is there.
//!
//! ```text
//! manifest ─▶ the one that is held? ── yes ─▶ done: one request
//!    │ verified, newer
//!    ▼
//! "incomplete" ─▶ newest revision ─▶ tagged revisions ─▶ certificate, history, description ─▶ log of references
//!    ─▶ sync ─▶ whitelist ─▶ manifest ─▶ "complete"
//! ```
//!
//! Invariants:
//! - A catalog is stored only after everything that it names is stored and synced. So a stored catalog proves that all below
//!   it is there: unchanged parts of the tree cost one look, and an interrupted replication goes on where it was.
//! - The manifest switches last. Killed at any step, the replica serves the revision that it held before.
//! - Nothing is stored whose hash was not checked. An object that the source definitely does not have ends the replication
//!   of the newest revision; only older ones may have been collected at the source meanwhile, and are told as gone.
//! - One process at a time: whoever calls holds the replica's lock.
//!
//! | file | owns |
//! |---|---|
//! | head | which manifest is to be switched to, and what proves it |
//! | held | what the replica holds already, and whether it can be relied on |
//! | walk | the catalogs and objects of some revisions, many in flight |
//! | schedule | which of that is done next, and which catalogs are complete |
//! | tags | which tagged revisions are wanted |
//! | log | the replica's own log of references |

mod budget;
mod error;
mod head;
mod held;
mod log;
pub(crate) mod needs;
mod schedule;
mod tags;
pub(crate) mod walk;

use std::num::NonZeroUsize;
use std::time::{Duration, SystemTime};

use varve_content::{Compression, ContentHash, ObjectKind, ObjectName, decompress};
use varve_repository::{
    CatalogReference, HISTORY_LIMIT, History, META_INFO_LIMIT, ManifestFields, RepositoryName,
    RepositoryPath, Trust,
};
use varve_store::{Deadline, Freshness, ObjectSource, ObjectStore, RepositoryFile, StoreError};

pub use error::MirrorError;
use head::{Head, Offer};
use held::Held;
pub use tags::{TagPattern, TagSelection};
use walk::{Absence, Walk};

/// How long a file of the repository, or a small object, may take to arrive.
const PATIENCE: Duration = Duration::from_secs(120);

/// How often a replication starts over because the source has moved on meanwhile.
const ATTEMPTS: u32 = 5;

/// A repository that is to be copied: from where, to where, and whom to believe.
pub struct Mirror<'a> {
    /// The repository.
    pub name: &'a RepositoryName,
    /// Where it comes from.
    pub source: &'a dyn ObjectSource,
    /// Where it is kept, and served from.
    pub replica: &'a dyn ObjectStore,
    /// Whose signatures count.
    pub trust: &'a Trust,
}

/// How it is copied.
#[derive(Clone, Debug)]
pub struct MirrorRequest {
    /// Which tagged revisions are wanted beside the newest.
    pub tags: TagSelection,
    /// How many requests are under way at a time, at most.
    pub workers: NonZeroUsize,
    /// The most bytes of objects that are held in memory.
    pub memory: u64,
    /// The time, for the whitelist's validity and for what is told of the replication.
    pub now: SystemTime,
    /// Changes with every start of the operating system: what a process has left that was killed since then is still as it
    /// left it; after a loss of power it is read and checked.
    pub boot: Option<String>,
    /// Copy also from a source that is neither marked as replicatable nor a replica itself.
    pub unmarked_source: bool,
    /// Change nothing, only tell what would be fetched. Catalogs are fetched.
    pub dry_run: bool,
}

/// What became of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mirrored {
    /// The revision that the replica holds now.
    pub revision: u64,
    /// Its root catalog.
    pub root_catalog: ContentHash,
    /// After how long clients look for the next one.
    pub ttl: Duration,
    /// Whether the replica has switched to it now.
    pub is_new: bool,
    /// Catalogs that were fetched.
    pub catalogs: u64,
    /// Objects that were fetched, catalogs among them. In a dry run: that would be.
    pub objects: u64,
    /// Their stored bytes. In a dry run: the most they can have.
    pub bytes: u64,
    /// Objects that were looked for and were there.
    pub present: u64,
    /// Tagged revisions that are kept, the newest not counted.
    pub tagged: u64,
    /// Tags whose revisions the source has no longer.
    pub gone: Vec<GoneTag>,
}

/// A tag whose revision can't be had.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GoneTag {
    /// The tag.
    pub name: String,
    /// What is missing.
    pub reason: String,
}

/// Receives progress, from many threads at once.
pub trait MirrorProgress: Sync {
    /// A catalog was fetched.
    fn catalog(&self, path: &RepositoryPath) {
        let _ = path;
    }

    /// So many more objects are to be fetched.
    fn missing(&self, objects: u64) {
        let _ = objects;
    }

    /// Objects have been fetched and stored.
    fn stored(&self, objects: u64, bytes: u64) {
        let _ = (objects, bytes);
    }
}

/// Tells nobody.
#[derive(Clone, Copy, Debug, Default)]
pub struct UnseenProgress;

impl MirrorProgress for UnseenProgress {}

/// The small objects that a manifest names.
struct Appendix {
    objects: Vec<(ObjectName, Vec<u8>)>,
    history: History,
}

impl Mirror<'_> {
    /// Makes the replica equal to the source.
    ///
    /// # Errors
    /// [`MirrorError`]. The replica is as it was before, but for objects that the next call need not fetch again.
    pub fn run(
        &self,
        request: &MirrorRequest,
        progress: &dyn MirrorProgress,
    ) -> Result<Mirrored, MirrorError> {
        let held = Held::read(self)?;
        let mut failed = None;
        for _ in 0..ATTEMPTS {
            let head = match head::ask(self, &held, request)? {
                Offer::Held(manifest) => return Ok(Mirrored::unchanged(&manifest)),
                Offer::New(head) => head,
            };
            match self.copy(&held, &head, request, progress) {
                Err(MirrorError::Incomplete { revision, object, place, .. })
                    if !self.is_current(&head)? =>
                {
                    failed = Some(MirrorError::Unsettled { revision, object, place });
                }
                result => return result,
            }
        }
        Err(failed.expect("because every attempt that doesn't return leaves its error"))
    }

    /// Whether the source still offers this manifest.
    fn is_current(&self, head: &Head) -> Result<bool, MirrorError> {
        let offered = self.source.fetch_file(
            RepositoryFile::Manifest,
            Freshness::Revalidated,
            Deadline::after(PATIENCE),
        )?;
        Ok(offered == head.manifest_bytes)
    }

    fn copy(
        &self,
        held: &Held,
        head: &Head,
        request: &MirrorRequest,
        progress: &dyn MirrorProgress,
    ) -> Result<Mirrored, MirrorError> {
        if !request.unmarked_source {
            head::check_permission(self)?;
        }
        if !request.dry_run {
            held.begin(self, request)?;
        }
        let appendix = self.fetch_appendix(head)?;
        let manifest = &head.manifest;
        let newest = root(manifest.root_catalog, manifest.root_catalog_size);
        let walk = Walk::new(self, request, held.is_doubtful(request), progress);
        walk.run(vec![newest], Absence::Fails { revision: manifest.revision })?;
        let tags = request.tags.select(&appendix.history, manifest.root_catalog);
        let mut roots: Vec<CatalogReference> = Vec::new();
        for tag in &tags {
            if roots.iter().all(|root| root.hash != tag.root_catalog) {
                roots.push(root(tag.root_catalog, tag.root_catalog_size));
            }
        }
        // The last of the stack is begun with.
        roots.reverse();
        let tagged = roots.len() as u64;
        let lost = walk.run(roots, Absence::IsTold)?;
        let told = walk.told();
        if !request.dry_run {
            for (name, stored) in &appendix.objects {
                self.replica.put(name, stored).map_err(MirrorError::Replica)?;
            }
            let kept = tags.iter().filter(|tag| !lost.contains_key(&tag.root_catalog));
            log::write(self, manifest, kept.map(|tag| tag.root_catalog), request.now)?;
            self.switch(head)?;
            held.end(self, request)?;
        }
        let gone = tags.iter().filter_map(|tag| {
            let reason = lost.get(&tag.root_catalog)?.clone();
            Some(GoneTag { name: tag.name.to_string(), reason })
        });
        Ok(Mirrored {
            revision: manifest.revision,
            root_catalog: manifest.root_catalog,
            ttl: manifest.ttl,
            is_new: !request.dry_run,
            catalogs: told.catalogs,
            objects: told.objects + appendix.objects.len() as u64,
            bytes: told.bytes + appendix.objects.iter().map(|(_, stored)| stored.len() as u64).sum::<u64>(),
            present: told.present,
            tagged: tagged - lost.len() as u64,
            gone: gone.collect(),
        })
    }

    /// Certificate, history and description, as they are stored.
    fn fetch_appendix(&self, head: &Head) -> Result<Appendix, MirrorError> {
        let manifest = &head.manifest;
        let wanted: Vec<(ObjectName, u64)> = [
            (manifest.history, ObjectKind::History, HISTORY_LIMIT),
            (manifest.meta_info, ObjectKind::MetaInfo, META_INFO_LIMIT),
        ]
        .into_iter()
        .filter_map(|(hash, kind, limit)| {
            Some((ObjectName::new(hash?, kind), Compression::Zlib.stored_bound(limit as u64)))
        })
        .collect();
        let fetched = self.source.fetch_batch(&wanted, Deadline::after(PATIENCE));
        let mut objects = vec![head.certificate.clone()];
        for ((name, _), stored) in wanted.iter().zip(fetched) {
            let stored = stored.map_err(|error| match error {
                StoreError::NotFound { place, .. } => {
                    MirrorError::Incomplete { revision: manifest.revision, object: *name, place }
                }
                error => error.into(),
            })?;
            objects.push((*name, stored));
        }
        let history = match objects.iter().find(|(name, _)| name.kind == ObjectKind::History) {
            None => History::new(self.name.clone()),
            Some((name, stored)) => {
                let plain = decompress(stored, Compression::Zlib, HISTORY_LIMIT).map_err(|source| {
                    MirrorError::Source(StoreError::Content { name: name.to_string(), source })
                })?;
                History::read(&plain)
                    .map_err(|source| MirrorError::History { repository: self.name.clone(), source })?
            }
        };
        Ok(Appendix { objects, history })
    }

    /// Shows the new revision: everything before it is on disk when the manifest is renamed into place.
    fn switch(&self, head: &Head) -> Result<(), MirrorError> {
        let replica = |result: Result<(), StoreError>| result.map_err(MirrorError::Replica);
        replica(self.replica.sync())?;
        if let Some(pkcs7) = &head.pkcs7 {
            replica(self.replica.put_file(RepositoryFile::WhitelistPkcs7, pkcs7))?;
        }
        replica(self.replica.put_file(RepositoryFile::Whitelist, &head.whitelist))?;
        replica(self.replica.put_file(RepositoryFile::Manifest, &head.manifest_bytes))
    }
}

impl Mirrored {
    fn unchanged(manifest: &ManifestFields) -> Self {
        Self {
            revision: manifest.revision,
            root_catalog: manifest.root_catalog,
            ttl: manifest.ttl,
            is_new: false,
            catalogs: 0,
            objects: 0,
            bytes: 0,
            present: 0,
            tagged: 0,
            gone: Vec::new(),
        }
    }
}

/// The reference to a root catalog; 0 stands for a size that is not told.
fn root(hash: ContentHash, size: u64) -> CatalogReference {
    CatalogReference { path: RepositoryPath::ROOT, hash, size: (size > 0).then_some(size) }
}
