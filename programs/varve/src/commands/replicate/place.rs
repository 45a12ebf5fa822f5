//! Where a replica lies, and the right to change it.

use std::fs;
use std::path::{Path, PathBuf};

use varve_publish::{LocalRepository, RepositoryLock};
use varve_repository::{PublicKeys, RepositoryName};
use varve_store::{DirectoryStore, ObjectStore};

use crate::commands::repo::local;
use crate::failure::Failure;
use crate::invocation::Invocation;

/// Where a replica lies.
pub(super) enum Place {
    /// Among the repositories of this machine, whose settings may name a storage elsewhere.
    Local(LocalRepository),
    /// In this directory.
    Directory(PathBuf),
}

/// A replica that nobody else changes meanwhile.
pub(super) struct Opened {
    pub(super) store: Box<dyn ObjectStore>,
    _lock: RepositoryLock,
}

impl Place {
    pub(super) fn new(
        invocation: &Invocation,
        name: &RepositoryName,
        to: Option<&Path>,
    ) -> Result<Self, Failure> {
        Ok(match to {
            Some(directory) => Self::Directory(directory.join(name.as_str())),
            None => Self::Local(local::repository(invocation, name)?),
        })
    }

    /// Locks it, and makes what is missing of it.
    pub(super) fn open(&self) -> Result<Opened, Failure> {
        let directory = match self {
            Self::Local(local) => &local.directory,
            Self::Directory(directory) => directory,
        };
        fs::create_dir_all(directory).map_err(|error| Failure::io("create directory", directory, error))?;
        let lock = RepositoryLock::take(directory).map_err(varve_publish::PublishError::from)?;
        let store: Box<dyn ObjectStore> = match self {
            Self::Local(local) => local.open_replica(&lock)?,
            Self::Directory(directory) => {
                let store = DirectoryStore::create(directory)?;
                store.remove_leftovers()?;
                Box::new(store)
            }
        };
        Ok(Opened { store, _lock: lock })
    }
}

/// Keeps public keys for the next time, and for `varve repo check` and `varve mount`.
pub(super) fn keep_keys(file: &Path, keys: &PublicKeys) -> Result<(), Failure> {
    let written =
        file.parent().map_or(Ok(()), fs::create_dir_all).and_then(|()| fs::write(file, keys.to_pem()));
    written.map_err(|error| Failure::io("write", file, error))
}
