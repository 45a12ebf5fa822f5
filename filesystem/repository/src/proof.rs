//! What proves that a root catalog was published: the signed files of one moment, small enough to be kept for ever.
//!
//! ```text
//! master key ──signs──▶ whitelist ──names──▶ certificate ──signs──▶ manifest ──names──▶ root catalog
//!                                                                       └──names──▶ history ──tags──▶ root catalogs
//! ```
//!
//! Later the manifest may name a newer root, and tags may go: whoever kept the proof of that moment can still show that the
//! older root was signed. A whitelist expires; that it was valid when the proof was made is for whoever made it to see.

use std::time::{Duration, SystemTime};

use varve_content::{Compression, ContentHash, ObjectKind, ObjectName, decompress};
use varve_store::{Deadline, Freshness, ObjectSource, ObjectStore, RepositoryFile, StoreError};

use crate::certificate::CERTIFICATE_LIMIT;
use crate::{
    HEAD, HISTORY_LIMIT, History, KeyFingerprint, Manifest, PREVIOUS_HEAD, PublicKeys, RepositoryError,
    RepositoryName, SignedManifest, SignedWhitelist, Tag, TagName, Trust, TrustError, WhitelistVerification,
};

/// How long one file may take to arrive.
const PATIENCE: Duration = Duration::from_secs(120);

/// The files of a proof, as they are served. Nothing is verified yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proof {
    repository: RepositoryName,
    manifest: Vec<u8>,
    whitelist: Vec<u8>,
    pkcs7: Option<Vec<u8>>,
    /// Certificate, then history if there is one: as they are stored.
    objects: Vec<(ObjectName, Vec<u8>)>,
}

/// A proof whose signatures hold.
#[derive(Clone, Debug)]
pub struct Proven {
    manifest: Manifest,
    history: History,
    key: KeyFingerprint,
}

/// A root catalog that was published, as a proof knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProvenRoot {
    /// Its size in bytes, decompressed; `None` where it is not told.
    pub size: Option<u64>,
    /// The revision's number: that of its first tag, else the manifest's.
    pub revision: u64,
    /// All numbers that it has: a manifest that is signed again for the same root catalog counts on.
    pub revisions: Vec<u64>,
    /// Its tags, those that follow the newest revision not among them.
    pub tags: Vec<TagName>,
}

/// Whether the whitelist has to be valid still.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProofAge {
    /// The proof is made now.
    New,
    /// It was verified when it was kept.
    Kept,
}

impl Proof {
    /// Reads what a repository shows now.
    ///
    /// # Errors
    /// [`RepositoryError::Store`]; [`RepositoryError::Trust`] if what came doesn't say what else is needed.
    pub fn read(repository: &RepositoryName, source: &dyn ObjectSource) -> Result<Self, RepositoryError> {
        let file = |file| source.fetch_file(file, Freshness::Revalidated, Deadline::after(PATIENCE));
        let manifest = file(RepositoryFile::Manifest)?;
        let whitelist = file(RepositoryFile::Whitelist)?;
        let claims = parse_manifest(repository, &manifest)?;
        let pkcs7 = match parse_whitelist(repository, &whitelist)?.verification() {
            WhitelistVerification::MasterKey => None,
            WhitelistVerification::Pkcs7 => Some(file(RepositoryFile::WhitelistPkcs7)?),
        };
        let mut objects = Vec::new();
        for (name, limit) in wanted(repository, &claims)? {
            let limit = Compression::Zlib.stored_bound(limit as u64);
            objects.push((name, source.fetch_to_memory(&name, limit, Deadline::after(PATIENCE))?));
        }
        Ok(Self { repository: repository.clone(), manifest, whitelist, pkcs7, objects })
    }

