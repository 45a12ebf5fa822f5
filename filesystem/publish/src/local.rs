//! A repository of this machine: where its parts lie, and the store it is published to.

use std::path::PathBuf;

use varve_repository::RepositoryName;
use varve_store::{AwsEnvironment, DirectoryStore, ObjectStore, S3Store};

use crate::error::PublishError;
use crate::lock::RepositoryLock;
use crate::settings::{S3Storage, Settings, SettingsError, SettingsFile, Storage};

/// Where the parts of a repository lie. The program decides that; nothing here is made before it is needed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LocalRepository {
    /// The repository's name.
    pub name: RepositoryName,
    /// The directory that is locked while somebody changes the repository, and served unless its objects are elsewhere.
    pub directory: PathBuf,
    /// The file with its settings.
    pub settings: PathBuf,
    /// The directory with its keys.
    pub keys: PathBuf,
    /// A file of this machine's own, that may be lost: which files need not be read again.
    pub state: PathBuf,
    /// The directory of the transaction that is open, if one is.
    pub transaction: PathBuf,
    /// Who asks where objects are kept by a service.
    pub aws: AwsEnvironment,
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

    /// Opens the store that the settings name. Of a bucket nothing is asked yet.
    ///
    /// # Errors
    /// [`PublishError::Store`] if there is none; [`PublishError::Settings`] if nobody knows who asks.
    pub fn open_store(&self, settings: &Settings) -> Result<Box<dyn ObjectStore>, PublishError> {
        Ok(match &settings.storage {
            Storage::Local => Box::new(DirectoryStore::open(&self.directory)?),
            Storage::Directory(path) => Box::new(DirectoryStore::open(path)?),
            Storage::S3(storage) => Box::new(self.open_bucket(storage)?),
        })
    }

    /// Makes the store that the settings name. A bucket has to be there.
    pub(crate) fn create_store(&self, settings: &Settings) -> Result<Box<dyn ObjectStore>, PublishError> {
        Ok(match &settings.storage {
            Storage::Local => Box::new(DirectoryStore::create(&self.directory)?),
            Storage::Directory(path) => Box::new(DirectoryStore::create(path)?),
            Storage::S3(storage) => Box::new(self.open_bucket(storage)?),
        })
    }

    /// Makes the store that the settings name, or opens it, for a replica of the repository: nothing of it is published here.
    /// Removes what a replication left behind that was killed.
    ///
    /// # Errors
    /// [`PublishError::Settings`], [`PublishError::Store`].
    pub fn open_replica(&self, lock: &RepositoryLock) -> Result<Box<dyn ObjectStore>, PublishError> {
        let settings = self.read_settings()?;
        let store = self.create_store(&settings)?;
        let _locked = lock;
        store.remove_leftovers()?;
        Ok(store)
    }

    fn open_bucket(&self, storage: &S3Storage) -> Result<S3Store, PublishError> {
        let config = storage.config(self.name.as_str(), &self.aws).map_err(SettingsError::from)?;
        Ok(S3Store::new(&config)?)
    }

    /// Where the objects are, for messages: a directory or a place in a bucket.
    pub fn place(&self, settings: &Settings) -> String {
        match &settings.storage {
            Storage::Local => self.directory.display().to_string(),
            Storage::Directory(path) => path.display().to_string(),
            Storage::S3(storage) => storage.location.of_repository(self.name.as_str()).to_string(),
        }
    }
}
