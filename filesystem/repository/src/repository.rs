//! One repository as somebody who reads it sees it: its manifest, fetched and verified, and what the manifest names.
//!
//! ```text
//!  fetch ──▶ verified ──▶ not older than what was seen ──▶ kept for the next start ──▶ current
//!    │          │                 │
//!    │          └──── wrong ──────┴──▶ again past all caches, then from every other server ──▶ refused
//!    └─ no server answers ──▶ the kept one, and the reason why
//! ```
//!
//! What it says is decided by [`Trust`], what the tree holds by [`crate::Snapshot`].

use std::sync::Arc;
use std::time::SystemTime;

use parking_lot::Mutex;
use varve_content::{Compression, ContentHash, ObjectKind, ObjectName};
use varve_store::{
    Cache, Deadline, Freshness, ObjectRequest, ObjectSource, PlainSize, RepositoryFile, StoreError,
};

use crate::certificate::CERTIFICATE_LIMIT;
use crate::{
    CatalogLoader, CatalogReference, Certificate, HISTORY_LIMIT, History, META_INFO_LIMIT, Manifest,
    MetaInfo, Reference, RepositoryError, RepositoryName, RepositoryPath, SignedManifest, SignedWhitelist,
    Tag, Trust, TrustError, Whitelist, WhitelistVerification,
};

/// A repository at a source, with a cache and a belief.
pub struct Repository {
    name: RepositoryName,
    source: Arc<dyn ObjectSource>,
    cache: Arc<Cache>,
    trust: Trust,
    loader: Arc<CatalogLoader>,
    known: Mutex<Option<Known>>,
}

/// A verified manifest, and what stood behind it.
#[derive(Clone)]
struct Known {
    manifest: Arc<Manifest>,
    whitelist: Arc<Whitelist>,
}

/// A verified manifest, and where it came from.
#[derive(Debug)]
pub struct FetchedManifest {
    /// The manifest.
    pub manifest: Arc<Manifest>,
    /// Why it is the one kept from an earlier time: no server could be asked. `None` if a server gave it.
    pub offline: Option<RepositoryError>,
}

impl Repository {
    /// The repository `name` at `source`. Nothing is fetched yet.
    pub fn new(name: RepositoryName, source: Arc<dyn ObjectSource>, cache: Arc<Cache>, trust: Trust) -> Self {
        let loader = Arc::new(CatalogLoader::new(Arc::clone(&source), Arc::clone(&cache)));
        Self { name, source, cache, trust, loader, known: Mutex::new(None) }
    }

    /// Its name.
    pub fn name(&self) -> &RepositoryName {
        &self.name
    }

    /// Whom its readers believe.
    pub fn trust(&self) -> &Trust {
        &self.trust
    }

    /// What loads its catalogs, of all revisions.
    pub fn loader(&self) -> Arc<CatalogLoader> {
        Arc::clone(&self.loader)
    }

    /// The newest manifest that can be had.
    ///
    /// Of several servers the first is used whose files are genuine and not older than what was seen before, in this
    /// process or by another one with the same cache. If no server answers at all, it is the one seen before, even when
    /// its whitelist has expired since: it was valid when it was kept, and nothing can replace it.
    ///
    /// Caches on the way may answer with a manifest that they have had for a while, unless `freshness` says otherwise.
    ///
    /// # Errors
    /// [`RepositoryError::Trust`] for files that are not genuine, [`RepositoryError::Downgrade`] for a revision older than
    /// the one seen, [`RepositoryError::Store`] if no server answers and none was seen.
    pub fn fetch_manifest(
        &self,
        freshness: Freshness,
        now: SystemTime,
        deadline: Deadline,
    ) -> Result<FetchedManifest, RepositoryError> {
        let known = self.known(now, deadline);
        let mut refused = None;
        // Once as asked for, once past all caches, then each other server.
        for attempt in 0..=self.source.mirrors().max(1) {
            let freshness = if attempt == 0 { freshness } else { Freshness::Revalidated };
            if attempt > 1 {
                self.source.leave_mirror();
            }
            match self.fetch_newer(known.as_ref(), freshness, now, deadline) {
                Ok(fetched) => {
                    let manifest = Arc::clone(&fetched.manifest);
                    *self.known.lock() = Some(fetched);
                    return Ok(FetchedManifest { manifest, offline: None });
                }
                Err(error) if error.is_integrity() || error.is_absence() => refused = refused.or(Some(error)),
                Err(error) => {
                    refused = refused.or(Some(error));
                    break;
                }
            }
        }
        let error = refused.expect("because at least one attempt was made and none succeeded");
        match known {
            Some(known) if is_offline(&error) => {
                let manifest = Arc::clone(&known.manifest);
                *self.known.lock() = Some(known);
                Ok(FetchedManifest { manifest, offline: Some(error) })
            }
            _ => Err(error),
        }
    }

