//! The newest revision of a local repository: read and verified before an operation, replaced at its end.
//!
//! ```text
//! objects and catalogs ─▶ certificate, history, description ─▶ .cvmfspublished.next ─▶ .cvmfsreflog ─▶ sync ─▶ state
//!   ─▶ .cvmfspublished
//! ```
//!
//! Up to the last step, one rename, the revision before is the valid one. After a crash between the reflog and the manifest
//! the reflog holds more than the manifest knows: it is taken as it is, since it only ever grows between manifests; the
//! next manifest, which names it, tells the check that nothing is damaged.

use std::time::{Duration, SystemTime};

use varve_content::{Compression, ContentHash, ObjectKind, ObjectName, decompress};
use varve_repository::{
    CatalogReference, HISTORY_LIMIT, History, LoggedObject, Manifest, ManifestFields, PublicKeys,
    PublishedRoot, Reflog, RepositoryPath, SignedManifest, SigningKeys, Trust, Whitelist,
};
use varve_store::{Deadline, Freshness, ObjectStore, RepositoryFile, StoreError};

use crate::error::PublishError;
use crate::local::LocalRepository;
use crate::lock::RepositoryLock;
use crate::pipeline::ObjectWriter;
use crate::settings::Settings;

/// How long a file of a repository may take to arrive.
const PATIENCE: Duration = Duration::from_secs(60);

/// The most bytes of a certificate object, decompressed.
pub(crate) const CERTIFICATE_LIMIT: u64 = 64 << 10;

/// A repository as it is: for looking at it.
pub(crate) struct Head {
    pub(crate) settings: Settings,
    pub(crate) store: Box<dyn ObjectStore>,
    pub(crate) manifest: Manifest,
    pub(crate) history: History,
    pub(crate) whitelist: Whitelist,
}

/// Whether an expired whitelist is an obstacle.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Expiry {
    Refused,
    Ignored,
}

/// A repository that nobody else changes meanwhile: for changing it.
pub(crate) struct Publisher {
    pub(crate) head: Head,
    pub(crate) keys: SigningKeys,
    _lock: RepositoryLock,
}

/// What a new manifest names.
pub(crate) struct NewHead {
    pub(crate) root: PublishedRoot,
    pub(crate) history: History,
    pub(crate) meta_info: Option<ContentHash>,
}

impl Head {
    /// Reads and verifies the newest revision.
    pub(crate) fn open(
        local: &LocalRepository,
        expiry: Expiry,
        now: SystemTime,
    ) -> Result<Self, PublishError> {
        let unknown = |error| match error {
            PublishError::Store(StoreError::NotFound { .. }) => {
                PublishError::Unknown { name: local.name.clone() }
            }
            error => error,
        };
        let settings = local.read_settings()?;
        let store = local.open_store(&settings).map_err(unknown)?;
        let file = |file| store.fetch_file(file, Freshness::Revalidated, Deadline::after(PATIENCE));
        let manifest = file(RepositoryFile::Manifest).map_err(|error| unknown(error.into()))?;
        let manifest = SignedManifest::parse(&manifest)
            .map_err(|source| PublishError::Manifest { name: local.name.clone(), source })?;
        let public = PublicKeys::load(&[local.keys.join(format!("{}.pub", local.name))])?;
        let trust = Trust::in_keys(public);
        let whitelist = file(RepositoryFile::Whitelist)?;
        let pkcs7 = match file(RepositoryFile::WhitelistPkcs7) {
            Ok(bytes) => Some(bytes),
            Err(StoreError::NotFound { .. }) => None,
            Err(error) => return Err(error.into()),
        };
        let whitelist = match expiry {
            Expiry::Refused => trust.verify_whitelist(&local.name, &whitelist, pkcs7.as_deref(), now)?,
            Expiry::Ignored => trust.verify_kept_whitelist(&local.name, &whitelist, pkcs7.as_deref(), now)?,
        };
        let certificate = match manifest.claims().certificate {
            Some(hash) => object(&*store, hash, ObjectKind::Certificate, CERTIFICATE_LIMIT)?,
            None => Vec::new(),
        };
        let manifest = trust.verify_manifest(&local.name, manifest, &whitelist, &certificate, now)?;
        let history = match manifest.history {
            Some(hash) => History::read(&object(&*store, hash, ObjectKind::History, HISTORY_LIMIT as u64)?)?,
            None => History::new(local.name.clone()),
        };
        Ok(Self { settings, store, manifest, history, whitelist })
    }

