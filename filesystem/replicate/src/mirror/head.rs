//! Which manifest is to be switched to: fetched, verified up to the master key, and not older than what is held.
//!
//! Of several servers the first is used whose files are genuine and not older than what is held. Proxies on the way are
//! asked to check with the origin, so that a replica is never behind because of them.

use std::time::{Duration, SystemTime};

use varve_content::{Compression, ObjectKind, ObjectName, decompress};
use varve_repository::{
    CERTIFICATE_LIMIT, Manifest, ManifestFields, RepositoryError, SignedManifest, SignedWhitelist,
    TrustError, Whitelist, WhitelistVerification,
};
use varve_store::{Deadline, Freshness, RepositoryFile, StoreError};

use super::held::Held;
use super::{Mirror, MirrorError, MirrorRequest, PATIENCE};

/// A held whitelist that expires within this time is asked for anew, also while the manifest stays the same.
const RENEWAL: Duration = Duration::from_secs(7 * 24 * 3600);

/// What the source offers.
pub(super) enum Offer {
    /// What is held already.
    Held(Box<ManifestFields>),
    /// Something that is to be copied.
    New(Box<Head>),
}

/// A verified manifest with all that proves it.
pub(super) struct Head {
    pub(super) manifest: Manifest,
    pub(super) manifest_bytes: Vec<u8>,
    pub(super) whitelist: Vec<u8>,
    pub(super) pkcs7: Option<Vec<u8>>,
    /// As it is stored.
    pub(super) certificate: (ObjectName, Vec<u8>),
}

/// Asks the source for its newest manifest.
pub(super) fn ask(mirror: &Mirror<'_>, held: &Held, request: &MirrorRequest) -> Result<Offer, MirrorError> {
    let mut refused = None;
    for attempt in 0..mirror.source.mirrors().max(1) {
        if attempt > 0 {
            mirror.source.leave_mirror();
        }
        match ask_once(mirror, held, request) {
            Err(error) if error.is_integrity() || is_absence(&error) => refused = refused.or(Some(error)),
            result => return result,
        }
    }
    Err(refused.expect("because at least one attempt was made and none succeeded"))
}

/// Whether the source wants to be copied: it is the original and marked so, or a replica itself.
pub(super) fn check_permission(mirror: &Mirror<'_>) -> Result<(), MirrorError> {
    for file in [RepositoryFile::MasterReplica, RepositoryFile::LastSnapshot] {
        match fetch(mirror, file) {
            Ok(_) => return Ok(()),
            Err(StoreError::NotFound { .. }) => {}
            Err(error) => return Err(error.into()),
        }
    }
    let place = mirror.source.place();
    Err(MirrorError::NotReplicatable { name: mirror.name.clone(), place })
}

fn ask_once(mirror: &Mirror<'_>, held: &Held, request: &MirrorRequest) -> Result<Offer, MirrorError> {
    let now = request.now;
    let manifest_bytes = fetch(mirror, RepositoryFile::Manifest)?;
    if let Some(manifest) = held.is_complete(&manifest_bytes, request) {
        renew_whitelist(mirror, held, &manifest_bytes, now)?;
        return Ok(Offer::Held(Box::new(manifest.clone())));
    }
    let (whitelist, pkcs7, verified) = fetch_whitelist(mirror, now)?;
    let signed = parse(mirror, &manifest_bytes)?;
    let certificate = fetch_certificate(mirror, &signed)?;
    let manifest = verify(mirror, signed, &verified, &certificate.1, now)?;
    held.check_not_older(mirror, &manifest)?;
    Ok(Offer::New(Box::new(Head { manifest, manifest_bytes, whitelist, pkcs7, certificate })))
}

