//! What the replica holds already, and whether it can be relied on.
//!
//! `.cvmfs_status.json` says it, in the field `replication`; its other fields are those that stratum 1 monitoring reads.
//! While a replication is under way it is not complete. One that was killed since the operating system started has left
//! whole files only; if the machine went down meanwhile, what is not proved by a stored catalog is read before it is
//! relied on.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use varve_repository::{Manifest, ManifestFields, RepositoryError, SignedManifest, status_date};
use varve_store::{Deadline, Freshness, RepositoryFile, StoreError};

use super::{Mirror, MirrorError, MirrorRequest, PATIENCE};

/// The replica as it was found.
pub(super) struct Held {
    manifest: Option<(Vec<u8>, ManifestFields)>,
    pub(super) whitelist: Option<Vec<u8>>,
    pub(super) pkcs7: Option<Vec<u8>>,
    status: Status,
    /// Nothing is stored yet.
    is_empty: bool,
}

/// `.cvmfs_status.json`.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Status {
    /// When the last replication ended, as `date --utc` writes it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    last_snapshot: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    replication: Option<Replication>,
    /// What others tell: the last check, the last collection.
    #[serde(flatten)]
    others: Map<String, Value>,
}

/// How far the replica is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Replication {
    /// Whether everything that the manifest names is there.
    complete: bool,
    /// Which tagged revisions are, see [`super::TagSelection`].
    tags: String,
    /// Since when the operating system of the machine runs that is at it, or was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    boot: Option<String>,
}

impl Held {
    /// Reads what there is.
    pub(super) fn read(mirror: &Mirror<'_>) -> Result<Self, MirrorError> {
        let place = || mirror.replica.place();
        let file =
            |file| match mirror.replica.fetch_file(file, Freshness::Revalidated, Deadline::after(PATIENCE)) {
                Ok(bytes) => Ok(Some(bytes)),
                Err(StoreError::NotFound { .. }) => Ok(None),
                Err(error) => Err(MirrorError::Replica(error)),
            };
        if file(RepositoryFile::MasterReplica)?.is_some() {
            return Err(MirrorError::Original { name: mirror.name.clone(), place: place() });
        }
        let manifest = match file(RepositoryFile::Manifest)? {
            None => None,
            Some(bytes) => {
                let damaged = |_| MirrorError::Damaged { file: RepositoryFile::Manifest, place: place() };
                let fields = SignedManifest::parse(&bytes).map_err(damaged)?.claims().clone();
                Some((bytes, fields))
            }
        };
        if let Some((_, fields)) = &manifest
            && fields.repository != *mirror.name
        {
            let (name, held) = (mirror.name.clone(), fields.repository.clone());
            return Err(MirrorError::OtherRepository { name, held, place: place() });
        }
        let status = file(RepositoryFile::Status)?.unwrap_or_default();
        Ok(Self {
            manifest,
            whitelist: file(RepositoryFile::Whitelist)?,
            pkcs7: file(RepositoryFile::WhitelistPkcs7)?,
            // One that can't be read tells nothing, as none does.
            status: serde_json::from_slice(&status).unwrap_or_default(),
            is_empty: is_empty(mirror)?,
        })
    }

    /// The held manifest, if it is this one and everything that is wanted of it is there.
    pub(super) fn is_complete(&self, manifest: &[u8], request: &MirrorRequest) -> Option<&ManifestFields> {
        let (bytes, fields) = self.manifest.as_ref()?;
        let replication = self.status.replication.as_ref()?;
        let covers = replication.complete && request.tags.is_covered_by(&replication.tags);
        (bytes == manifest && covers && self.whitelist.is_some()).then_some(fields)
    }

    /// Refuses a manifest that may not replace the held one. Of equal revisions the time decides.
    pub(super) fn check_not_older(&self, mirror: &Mirror<'_>, offered: &Manifest) -> Result<(), MirrorError> {
        let Some((_, held)) = &self.manifest else { return Ok(()) };
        let is_older = offered.revision < held.revision
            || (offered.revision == held.revision
                && offered.root_catalog != held.root_catalog
                && offered.published < held.published);
        if !is_older {
            return Ok(());
        }
        let (repository, offered, seen) = (mirror.name.clone(), offered.revision, held.revision);
        Err(RepositoryError::Downgrade { repository, offered, seen }.into())
    }

    /// Whether stored objects may be other than their names say: a loss of power may have come before they were synced.
    pub(super) fn is_doubtful(&self, request: &MirrorRequest) -> bool {
        match &self.status.replication {
            Some(replication) if replication.complete => false,
            Some(replication) => replication.boot.is_none() || replication.boot != request.boot,
            // Nobody knows who has stored what is there.
            None => !self.is_empty,
        }
    }

    /// Says that a replication is under way.
    pub(super) fn begin(&self, mirror: &Mirror<'_>, request: &MirrorRequest) -> Result<(), MirrorError> {
        // What is in doubt stays so until it is complete.
        let boot = request.boot.clone().filter(|_| !self.is_doubtful(request));
        let replication = Replication { complete: false, tags: request.tags.to_string(), boot };
        self.write(mirror, &Status { replication: Some(replication), ..self.status.clone() })
    }

    /// Says that everything is there, and when it was.
    pub(super) fn end(&self, mirror: &Mirror<'_>, request: &MirrorRequest) -> Result<(), MirrorError> {
        let date = status_date(request.now);
        let replication = Replication { complete: true, tags: request.tags.to_string(), boot: None };
        let last = format!("{date}\n");
        mirror
            .replica
            .put_file(RepositoryFile::LastSnapshot, last.as_bytes())
            .map_err(MirrorError::Replica)?;
        self.write(
            mirror,
            &Status {
                last_snapshot: Some(date),
                replication: Some(replication),
                others: self.status.others.clone(),
            },
        )
    }

    fn write(&self, mirror: &Mirror<'_>, status: &Status) -> Result<(), MirrorError> {
        let mut bytes = serde_json::to_vec_pretty(status).expect("because texts and flags make JSON");
        bytes.push(b'\n');
        mirror.replica.put_file(RepositoryFile::Status, &bytes).map_err(MirrorError::Replica)
    }
}

/// Whether the store of the replica has no object.
fn is_empty(mirror: &Mirror<'_>) -> Result<bool, MirrorError> {
    let mut has_one = false;
    let listed = mirror.replica.list(&mut |name, _| {
        has_one = true;
        // One is enough to know: this only ends the listing.
        Err(StoreError::NotFound { name: name.to_string(), place: String::new() })
    });
    if has_one { Ok(false) } else { listed.map(|()| true).map_err(MirrorError::Replica) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_status_keeps_what_others_wrote() {
        let text = r#"{"last_snapshot":"x","last_gc":"y","check_status":"succeeded"}"#;
        let status: Status = serde_json::from_str(text).expect("JSON");
        assert_eq!((status.last_snapshot.as_deref(), status.replication.as_ref()), (Some("x"), None));
        let again = serde_json::to_value(&status).expect("JSON");
        assert_eq!(again, serde_json::from_str::<Value>(text).expect("JSON"));
    }
}