    /// Its root catalog.
    pub(crate) fn root(&self) -> CatalogReference {
        let size = Some(self.manifest.root_catalog_size).filter(|size| *size > 0);
        CatalogReference { path: RepositoryPath::ROOT, hash: self.manifest.root_catalog, size }
    }

    /// The same as tags name it.
    pub(crate) fn published(&self) -> PublishedRoot {
        PublishedRoot {
            root_catalog: self.manifest.root_catalog,
            root_catalog_size: self.manifest.root_catalog_size,
            revision: self.manifest.revision,
            published: self.manifest.published,
        }
    }
}

impl Publisher {
    /// Locks, reads and verifies.
    pub(crate) fn open(
        local: &LocalRepository,
        expiry: Expiry,
        now: SystemTime,
    ) -> Result<Self, PublishError> {
        if !local.directory.is_dir() {
            return Err(PublishError::Unknown { name: local.name.clone() });
        }
        let lock = RepositoryLock::take(&local.directory)?;
        let head = Head::open(local, expiry, now)?;
        head.store.remove_leftovers()?;
        let keys = SigningKeys::load(&local.keys, &local.name)?;
        Ok(Self { head, keys, _lock: lock })
    }

    /// Writes history and reflog, then switches the manifest. `before_switch` is called just before that.
    pub(crate) fn commit(
        &self,
        mut new: NewHead,
        before_switch: impl FnOnce() -> Result<(), PublishError>,
    ) -> Result<Manifest, PublishError> {
        let (head, store) = (&self.head, &*self.head.store);
        if let Some(previous) = head.manifest.history {
            new.history.set_previous(previous);
        }
        let reflog = read_reflog(head)?;
        name_the_reflog(head, &self.keys)?;
        commit(&head.settings, store, &self.keys, &new, reflog, before_switch)
    }
}

/// Everything up to and with the switch of the manifest.
pub(crate) fn commit(
    settings: &Settings,
    store: &dyn ObjectStore,
    keys: &SigningKeys,
    new: &NewHead,
    mut reflog: Reflog,
    before_switch: impl FnOnce() -> Result<(), PublishError>,
) -> Result<Manifest, PublishError> {
    let algorithm = settings.algorithm;
    let mut objects = ObjectWriter::new(store, algorithm, Compression::Zlib, settings.effort);
    let mut put = |what, kind, bytes: &[u8]| {
        objects.write(kind, bytes).map_err(|source| PublishError::Object { what, source })
    };
    let certificate = put("certificate", ObjectKind::Certificate, keys.certificate().pem())?;
    let history = put("history", ObjectKind::History, &new.history.to_bytes()?)?;
    let logged = [
        Some((new.root.root_catalog, ObjectKind::Catalog)),
        Some((certificate, ObjectKind::Certificate)),
        Some((history, ObjectKind::History)),
        new.meta_info.map(|hash| (hash, ObjectKind::MetaInfo)),
    ];
    for (hash, kind) in logged.into_iter().flatten() {
        reflog.insert(LoggedObject { name: ObjectName::new(hash, kind), logged: new.root.published });
    }
    let reflog = reflog.to_bytes()?;
    let manifest = keys.sign_manifest(
        ManifestFields {
            root_catalog: new.root.root_catalog,
            root_catalog_size: new.root.root_catalog_size,
            ttl: settings.ttl,
            revision: new.root.revision,
            garbage_collectable: settings.garbage_collectable,
            alternative_paths: false,
            repository: keys.repository().clone(),
            certificate: Some(certificate),
            history: Some(history),
            published: new.root.published,
            meta_info: new.meta_info,
            reflog: Some(Reflog::hash(&reflog, algorithm)),
        },
        algorithm,
    )?;
    store.put_file(RepositoryFile::NextManifest, &manifest.to_bytes())?;
    store.put_file(RepositoryFile::Reflog, &reflog)?;
    store.sync()?;
    before_switch()?;
    store.put_file(RepositoryFile::Manifest, &manifest.to_bytes())?;
    Ok(manifest)
}

