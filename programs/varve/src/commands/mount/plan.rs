//! Makes a worker's plan of the caller's settings: opens caches, keys, sources.

use std::error::Error;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use rustix::process::{getgid, getuid};
use varve_content::ContentHash;
use varve_mount::{ClientFacts, MountPlan, MountedRepository, PlanRoot, RepositorySource};
use varve_repository::{PublicKeys, Reference, Repository, RepositoryName, Trust};
use varve_store::{AwsEnvironment, ByteSize, Cache, CacheConfig, HttpSource};

use super::configuration::{MountSettings, RepositorySettings};
use crate::client::{Origin, Settings, reach};
use crate::copies::Copies;

type AnyError = Box<dyn Error + Send + Sync>;

/// The plan of the settings that came with an order.
/// Who asks where they name an S3 service is not in them.
pub(super) fn of_settings(settings: &serde_json::Value, aws: AwsEnvironment) -> Result<MountPlan, AnyError> {
    let settings: MountSettings = serde_json::from_value(settings.clone())?;
    let repositories = Repositories::open(settings.repository.clone(), aws)?;
    let target = settings.target().map_err(|_| "malformed repository name")?;
    let root = match target {
        Some((name, reference)) => {
            let settings = match &repositories.settings.effective {
                Some(settings) => settings.clone(),
                None => repositories.configured(Some(&name))?,
            };
            let mounted = repositories.mounted(&name, &settings, reference)?;
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
    aws: AwsEnvironment,
}

impl Repositories {
    fn open(settings: RepositorySettings, aws: AwsEnvironment) -> Result<Self, AnyError> {
        let mut config = CacheConfig::new(&settings.cache, SystemTime::now);
        config.quota = settings.cache_quota.map(ByteSize::bytes);
        let cache = Arc::new(Cache::open(&config)?);
        Ok(Self { settings, cache, aws })
    }

    /// `None` if it is neither on this machine nor are there servers.
    fn mounted(
        &self,
        name: &RepositoryName,
        settings: &Settings,
        reference: Reference,
    ) -> Result<Option<MountedRepository>, AnyError> {
        let mut client =
            ClientFacts { version: env!("CARGO_PKG_VERSION").to_owned(), ..ClientFacts::default() };
        let root = match &reference {
            Reference::Hash(root) => Some(root),
            _ => None,
        };
        let places = &self.settings.places;
        let Some(reached) = reach::reach(places, &self.aws, name, settings, root)? else { return Ok(None) };
        client.hosts = reached.hosts;
        if let Some(config) = &reached.servers {
            client.proxies = config.proxies.groups().iter().flatten().map(ToString::to_string).collect();
            (client.timeout, client.timeout_direct) = (config.timeout_proxied, config.timeout_direct);
        }
        let (source, announced_by) = (reached.source, reached.servers);
        let keys = self.public_keys(name, settings, root)?;
        client.public_keys = vec![keys.to_pem()];
        let trust = Trust::in_keys(keys);
        let repository = Repository::new(name.clone(), source, Arc::clone(&self.cache), trust);
        let external = settings.external(name)?.map(HttpSource::new).transpose()?.map(Arc::new);
        let claimed = settings.claim_ownership.as_ref().is_some_and(|claim| claim.value);
        Ok(Some(MountedRepository {
            repository: Arc::new(repository),
            external,
            reference,
            owner: self.settings.owner.or_else(|| claimed.then_some((getuid().as_raw(), getgid().as_raw()))),
            variables: (!self.settings.raw_links).then(|| self.variables(name)),
            client,
            refresh_at_least_every: settings.refresh.as_ref().map(|every| Duration::from_secs(every.value)),
            announced_by,
        }))
    }

    /// What is configured for a repository that appears in a tree.
    fn configured(&self, name: Option<&RepositoryName>) -> Result<Settings, AnyError> {
        let client = self.settings.sources.load(name)?;
        client.warnings().for_each(|warning| tracing::warn!("{warning}"));
        Ok(client.settings)
    }

    /// Whom to believe. Nobody has to be believed for a revision that is named by its root's hash.
    fn public_keys(
        &self,
        name: &RepositoryName,
        settings: &Settings,
        root: Option<&ContentHash>,
    ) -> Result<PublicKeys, AnyError> {
        let places = &self.settings.places;
        let files = reach::keys(places, name, settings, root);
        let mut keys = match root.is_some() && !files.iter().any(|file| file.exists()) {
            true => PublicKeys::default(),
            false => PublicKeys::load(&files)?,
        };
        let Some(fingerprint) = &self.settings.signed_by else { return Ok(keys) };
        if let Some(own) = root.and_then(|root| Copies::of(places).key(name, root)) {
            keys.extend(PublicKeys::load(&[own])?);
        }
        let missing = || format!("the key {fingerprint} of {name} is not among those of this machine");
        Ok(keys.with_fingerprint(&fingerprint.parse()?).ok_or_else(missing)?)
    }

    /// The given ones, and what CernVM-FS always knows.
    fn variables(&self, name: &RepositoryName) -> varve_mount::Variables {
        let known = [("CVMFS_FQRN", name.as_str()), ("CVMFS_ARCH", std::env::consts::ARCH)];
        let given = self.settings.variables.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        known.into_iter().chain(given).map(|(name, value)| (name.into(), value.into())).collect()
    }
}

impl RepositorySource for Repositories {
    fn find(&self, name: &RepositoryName) -> Result<Option<MountedRepository>, AnyError> {
        let settings = self.configured(Some(name))?;
        let is_listed = || settings.repositories.iter().any(|names| names.value.contains(&name.to_string()));
        if settings.only_listed.as_ref().is_some_and(|only| only.value) && !is_listed() {
            return Ok(None);
        }
        let reference = settings.reference();
        self.mounted(name, &settings, reference)
    }

    fn listed(&self) -> Vec<RepositoryName> {
        let settings = self.configured(None).unwrap_or_default();
        let mut names: Vec<RepositoryName> = settings
            .repositories
            .iter()
            .flat_map(|names| &names.value)
            .filter_map(|name| name.parse().ok())
            .collect();
        let asked_for = settings.servers.is_some_and(|servers| servers.origin == Origin::CommandLine);
        if !asked_for && let Ok(entries) = std::fs::read_dir(self.settings.places.repositories()) {
            names.extend(entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok()));
        }
        names.sort();
        names.dedup();
        names
    }
}
