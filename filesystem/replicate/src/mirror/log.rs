//! The replica's own log of references: what it holds beside the newest revision, and since when.
//!
//! It is not the source's, which names revisions that were never copied: each copy keeps a log of its own, as in CernVM-FS.

use std::time::SystemTime;

use varve_content::{ContentHash, ObjectKind, ObjectName};
use varve_repository::{LoggedObject, ManifestFields, Reflog};
use varve_store::{Deadline, Freshness, RepositoryFile, StoreError};

use super::{Mirror, MirrorError, PATIENCE};

/// Adds what the manifest names, and the root catalogs of tagged revisions.
pub(super) fn write(
    mirror: &Mirror<'_>,
    manifest: &ManifestFields,
    tagged: impl Iterator<Item = ContentHash>,
    now: SystemTime,
) -> Result<(), MirrorError> {
    let file =
        mirror.replica.fetch_file(RepositoryFile::Reflog, Freshness::Revalidated, Deadline::after(PATIENCE));
    let mut log = match file {
        Ok(bytes) => Reflog::read(&bytes).map_err(MirrorError::Log)?,
        Err(StoreError::NotFound { .. }) => Reflog::new(mirror.name.clone()),
        Err(error) => return Err(MirrorError::Replica(error)),
    };
    let logged = now.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let named = [
        (Some(manifest.root_catalog), ObjectKind::Catalog),
        (manifest.certificate, ObjectKind::Certificate),
        (manifest.history, ObjectKind::History),
        (manifest.meta_info, ObjectKind::MetaInfo),
    ];
    let named = named.into_iter().filter_map(|(hash, kind)| Some((hash?, kind)));
    let mut is_longer = false;
    for (hash, kind) in tagged.map(|hash| (hash, ObjectKind::Catalog)).chain(named) {
        is_longer |= log.insert(LoggedObject { name: ObjectName::new(hash, kind), logged });
    }
    if !is_longer {
        return Ok(());
    }
    let bytes = log.to_bytes().map_err(MirrorError::Log)?;
    mirror.replica.put_file(RepositoryFile::Reflog, &bytes).map_err(MirrorError::Replica)
}