    /// Of files that came in another way. Objects are found among the given ones by their names.
    ///
    /// # Errors
    /// [`RepositoryError::Trust`] if the files don't say what else is needed, [`RepositoryError::Store`] if it is not there.
    pub fn assemble(
        repository: &RepositoryName,
        mut file: impl FnMut(RepositoryFile) -> Option<Vec<u8>>,
        mut object: impl FnMut(&ObjectName) -> Option<Vec<u8>>,
    ) -> Result<Self, RepositoryError> {
        let absent =
            |name: String| StoreError::NotFound { name, place: format!("what came of {repository}") };
        let mut wanted_file = |name: RepositoryFile| file(name).ok_or_else(|| absent(name.to_string()));
        let manifest = wanted_file(RepositoryFile::Manifest)?;
        let whitelist = wanted_file(RepositoryFile::Whitelist)?;
        let claims = parse_manifest(repository, &manifest)?;
        let pkcs7 = match parse_whitelist(repository, &whitelist)?.verification() {
            WhitelistVerification::MasterKey => None,
            WhitelistVerification::Pkcs7 => Some(wanted_file(RepositoryFile::WhitelistPkcs7)?),
        };
        let mut objects = Vec::new();
        for (name, _) in wanted(repository, &claims)? {
            objects.push((name, object(&name).ok_or_else(|| absent(name.to_string()))?));
        }
        Ok(Self { repository: repository.clone(), manifest, whitelist, pkcs7, objects })
    }

    /// Puts all files where [`Self::read`] finds them; the manifest last.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn store(&self, store: &dyn ObjectStore) -> Result<(), StoreError> {
        for (name, stored) in &self.objects {
            store.put(name, stored)?;
        }
        store.sync()?;
        for (file, bytes) in self.files() {
            store.put_file(file, bytes)?;
        }
        Ok(())
    }

    /// The signed files, the manifest last.
    pub fn files(&self) -> impl Iterator<Item = (RepositoryFile, &[u8])> {
        let pkcs7 = self.pkcs7.as_deref().map(|bytes| (RepositoryFile::WhitelistPkcs7, bytes));
        let others =
            [(RepositoryFile::Whitelist, &*self.whitelist), (RepositoryFile::Manifest, &*self.manifest)];
        pkcs7.into_iter().chain(others)
    }

    /// Certificate and history, as they are stored.
    pub fn objects(&self) -> impl Iterator<Item = (&ObjectName, &[u8])> {
        self.objects.iter().map(|(name, stored)| (name, stored.as_slice()))
    }

    /// Follows the chain from one of the keys to the root catalogs.
    ///
    /// # Errors
    /// [`RepositoryError::Trust`] for the first link that does not hold, [`RepositoryError::Store`] for an object that is not
    /// the one named, [`RepositoryError::Database`] for a history that can't be read.
    pub fn verify(
        &self,
        keys: &PublicKeys,
        age: ProofAge,
        now: SystemTime,
    ) -> Result<Proven, RepositoryError> {
        let (trust, key) = self.signer(keys, now)?;
        let pkcs7 = self.pkcs7.as_deref();
        let whitelist = match age {
            ProofAge::New => trust.verify_whitelist(&self.repository, &self.whitelist, pkcs7, now)?,
            ProofAge::Kept => trust.verify_kept_whitelist(&self.repository, &self.whitelist, pkcs7, now)?,
        };
        let signed = parse_manifest(&self.repository, &self.manifest)?;
        let mut plain = Vec::new();
        for (name, limit) in wanted(&self.repository, &signed)? {
            plain.push(self.object(&name, limit)?);
        }
        let mut plain = plain.into_iter();
        let certificate = plain.next().unwrap_or_default();
        let manifest = trust.verify_manifest(&self.repository, signed, &whitelist, &certificate, now)?;
        let history = match plain.next() {
            None => History::new(self.repository.clone()),
            Some(bytes) => History::read(&bytes).map_err(|source| RepositoryError::Database {
                repository: self.repository.clone(),
                source,
            })?,
        };
        Ok(Proven { manifest, history, key })
    }

    /// The one of the keys that signed the whitelist.
    fn signer(&self, keys: &PublicKeys, now: SystemTime) -> Result<(Trust, KeyFingerprint), RepositoryError> {
        let verify = |trust: &Trust| {
            trust.verify_kept_whitelist(&self.repository, &self.whitelist, self.pkcs7.as_deref(), now)
        };
        for key in keys.fingerprints() {
            let Some(alone) = keys.with_fingerprint(&key) else { continue };
            let trust = Trust::in_keys(alone);
            if verify(&trust).is_ok() {
                return Ok((trust, key));
            }
        }
        // All of them together tell what is wrong.
        match verify(&Trust::in_keys(keys.clone())) {
            Err(error) => Err(error.into()),
            Ok(_) => Err(TrustError::NoKeys { repository: self.repository.clone() }.into()),
        }
    }

    /// The plain bytes of an object, if it is here and is what its name says.
    fn object(&self, name: &ObjectName, limit: usize) -> Result<Vec<u8>, RepositoryError> {
        let place = || format!("the proof of {}", self.repository);
        let stored = self.objects.iter().find(|(other, _)| other == name).map(|(_, stored)| stored);
        let stored = stored.ok_or_else(|| StoreError::NotFound { name: name.to_string(), place: place() })?;
        let actual = name.hash.algorithm().hash(stored);
        if actual != name.hash {
            let (name, actual) = (name.to_string(), actual.to_string());
            return Err(StoreError::WrongHash { name, place: place(), actual }.into());
        }
        let content = |source| StoreError::Content { name: name.to_string(), source };
        Ok(decompress(stored, Compression::Zlib, limit).map_err(content)?)
    }
}