    /// The root catalog of a revision.
    ///
    /// # Errors
    /// [`RepositoryError::NoSuchRevision`] if no tag tells, and what fetching the history fails with.
    pub fn select(
        &self,
        manifest: &Manifest,
        reference: &Reference,
        deadline: Deadline,
    ) -> Result<CatalogReference, RepositoryError> {
        match reference {
            Reference::Latest => Ok(root(manifest.root_catalog, manifest.root_catalog_size)),
            Reference::Hash(hash) => Ok(root(*hash, 0)),
            Reference::Tag(_) | Reference::Date { .. } => {
                let tag = self.tag(manifest, reference, deadline)?;
                Ok(root(tag.root_catalog, tag.root_catalog_size))
            }
        }
    }

    /// The tag that a reference names or that was the newest at its time.
    ///
    /// # Errors
    /// As [`Self::select`]; also for references that are no matter of tags.
    pub fn tag(
        &self,
        manifest: &Manifest,
        reference: &Reference,
        deadline: Deadline,
    ) -> Result<Tag, RepositoryError> {
        let history = self.history(manifest, deadline)?;
        let tag = match reference {
            Reference::Tag(name) => history.tag(name),
            Reference::Date { seconds, text } => history.tag(text).or_else(|| history.at(*seconds)),
            Reference::Latest => history.tag(crate::HEAD),
            Reference::Hash(hash) => history.tags().iter().find(|tag| tag.root_catalog == *hash),
        };
        tag.cloned().ok_or_else(|| RepositoryError::NoSuchRevision {
            repository: self.name.clone(),
            reference: reference.to_string(),
        })
    }

    /// The tags; none for a repository that was published without.
    ///
    /// # Errors
    /// [`RepositoryError::Store`], [`RepositoryError::Database`] if the object is no history.
    pub fn history(&self, manifest: &Manifest, deadline: Deadline) -> Result<History, RepositoryError> {
        let Some(hash) = manifest.history else { return Ok(History::new(self.name.clone())) };
        let bytes = self.object(hash, ObjectKind::History, HISTORY_LIMIT, deadline)?;
        History::read(&bytes)
            .map_err(|source| RepositoryError::Database { repository: self.name.clone(), source })
    }

    /// The certificate of whoever signed a manifest.
    ///
    /// # Errors
    /// [`RepositoryError::Store`], [`RepositoryError::Trust`] if the object is no certificate.
    pub fn certificate(
        &self,
        manifest: &Manifest,
        deadline: Deadline,
    ) -> Result<Certificate, RepositoryError> {
        let bytes = self.certificate_bytes(manifest.certificate, deadline)?;
        let repository = self.name.clone();
        Certificate::from_pem(&bytes)
            .map_err(|source| RepositoryError::Trust(TrustError::Certificate { repository, source }))
    }

    /// The description as its maintainers wrote it, if there is one.
    ///
    /// # Errors
    /// [`RepositoryError::Store`].
    pub fn meta_info_text(
        &self,
        manifest: &Manifest,
        deadline: Deadline,
    ) -> Result<Option<Vec<u8>>, RepositoryError> {
        let object = |hash| self.object(hash, ObjectKind::MetaInfo, META_INFO_LIMIT, deadline);
        manifest.meta_info.map(object).transpose()
    }

    /// The description; an empty one if there is none.
    ///
    /// # Errors
    /// [`RepositoryError::Store`], [`RepositoryError::MetaInfo`] if it is no JSON object.
    pub fn meta_info(&self, manifest: &Manifest, deadline: Deadline) -> Result<MetaInfo, RepositoryError> {
        let Some(text) = self.meta_info_text(manifest, deadline)? else { return Ok(MetaInfo::default()) };
        MetaInfo::parse(&text)
            .map_err(|source| RepositoryError::MetaInfo { repository: self.name.clone(), source })
    }

    /// The newest that was seen: in this process, or by whoever keeps files in the same cache.
    fn known(&self, now: SystemTime, deadline: Deadline) -> Option<Known> {
        let held = self.known.lock().clone();
        let bytes = self.cache.kept_file(self.name.as_str(), RepositoryFile::Manifest);
        match (held, bytes) {
            (held, None) => held,
            (Some(held), Some(bytes)) if held.manifest.to_bytes() == bytes => Some(held),
            (held, Some(bytes)) => match self.verify_kept(&bytes, now, deadline) {
                Some(kept) if held.as_ref().is_none_or(|held| is_older(&held.manifest, &kept.manifest)) => {
                    Some(kept)
                }
                _ => held,
            },
        }
    }

    /// A manifest that was verified when it was kept. What does not verify any more (the keys were changed, say) counts as
    /// not kept.
    fn verify_kept(&self, manifest: &[u8], now: SystemTime, deadline: Deadline) -> Option<Known> {
        let scope = self.name.as_str();
        let manifest = SignedManifest::parse(manifest).ok()?;
        let whitelist = self.cache.kept_file(scope, RepositoryFile::Whitelist)?;
        let pkcs7 = self.cache.kept_file(scope, RepositoryFile::WhitelistPkcs7);
        let whitelist =
            self.trust.verify_kept_whitelist(&self.name, &whitelist, pkcs7.as_deref(), now).ok()?;
        let certificate = self.certificate_bytes(manifest.claims().certificate, deadline).ok()?;
        let manifest =
            self.trust.verify_manifest(&self.name, manifest, &whitelist, &certificate, now).ok()?;
        Some(Known { manifest: Arc::new(manifest), whitelist: Arc::new(whitelist) })
    }