/// The manifest stays, but its maintainers have to sign the whitelist again and again.
fn renew_whitelist(
    mirror: &Mirror<'_>,
    held: &Held,
    manifest: &[u8],
    now: SystemTime,
) -> Result<(), MirrorError> {
    let kept = held.whitelist.as_ref().and_then(|whitelist| {
        let pkcs7 = held.pkcs7.as_deref();
        mirror.trust.verify_kept_whitelist(mirror.name, whitelist, pkcs7, now).ok()
    });
    if kept.is_some_and(|kept| !kept.has_expired(now + RENEWAL)) {
        return Ok(());
    }
    let (whitelist, pkcs7, verified) = fetch_whitelist(mirror, now)?;
    if held.whitelist.as_ref() == Some(&whitelist) {
        return Ok(());
    }
    // It must vouch for the manifest that is shown with it.
    let signed = parse(mirror, manifest)?;
    let certificate = fetch_certificate(mirror, &signed)?;
    verify(mirror, signed, &verified, &certificate.1, now)?;
    if let Some(pkcs7) = &pkcs7 {
        mirror.replica.put_file(RepositoryFile::WhitelistPkcs7, pkcs7).map_err(MirrorError::Replica)?;
    }
    mirror.replica.put_file(RepositoryFile::Whitelist, &whitelist).map_err(MirrorError::Replica)
}

fn parse(mirror: &Mirror<'_>, bytes: &[u8]) -> Result<SignedManifest, MirrorError> {
    let repository = mirror.name.clone();
    SignedManifest::parse(bytes).map_err(|source| TrustError::Manifest { repository, source }.into())
}

fn verify(
    mirror: &Mirror<'_>,
    signed: SignedManifest,
    whitelist: &Whitelist,
    certificate: &[u8],
    now: SystemTime,
) -> Result<Manifest, MirrorError> {
    let plain = decompress(certificate, Compression::Zlib, CERTIFICATE_LIMIT)
        .map_err(|source| StoreError::Content { name: "the certificate".to_owned(), source })?;
    Ok(mirror.trust.verify_manifest(mirror.name, signed, whitelist, &plain, now)?)
}

type FetchedWhitelist = (Vec<u8>, Option<Vec<u8>>, Whitelist);

fn fetch_whitelist(mirror: &Mirror<'_>, now: SystemTime) -> Result<FetchedWhitelist, MirrorError> {
    let whitelist = fetch(mirror, RepositoryFile::Whitelist)?;
    let repository = mirror.name.clone();
    let parsed =
        SignedWhitelist::parse(&whitelist).map_err(|source| TrustError::Whitelist { repository, source })?;
    let pkcs7 = match (parsed.verification(), fetch_optional(mirror, &parsed)?) {
        (WhitelistVerification::Pkcs7, None) => {
            return Err(TrustError::Pkcs7Missing { repository: mirror.name.clone() }.into());
        }
        (_, pkcs7) => pkcs7,
    };
    let verified = mirror.trust.verify_whitelist(mirror.name, &whitelist, pkcs7.as_deref(), now)?;
    Ok((whitelist, pkcs7, verified))
}

fn fetch_optional(mirror: &Mirror<'_>, whitelist: &SignedWhitelist) -> Result<Option<Vec<u8>>, MirrorError> {
    if whitelist.verification() == WhitelistVerification::MasterKey {
        return Ok(None);
    }
    match fetch(mirror, RepositoryFile::WhitelistPkcs7) {
        Ok(pkcs7) => Ok(Some(pkcs7)),
        Err(StoreError::NotFound { .. }) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

fn fetch_certificate(
    mirror: &Mirror<'_>,
    manifest: &SignedManifest,
) -> Result<(ObjectName, Vec<u8>), MirrorError> {
    let repository = || mirror.name.clone();
    let hash = manifest
        .claims()
        .certificate
        .ok_or_else(|| TrustError::NoCertificate { repository: repository() })?;
    let name = ObjectName::new(hash, ObjectKind::Certificate);
    let limit = Compression::Zlib.stored_bound(CERTIFICATE_LIMIT as u64);
    let stored = mirror.source.fetch_to_memory(&name, limit, Deadline::after(PATIENCE))?;
    Ok((name, stored))
}

fn fetch(mirror: &Mirror<'_>, file: RepositoryFile) -> Result<Vec<u8>, StoreError> {
    mirror.source.fetch_file(file, Freshness::Revalidated, Deadline::after(PATIENCE))
}

fn is_absence(error: &MirrorError) -> bool {
    match error {
        MirrorError::Source(error) => error.is_absence(),
        MirrorError::Repository(error) => RepositoryError::is_absence(error),
        _ => false,
    }
}