impl Proven {
    /// The manifest.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// The tags of that moment.
    pub fn history(&self) -> &History {
        &self.history
    }

    /// The master key that signed the whitelist.
    pub fn key(&self) -> KeyFingerprint {
        self.key
    }

    /// What is known of a root catalog; `None` if it is neither the manifest's nor has a tag: then nothing says that it was
    /// ever published.
    pub fn root(&self, root: &ContentHash) -> Option<ProvenRoot> {
        let tags: Vec<&Tag> = self.history.tags().iter().filter(|tag| tag.root_catalog == *root).collect();
        let is_newest = self.manifest.root_catalog == *root;
        let follows = |tag: &&&Tag| [HEAD, PREVIOUS_HEAD].contains(&tag.name.as_str());
        let (moving, fixed): (Vec<&Tag>, Vec<&Tag>) = tags.iter().partition(follows);
        let newest = is_newest.then_some((self.manifest.revision, self.manifest.root_catalog_size));
        let of = |tag: &&Tag| (tag.revision, tag.root_catalog_size);
        let all: Vec<(u64, u64)> = fixed.iter().map(of).chain(newest).chain(moving.iter().map(of)).collect();
        Some(ProvenRoot {
            size: all.iter().map(|(_, size)| *size).find(|&size| size > 0),
            revision: all.first()?.0,
            revisions: all.iter().map(|(revision, _)| *revision).collect(),
            tags: fixed.iter().map(|tag| tag.name.clone()).collect(),
        })
    }
}

/// The objects that belong to a proof, and the most plain bytes of each; the certificate first.
fn wanted(
    repository: &RepositoryName,
    manifest: &SignedManifest,
) -> Result<Vec<(ObjectName, usize)>, RepositoryError> {
    let claims = manifest.claims();
    let none = || TrustError::NoCertificate { repository: repository.clone() };
    let certificate = ObjectName::new(claims.certificate.ok_or_else(none)?, ObjectKind::Certificate);
    let mut wanted = vec![(certificate, CERTIFICATE_LIMIT)];
    wanted.extend(claims.history.map(|hash| (ObjectName::new(hash, ObjectKind::History), HISTORY_LIMIT)));
    Ok(wanted)
}

fn parse_manifest(repository: &RepositoryName, bytes: &[u8]) -> Result<SignedManifest, TrustError> {
    let repository = repository.clone();
    SignedManifest::parse(bytes).map_err(|source| TrustError::Manifest { repository, source })
}

fn parse_whitelist(repository: &RepositoryName, bytes: &[u8]) -> Result<SignedWhitelist, TrustError> {
    let repository = repository.clone();
    SignedWhitelist::parse(bytes).map_err(|source| TrustError::Whitelist { repository, source })
}
