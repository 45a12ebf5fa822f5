//! What a worker must know, as the caller hands it over. Plain data; nothing is opened here.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use varve_repository::{Reference, RepositoryName};

use crate::failure::Failure;

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
    /// Addresses, with `@fqrn@` for the name; none for repositories of this machine.
    pub(crate) servers: Vec<String>,
    /// Groups of proxies.
    pub(crate) proxy: String,
    /// Where the content of external files is, with `@fqrn@` for the name.
    #[serde(default)]
    pub(crate) external_servers: Vec<String>,
    /// Groups of proxies on the way there.
    #[serde(default)]
    pub(crate) external_proxy: String,
    /// Files or directories of public keys; none for those of this machine.
    pub(crate) keys: Vec<PathBuf>,
    /// Variables of symbolic links.
    pub(crate) variables: Vec<(String, String)>,
    /// Show links as they were published.
    pub(crate) raw_links: bool,
    /// Seconds.
    pub(crate) refresh: Option<u64>,
    /// Where fetched objects are kept.
    pub(crate) cache: PathBuf,
    /// Bytes.
    pub(crate) cache_quota: Option<u64>,
    /// Where this machine's repositories are.
    pub(crate) local_repositories: PathBuf,
    /// Where this machine's keys are.
    pub(crate) local_keys: PathBuf,
}

impl MountSettings {
    /// Name and revision of the one repository.
    ///
    /// # Errors
    /// A usage error if the name is none.
    pub(crate) fn target(&self) -> Result<Option<(RepositoryName, Reference)>, Failure> {
        let Some(target) = &self.one else { return Ok(None) };
        let (name, revision) = target.split_once('@').unwrap_or((target, ""));
        let name = name.parse().map_err(Failure::usage_error)?;
        let revision = revision.parse().unwrap_or_default();
        Ok(Some((name, revision)))
    }

    /// Whether this can be meant at all, before any process is started.
    ///
    /// # Errors
    /// A usage error with a hint.
    pub(crate) fn check(&self) -> Result<(), Failure> {
        let Some((name, _)) = self.target()? else { return Ok(()) };
        let local = self.repository.local_repositories.join(name.as_str());
        if self.repository.servers.is_empty() && !local.is_dir() {
            return Err(Failure::usage(format!("there is no repository {name} on this machine"))
                .hint("say where it is served with --server http://host/cvmfs/NAME"));
        }
        Ok(())
    }
}
