//! A repository of this machine: where its parts lie, and the store it is published to.

use std::path::PathBuf;

use varve_repository::RepositoryName;
use varve_store::{DirectoryStore, ObjectStore, StoreError};

use crate::error::PublishError;
use crate::lock::RepositoryLock;
use crate::settings::{Settings, SettingsError, SettingsFile, Storage};

/// Where the parts of a repository lie. The program decides that; nothing here is made before it is needed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LocalRepository {
    /// The repository's name.
    pub name: RepositoryName,
    /// The directory that is served, and locked while somebody changes the repository.
    pub directory: PathBuf,
    /// The file with its settings.
    pub settings: PathBuf,
    /// The directory with its keys.
    pub keys: PathBuf,
    /// A file of this machine's own, that may be lost: which files need not be read again.
    pub state: PathBuf,
    /// The directory of the transaction that is open, if one is.
    pub transaction: PathBuf,
}

impl LocalRepository {
    /// Reads the settings; without a file they are the defaults.
    ///
    /// # Errors
    /// [`SettingsError`].
    pub fn read_settings(&self) -> Result<Settings, SettingsError> {
        match SettingsFile::read(&self.settings) {
            Ok(file) => file.resolve(),
            Err(SettingsError::Io { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => {
                Ok(Settings::default())
            }
            Err(error) => Err(error),
        }
    }

    /// Opens the store that the settings name.
    pub(crate) fn open_store(&self, settings: &Settings) -> Result<Box<dyn ObjectStore>, StoreError> {
        Ok(Box::new(DirectoryStore::open(self.storage(settings))?))
    }

    /// Makes the store that the settings name.
    pub(crate) fn create_store(&self, settings: &Settings) -> Result<Box<dyn ObjectStore>, StoreError> {
        Ok(Box::new(DirectoryStore::create(self.storage(settings))?))
    }

    /// Makes the store that the settings name, or opens it, for a replica of the repository: nothing of it is published here.
    /// Removes what a replication left behind that was killed.
    ///
    /// # Errors
    /// [`PublishError::Settings`], [`PublishError::Store`].
    pub fn open_replica(&self, lock: &RepositoryLock) -> Result<Box<dyn ObjectStore>, PublishError> {
        let settings = self.read_settings()?;
        let store = self.create_store(&settings)?;
        self.remove_leftovers(&settings, lock)?;
        Ok(store)
    }

    /// Removes what a publish left behind that was killed. `lock` proves that no other one is under way.
    pub(crate) fn remove_leftovers(
        &self,
        settings: &Settings,
        lock: &RepositoryLock,
    ) -> Result<(), StoreError> {
        let _ = lock;
        DirectoryStore::open(self.storage(settings))?.remove_leftovers()
    }

    /// The directory with the objects.
    pub fn storage(&self, settings: &Settings) -> PathBuf {
        match &settings.storage {
            Storage::Local => self.directory.clone(),
            Storage::Directory(path) => path.clone(),
        }
    }
}
