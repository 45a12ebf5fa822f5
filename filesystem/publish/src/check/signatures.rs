//! Checks the chain of trust at rest: manifest, whitelist, certificate.

use std::time::SystemTime;

use varve_content::{ObjectKind, ObjectName};
use varve_repository::{
    ManifestFields, RepositoryName, SignedManifest, SignedWhitelist, Trust, Whitelist, WhitelistVerification,
};
use varve_store::{Deadline, Freshness, ObjectStore, RepositoryFile, StoreError};

use super::PATIENCE;
use super::catalog::load;
use super::finding::{Finding, FindingKind, chain};

/// Reads a file of the repository; `None` if it is not there.
pub(super) fn file(store: &dyn ObjectStore, file: RepositoryFile) -> Result<Option<Vec<u8>>, String> {
    match store.fetch_file(file, Freshness::Revalidated, Deadline::after(PATIENCE)) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error @ StoreError::NotFound { .. }) if error.is_absence() => Ok(None),
        Err(error) => Err(chain(&error)),
    }
}

/// What the manifest says, even if its signature does not hold: then more can be found.
pub(super) fn check(
    store: &dyn ObjectStore,
    name: &RepositoryName,
    trust: &Trust,
    now: SystemTime,
    findings: &mut Vec<Finding>,
) -> Option<ManifestFields> {
    let manifest = required(store, FindingKind::Manifest, RepositoryFile::Manifest, findings);
    let whitelist = required(store, FindingKind::Whitelist, RepositoryFile::Whitelist, findings);
    let whitelist = whitelist.and_then(|bytes| verify_whitelist(store, name, trust, now, &bytes, findings));
    let mut find = |kind, file: RepositoryFile, problem: String| {
        findings.push(Finding::new(kind, problem).of_file(file));
    };
    let manifest = match SignedManifest::parse(&manifest?) {
        Ok(manifest) => manifest,
        Err(error) => {
            find(FindingKind::Manifest, RepositoryFile::Manifest, chain(&error));
            return None;
        }
    };
    let claims = manifest.claims().clone();
    let Some(certificate) = claims.certificate else {
        find(FindingKind::Manifest, RepositoryFile::Manifest, "names no certificate".to_owned());
        return Some(claims);
    };
    let object = ObjectName::new(certificate, ObjectKind::Certificate);
    let certificate = match load(store, &object) {
        Ok(certificate) => certificate,
        Err(problem) => {
            findings.push(Finding::new(FindingKind::Certificate, problem).of(&object));
            return Some(claims);
        }
    };
    if let Some(whitelist) = whitelist
        && let Err(error) = trust.verify_manifest(name, manifest, &whitelist, &certificate, now)
    {
        find(FindingKind::Manifest, RepositoryFile::Manifest, chain(&error));
    }
    Some(claims)
}

fn verify_whitelist(
    store: &dyn ObjectStore,
    name: &RepositoryName,
    trust: &Trust,
    now: SystemTime,
    bytes: &[u8],
    findings: &mut Vec<Finding>,
) -> Option<Whitelist> {
    let by_pkcs7 = SignedWhitelist::parse(bytes)
        .is_ok_and(|whitelist| whitelist.verification() == WhitelistVerification::Pkcs7);
    let pkcs7 = if by_pkcs7 {
        required(store, FindingKind::Whitelist, RepositoryFile::WhitelistPkcs7, findings)
    } else {
        None
    };
    match trust.verify_whitelist(name, bytes, pkcs7.as_deref(), now) {
        Ok(whitelist) => Some(whitelist),
        Err(error) => {
            let finding = Finding::new(FindingKind::Whitelist, chain(&error));
            findings.push(finding.of_file(RepositoryFile::Whitelist));
            None
        }
    }
}

/// The bytes of a file that has to be there.
fn required(
    store: &dyn ObjectStore,
    kind: FindingKind,
    wanted: RepositoryFile,
    findings: &mut Vec<Finding>,
) -> Option<Vec<u8>> {
    let problem = match file(store, wanted) {
        Ok(Some(bytes)) => return Some(bytes),
        Ok(None) => "is missing".to_owned(),
        Err(problem) => problem,
    };
    findings.push(Finding::new(kind, problem).of_file(wanted));
    None
}
