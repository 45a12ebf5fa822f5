//! What a worker must know, as the caller hands it over. Plain data; nothing is opened here.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use varve_repository::{Reference, RepositoryName};

use crate::client::{Settings, Sources};
use crate::copies::Copies;
use crate::failure::Failure;
use crate::places::Places;

/// A whole mount.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct MountSettings {
    /// What every repository of it has.
    pub(crate) repository: RepositorySettings,
    /// `NAME[@REVISION]`; `None` for a tree.
    pub(crate) one: Option<String>,
    /// Seconds.
    pub(crate) deadline: u64,
    /// The control socket.
    pub(crate) control: Option<PathBuf>,
}

/// How the repositories of a mount are read.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct RepositorySettings {
    /// What is configured for the one repository, when it was mounted; of a tree each is looked up when it appears.
    pub(crate) effective: Option<Settings>,
    /// Where the configuration lies.
    pub(crate) sources: Sources,
    /// User and group that own every file, whatever is configured.
    #[serde(default)]
    pub(crate) owner: Option<(u32, u32)>,
    /// The fingerprint of the master key that must have signed, if it isn't enough that one of the known ones did.
    #[serde(default)]
    pub(crate) signed_by: Option<String>,
    /// Variables of symbolic links.
    pub(crate) variables: Vec<(String, String)>,
    /// Show links as they were published.
    pub(crate) raw_links: bool,
    /// Where fetched objects are kept.
    pub(crate) cache: PathBuf,
    /// Bytes.
    pub(crate) cache_quota: Option<u64>,
    /// Where this user's repositories, keys and copies are.
    pub(crate) places: Places,
}

impl MountSettings {
    /// Name and revision of the one repository.
    ///
    /// # Errors
    /// A usage error if the name is none.
    pub(crate) fn target(&self) -> Result<Option<(RepositoryName, Reference)>, Failure> {
        let Some(target) = &self.one else { return Ok(None) };
        let (name, revision) = split(target);
        let name = name.parse().map_err(Failure::usage_error)?;
        let configured = self.repository.effective.as_ref().map(Settings::reference);
        let revision = match revision {
            Some(revision) => revision.parse().unwrap_or_default(),
            None => configured.unwrap_or_default(),
        };
        Ok(Some((name, revision)))
    }

    /// Whether this can be meant at all, before any process is started.
    ///
    /// # Errors
    /// A usage error with a hint.
    pub(crate) fn check(&self, settings: &Settings) -> Result<(), Failure> {
        let Some((name, reference)) = self.target()? else { return Ok(()) };
        let places = &self.repository.places;
        let is_copied = match &reference {
            Reference::Hash(root) => Copies::of(places).revision(&name, root).is_some(),
            _ => false,
        };
        let http = settings.http(&name)?;
        settings.external(&name)?;
        if http.is_none() && !is_copied && !places.repository(&name).is_dir() {
            return Err(Failure::usage(format!(
                "there is no repository {name} on this machine, and no server is configured for it"
            ))
            .hint(
                "say where it is served with --server http://host/cvmfs/NAME, or in a file that docs/operate/client.md names",
            ));
        }
        Ok(())
    }
}

/// Name and revision of `NAME[@REVISION]`.
pub(crate) fn split(target: &str) -> (&str, Option<&str>) {
    target.split_once('@').map_or((target, None), |(name, revision)| (name, Some(revision)))
}
