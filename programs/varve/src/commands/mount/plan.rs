//! Makes a worker's plan of the caller's settings: opens caches, keys, sources.

use std::error::Error;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use varve_mount::{ClientFacts, MountPlan, MountedRepository, PlanRoot, RepositorySource};
use varve_repository::{PublicKeys, Reference, Repository, RepositoryName, Trust};
use varve_store::{ByteSize, Cache, CacheConfig, DirectoryStore, HttpConfig, HttpSource, ObjectSource};

use super::configuration::{MountSettings, RepositorySettings};

type AnyError = Box<dyn Error + Send + Sync>;

/// The plan of the settings that came with an order.
pub(super) fn of_settings(settings: &serde_json::Value) -> Result<MountPlan, AnyError> {
    let settings: MountSettings = serde_json::from_value(settings.clone())?;
    let repositories = Repositories::open(settings.repository.clone())?;
    let target = settings.target().map_err(|_| "malformed repository name")?;
    let root = match target {
        Some((name, reference)) => {
            let mounted = repositories.mounted(&name, reference)?;
            PlanRoot::One(Box::new(
                mounted.ok_or_else(|| format!("there is no repository {name} on this machine"))?,
            ))
        }
        None => PlanRoot::Tree(Box::new(repositories)),
    };
    let mut plan = MountPlan::new(root, SystemTime::now);
    plan.deadline = Duration::from_secs(settings.deadline.max(1));
    plan.control = settings.control;
    Ok(plan)
}

/// Every repository that the settings can reach, behind one cache.
struct Repositories {
    settings: RepositorySettings,
    cache: Arc<Cache>,
}

impl Repositories {
    fn open(settings: RepositorySettings) -> Result<Self, AnyError> {
        let mut config = CacheConfig::new(&settings.cache, SystemTime::now);
        config.quota = settings.cache_quota.map(ByteSize::bytes);
        let cache = Arc::new(Cache::open(&config)?);
        Ok(Self { settings, cache })
    }

    /// `None` if it is neither on this machine nor are there servers.
    fn mounted(
        &self,
        name: &RepositoryName,
        reference: Reference,
    ) -> Result<Option<MountedRepository>, AnyError> {
        let mut client =
            ClientFacts { version: env!("CARGO_PKG_VERSION").to_owned(), ..ClientFacts::default() };
        let source: Arc<dyn ObjectSource> = if self.settings.servers.is_empty() {
            let directory = self.settings.local_repositories.join(name.as_str());
            if !directory.is_dir() {
                return Ok(None);
            }
            client.hosts = vec![directory.display().to_string()];
            Arc::new(DirectoryStore::open(&directory)?)
        } else {
            client.hosts = addresses(&self.settings.servers, name);
            client.proxies = self.settings.proxy.split([';', '|']).map(str::to_owned).collect();
            let config = HttpConfig::new(&client.hosts.join(";"), &self.settings.proxy)?;
            (client.timeout, client.timeout_direct) = (config.timeout_proxied, config.timeout_direct);
            Arc::new(HttpSource::new(config)?)
        };
        let keys = PublicKeys::load(&self.keys(name))?;
        client.public_keys = vec![keys.to_pem()];
        let trust = Trust::in_keys(keys);
        let repository = Repository::new(name.clone(), source, Arc::clone(&self.cache), trust);
        Ok(Some(MountedRepository {
            repository: Arc::new(repository),
            external: self.external(name)?,
            reference,
            variables: (!self.settings.raw_links).then(|| self.variables(name)),
            client,
            refresh_at_least_every: self.settings.refresh.map(Duration::from_secs),
        }))
    }

    fn external(&self, name: &RepositoryName) -> Result<Option<Arc<HttpSource>>, AnyError> {
        if self.settings.external_servers.is_empty() {
            return Ok(None);
        }
        let servers = addresses(&self.settings.external_servers, name).join(";");
        let source = HttpSource::new(HttpConfig::new(&servers, &self.settings.external_proxy)?)?;
        Ok(Some(Arc::new(source)))
    }

    fn keys(&self, name: &RepositoryName) -> Vec<PathBuf> {
        if !self.settings.keys.is_empty() {
            return self.settings.keys.clone();
        }
        vec![self.settings.local_keys.join(format!("{name}.pub"))]
    }

    /// The given ones, and what CernVM-FS always knows.
    fn variables(&self, name: &RepositoryName) -> varve_mount::Variables {
        let known = [("CVMFS_FQRN", name.as_str()), ("CVMFS_ARCH", std::env::consts::ARCH)];
        let given = self.settings.variables.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        known.into_iter().chain(given).map(|(name, value)| (name.into(), value.into())).collect()
    }
}

/// The addresses of a repository on servers.
fn addresses(servers: &[String], name: &RepositoryName) -> Vec<String> {
    servers.iter().map(|server| server.replace("@fqrn@", name.as_str())).collect()
}

impl RepositorySource for Repositories {
    fn find(&self, name: &RepositoryName) -> Result<Option<MountedRepository>, AnyError> {
        self.mounted(name, Reference::Latest)
    }

    fn listed(&self) -> Vec<RepositoryName> {
        if !self.settings.servers.is_empty() {
            return Vec::new();
        }
        let Ok(entries) = std::fs::read_dir(&self.settings.local_repositories) else { return Vec::new() };
        entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect()
    }
}
