//! Where a repository is read from: a whole copy of the revision kept here, this machine's own repository, servers. And the
//! keys that are believed for it.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::SystemTime;

use varve_content::ContentHash;
use varve_publish::{LocalRepository, PublishError, SettingsError};
use varve_repository::RepositoryName;
use varve_store::{
    AwsEnvironment, DirectoryStore, HttpConfig, HttpConfigError, HttpSource, ObjectSource, ObjectStore,
    StoreError,
};

use super::{ClientError, Origin, Settings, nearby};
use crate::copies::Copies;
use crate::places::Places;

/// A repository that can be read.
pub(crate) struct Reached {
    pub(crate) source: Arc<dyn ObjectSource>,
    /// The addresses of its servers, or the place on this machine.
    pub(crate) hosts: Vec<String>,
    /// How its servers are reached, if they are.
    pub(crate) servers: Option<HttpConfig>,
}

/// Finds a repository; with `root` known, among the copies first: where they are whole, nobody else is needed. Servers that the
/// command line names come before this machine's own repository. `None` if it is neither on this machine nor are there
/// servers.
///
/// # Errors
/// [`ReachError`].
pub(crate) fn reach(
    places: &Places,
    aws: &AwsEnvironment,
    name: &RepositoryName,
    settings: &Settings,
    root: Option<&ContentHash>,
) -> Result<Option<Reached>, ReachError> {
    let copies = Copies::of(places);
    if let Some(copy) =
        root.map_or(Ok(None), |root| copies.use_revision(name, root)).map_err(ReachError::Copy)?
    {
        let source = Arc::new(DirectoryStore::open(&copy)?);
        return Ok(Some(Reached { source, hosts: vec![copy.display().to_string()], servers: None }));
    }
    let asked_for = settings.servers.as_ref().is_some_and(|servers| servers.origin == Origin::CommandLine);
    if !asked_for && places.repository(name).is_dir() {
        let local = local(places, aws, name);
        let settings = local.read_settings()?;
        let store: Arc<dyn ObjectStore> = Arc::from(local.open_store(&settings)?);
        return Ok(Some(Reached { source: store, hosts: vec![local.place(&settings)], servers: None }));
    }
    let Some(mut config) = settings.http(name)? else { return Ok(None) };
    if settings.geo.as_ref().is_some_and(|geo| geo.value) {
        config = nearby::sort(config, &places.cache().join("nearby"), SystemTime::now());
    }
    if let Some(most) = &settings.max_servers {
        config.servers.truncate(most.value.max(1));
    }
    let hosts = config.servers.iter().map(ToString::to_string).collect();
    let source = Arc::new(HttpSource::new(config.clone())?);
    Ok(Some(Reached { source, hosts, servers: Some(config) }))
}

/// The configured keys. For those of CernVM-FS's files this machine's own key of the repository stands in, and where none is
/// known, the one that came with a copy of the revision.
pub(crate) fn keys(
    places: &Places,
    name: &RepositoryName,
    settings: &Settings,
    root: Option<&ContentHash>,
) -> Vec<PathBuf> {
    let own = places.keys().join(format!("{name}.pub"));
    let client = places.client();
    let of_cvmfs = |origin: &Origin| match origin {
        Origin::File { path, .. } => *path != client,
        Origin::CommandLine => false,
    };
    match &settings.keys {
        Some(keys) if !(of_cvmfs(&keys.origin) && own.exists()) => keys.value.clone(),
        _ if own.exists() => vec![own],
        _ => root
            .and_then(|root| Copies::of(places).key(name, root))
            .map_or_else(|| vec![own], |key| vec![key]),
    }
}

fn local(places: &Places, aws: &AwsEnvironment, name: &RepositoryName) -> LocalRepository {
    LocalRepository {
        name: name.clone(),
        directory: places.repository(name),
        settings: places.settings(name),
        keys: places.keys().to_owned(),
        // Reading needs neither.
        state: PathBuf::new(),
        transaction: PathBuf::new(),
        aws: aws.clone(),
    }
}

/// Why a repository can't be read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ReachError {
    /// The configuration is wrong.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// The settings of a repository of this machine are.
    #[error(transparent)]
    Settings(#[from] SettingsError),
    /// Its store can't be opened.
    #[error(transparent)]
    Local(#[from] PublishError),
    /// A copy can't be used.
    #[error("a copy of the revision can't be used")]
    Copy(#[source] std::io::Error),
    /// A copy can't be.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Servers can't be asked as they are configured.
    #[error(transparent)]
    Servers(#[from] HttpConfigError),
}
