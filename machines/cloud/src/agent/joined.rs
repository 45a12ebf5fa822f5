//! What a host keeps of having joined.

use std::fs;
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::link::LinkConfig;
use crate::hosts::protocol::Joined;

/// Where the service is, and by which token this host is known. `Debug` doesn't show the token.
#[derive(Clone, Serialize, Deserialize)]
pub struct HostState {
    /// How the service is reached.
    pub service: LinkConfig,
    /// What people call this host.
    pub name: String,
    /// What the service said.
    pub joined: Joined,
}

impl std::fmt::Debug for HostState {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("HostState")
            .field("service", &self.service)
            .field("id", &self.joined.id)
            .finish_non_exhaustive()
    }
}

/// Why it can't be read or written.
#[derive(Debug, thiserror::Error)]
#[error("cannot use {path}")]
pub struct HostStateError {
    path: PathBuf,
    #[source]
    source: io::Error,
}

impl HostState {
    /// What was kept in a directory, if this host has joined.
    ///
    /// # Errors
    /// [`HostStateError`].
    pub fn read(directory: &Path) -> Result<Option<Self>, HostStateError> {
        let path = directory.join("host.json");
        let read = || match fs::read(&path) {
            Ok(bytes) => Ok(Some(serde_json::from_slice(&bytes)?)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        };
        read().map_err(|source| HostStateError { path: path.clone(), source })
    }

    /// Keeps it.
    ///
    /// # Errors
    /// [`HostStateError`].
    pub fn write(&self, directory: &Path) -> Result<(), HostStateError> {
        let (path, new) = (directory.join("host.json"), directory.join(".host.json"));
        let write = || -> io::Result<()> {
            fs::DirBuilder::new().recursive(true).mode(0o700).create(directory)?;
            let mut options = fs::OpenOptions::new();
            let mut file = options.write(true).create(true).truncate(true).mode(0o600).open(&new)?;
            file.write_all(&serde_json::to_vec_pretty(self)?)?;
            file.sync_all()?;
            fs::rename(&new, &path)?;
            fs::File::open(directory)?.sync_all()
        };
        write().map_err(|source| HostStateError { path: path.clone(), source })
    }
}