/// If a publish was killed just before it switched the manifest: signs the manifest once more, now with the log that is left.
/// Otherwise the next `.cvmfspublished.next` would take the only name from that log, for whoever is killed behind it.
fn name_the_reflog(head: &Head, keys: &SigningKeys) -> Result<(), PublishError> {
    let store = &*head.store;
    let file = |file| store.fetch_file(file, Freshness::Revalidated, Deadline::after(PATIENCE));
    let (reflog, next) = match (file(RepositoryFile::Reflog), file(RepositoryFile::NextManifest)) {
        (Ok(reflog), Ok(next)) => (reflog, next),
        (Err(StoreError::NotFound { .. }), _) | (_, Err(StoreError::NotFound { .. })) => return Ok(()),
        (Err(error), _) | (_, Err(error)) => return Err(error.into()),
    };
    let left = SignedManifest::parse(&next).ok().and_then(|next| next.claims().reflog);
    let is_the_log = |hash: &ContentHash| Reflog::hash(&reflog, hash.algorithm()) == *hash;
    let Some(left) = left.filter(is_the_log) else { return Ok(()) };
    let algorithm = head.settings.algorithm;
    let mut objects = ObjectWriter::new(store, algorithm, Compression::Zlib, head.settings.effort);
    let certificate = objects
        .write(ObjectKind::Certificate, keys.certificate().pem())
        .map_err(|source| PublishError::Object { what: "certificate", source })?;
    // With another key than before this can't be done: its certificate is published with the new manifest.
    if head.manifest.reflog == Some(left) || head.manifest.certificate != Some(certificate) {
        return Ok(());
    }
    let fields = ManifestFields { reflog: Some(left), ..head.manifest.fields().clone() };
    let manifest = keys.sign_manifest(fields, algorithm)?;
    Ok(store.put_file(RepositoryFile::Manifest, &manifest.to_bytes())?)
}

/// The reflog as it is in the store; made anew from what the manifest and the tags name if it is missing.
fn read_reflog(head: &Head) -> Result<Reflog, PublishError> {
    let manifest = &head.manifest;
    match head.store.fetch_file(RepositoryFile::Reflog, Freshness::Revalidated, Deadline::after(PATIENCE)) {
        Ok(bytes) => Ok(Reflog::read(&bytes)?),
        Err(StoreError::NotFound { .. }) => {
            let mut reflog = Reflog::new(manifest.repository.clone());
            let logged = manifest.published;
            for tag in head.history.tags() {
                let name = ObjectName::new(tag.root_catalog, ObjectKind::Catalog);
                reflog.insert(LoggedObject { name, logged: tag.published });
            }
            let named = [
                (Some(manifest.root_catalog), ObjectKind::Catalog),
                (manifest.certificate, ObjectKind::Certificate),
                (manifest.history, ObjectKind::History),
                (manifest.meta_info, ObjectKind::MetaInfo),
            ];
            for (hash, kind) in named {
                if let Some(hash) = hash {
                    reflog.insert(LoggedObject { name: ObjectName::new(hash, kind), logged });
                }
            }
            Ok(reflog)
        }
        Err(error) => Err(error.into()),
    }
}

/// A small object, decompressed.
pub(crate) fn object(
    store: &dyn ObjectStore,
    hash: ContentHash,
    kind: ObjectKind,
    limit: u64,
) -> Result<Vec<u8>, PublishError> {
    let name = ObjectName::new(hash, kind);
    let stored =
        store.fetch_to_memory(&name, Compression::Zlib.stored_bound(limit), Deadline::after(PATIENCE))?;
    decompress(&stored, Compression::Zlib, limit as usize)
        .map_err(|source| PublishError::Compression { name: name.to_string(), source })
}

/// Seconds since 1970, but not before the revision that is followed: time never runs backwards in a repository.
pub(crate) fn publish_time(now: SystemTime, after: u64) -> u64 {
    now.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs()).max(after)
}