    /// Fetches, verifies, compares with what is known, and keeps.
    fn fetch_newer(
        &self,
        known: Option<&Known>,
        freshness: Freshness,
        now: SystemTime,
        deadline: Deadline,
    ) -> Result<Known, RepositoryError> {
        let bytes = self.source.fetch_file(RepositoryFile::Manifest, freshness, deadline)?;
        if let Some(known) = known
            && known.manifest.to_bytes() == bytes
            && !known.whitelist.has_expired(now)
        {
            return Ok(known.clone());
        }
        let repository = || self.name.clone();
        let signed = SignedManifest::parse(&bytes)
            .map_err(|source| TrustError::Manifest { repository: repository(), source })?;
        let whitelist = self.source.fetch_file(RepositoryFile::Whitelist, freshness, deadline)?;
        let parsed = SignedWhitelist::parse(&whitelist)
            .map_err(|source| TrustError::Whitelist { repository: repository(), source })?;
        let pkcs7 = match parsed.verification() {
            WhitelistVerification::MasterKey => None,
            WhitelistVerification::Pkcs7 => {
                Some(self.source.fetch_file(RepositoryFile::WhitelistPkcs7, freshness, deadline)?)
            }
        };
        let verified = self.trust.verify_whitelist(&self.name, &whitelist, pkcs7.as_deref(), now)?;
        let certificate = self.certificate_bytes(signed.claims().certificate, deadline)?;
        let manifest = self.trust.verify_manifest(&self.name, signed, &verified, &certificate, now)?;
        if let Some(known) = known
            && is_older(&manifest, &known.manifest)
        {
            return Err(RepositoryError::Downgrade {
                repository: repository(),
                offered: manifest.revision,
                seen: known.manifest.revision,
            });
        }
        // The manifest last: a whitelist without it is harmless, the other way round it could not be verified.
        let keep = |file, bytes: &[u8]| self.cache.keep_file(self.name.as_str(), file, bytes);
        if let Some(pkcs7) = &pkcs7 {
            keep(RepositoryFile::WhitelistPkcs7, pkcs7)?;
        }
        keep(RepositoryFile::Whitelist, &whitelist)?;
        keep(RepositoryFile::Manifest, &bytes)?;
        Ok(Known { manifest: Arc::new(manifest), whitelist: Arc::new(verified) })
    }

    fn certificate_bytes(
        &self,
        hash: Option<ContentHash>,
        deadline: Deadline,
    ) -> Result<Vec<u8>, RepositoryError> {
        let hash = hash.ok_or_else(|| TrustError::NoCertificate { repository: self.name.clone() })?;
        self.object(hash, ObjectKind::Certificate, CERTIFICATE_LIMIT, deadline)
    }

    /// A small object through the cache, decompressed.
    fn object(
        &self,
        hash: ContentHash,
        kind: ObjectKind,
        limit: usize,
        deadline: Deadline,
    ) -> Result<Vec<u8>, RepositoryError> {
        let request = ObjectRequest {
            name: ObjectName::new(hash, kind),
            compression: Compression::Zlib,
            size: PlainSize::AtMost(limit as u64),
        };
        let object = self.cache.get(&request, &*self.source, deadline)?;
        match object.into_bytes() {
            // The copy on disk is damaged and has been dropped: once more.
            Err(StoreError::DamagedCopy { .. }) => {
                Ok(self.cache.get(&request, &*self.source, deadline)?.into_bytes()?)
            }
            bytes => Ok(bytes?),
        }
    }
}

/// The reference to a root catalog; 0 stands for a size that is not told.
fn root(hash: ContentHash, size: u64) -> CatalogReference {
    CatalogReference { path: RepositoryPath::ROOT, hash, size: (size > 0).then_some(size) }
}

/// Whether a manifest may not replace another one. Of equal revisions the time decides.
fn is_older(offered: &Manifest, seen: &Manifest) -> bool {
    offered.revision < seen.revision
        || (offered.revision == seen.revision
            && offered.root_catalog != seen.root_catalog
            && offered.published < seen.published)
}

/// Whether an error means that no server of the repository was reached: nobody answered, the repository is not there, or
/// somebody between answers with web pages. An absent certificate is another matter: any manifest can name one.
fn is_offline(error: &RepositoryError) -> bool {
    match error.met() {
        RepositoryError::Store(StoreError::NotFound { name, .. }) => name == RepositoryFile::Manifest.name(),
        RepositoryError::Store(error) => !error.is_integrity(),
        RepositoryError::Trust(error) => error.is_web_page(),
        _ => false,
    }
}
