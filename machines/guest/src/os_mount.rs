//! A repository as a directory of the machine: resolves which revision is meant, mounts it so that it outlives everything, and
//! what the mount's worker makes of its settings.

use std::error::Error;
use std::ffi::OsString;
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};
use varve_mount::{Access, ClientFacts, MountOrder, MountPlan, MountedRepository, PlanRoot, Relaunch};
use varve_repository::{PublicKeys, Reference, Repository, RepositoryName, Trust};
use varve_store::{ByteSize, Cache, CacheConfig, Deadline, Freshness, HttpConfig, HttpSource};

use crate::config::RepositoryConfig;
use crate::console::chain;
use crate::error::GuestError;

/// The name of the hidden command that holds a mount.
pub const SUPERVISOR: &str = "mount-supervisor";
/// The name of the hidden command that serves a mount.
pub const WORKER: &str = "mount-worker";
/// systemd ends every process at shutdown but those whose name begins with `@`: the system's files come through this one.
pub const OS_NAME: &str = "@varve-guest";
/// How long one attempt to resolve a revision may take.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long a read of the operating system waits for a server: a failed read of a program's page kills the program, so it
/// waits longer than any server takes to start again.
pub const OS_DEADLINE: Duration = Duration::from_secs(15 * 60);

/// How a repository is mounted.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct MountSettings {
    /// The repository.
    pub repository: RepositoryConfig,
    /// The revision, as people write it behind `@`; empty for following the latest.
    pub revision: String,
    /// Where fetched objects are kept.
    pub cache: PathBuf,
    /// Bytes.
    pub cache_quota: Option<u64>,
    /// The control socket.
    pub control: PathBuf,
    /// Seconds after which a read without an answer is an error.
    pub deadline: u64,
}

/// The revision that a reference means, as it is kept and shown.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Revision {
    /// The hash of its root catalog.
    pub hash: String,
    /// Its number; `None` if it was named by its hash.
    pub number: Option<u64>,
    /// The tag by which it was asked for, or that a date led to.
    pub tag: Option<String>,
    /// Whether no server could be asked, and it is the one known from before.
    pub offline: bool,
}

/// Asks which revision is meant.
///
/// # Errors
/// [`GuestError::Repository`] and what opening it fails with.
pub fn resolve(
    settings: &MountSettings,
    reference: &Reference,
    now: fn() -> SystemTime,
) -> Result<Revision, GuestError> {
    if let Reference::Hash(hash) = reference {
        return Ok(Revision { hash: hash.to_string(), number: None, tag: None, offline: false });
    }
    let Opened { repository, .. } = open(settings, now)?;
    let deadline = Deadline::after(PATIENCE);
    let fetched = repository.fetch_manifest(Freshness::Cached, now(), deadline)?;
    let manifest = &fetched.manifest;
    let offline = fetched.offline.is_some();
    if *reference == Reference::Latest {
        let hash = manifest.root_catalog.to_string();
        return Ok(Revision { hash, number: Some(manifest.revision), tag: None, offline });
    }
    let tag = repository.tag(manifest, reference, deadline)?;
    Ok(Revision {
        hash: tag.root_catalog.to_string(),
        number: Some(tag.revision),
        tag: Some(tag.name.to_string()),
        offline,
    })
}

/// Mounts a repository; returns when it can be used. Its processes live on, under the given name.
///
/// # Errors
/// [`GuestError::Mount`].
pub fn mount(
    settings: &MountSettings,
    at: &Path,
    program: &Path,
    log: &Path,
    name: &str,
) -> Result<(), GuestError> {
    fs::create_dir_all(at).map_err(GuestError::io("create", at))?;
    let arguments = |command: &str| vec![OsString::from(command)];
    varve_mount::start(MountOrder {
        directory: at.to_owned(),
        source: settings.repository.name.clone(),
        access: Access::Everyone,
        set_id: true,
        relaunch: Relaunch {
            program: program.to_owned(),
            shown_as: Some(name.into()),
            supervisor: arguments(SUPERVISOR),
            worker: arguments(WORKER),
        },
        settings: serde_json::to_value(settings).unwrap_or_default(),
        log: Some(log.to_owned()),
        without_resend: false,
        without_attributes: false,
    })?;
    Ok(())
}

/// Unmounts a repository, and waits until its processes have ended.
///
/// # Errors
/// [`GuestError::Mount`].
pub fn unmount(at: &Path) -> Result<(), GuestError> {
    Ok(varve_mount::unmount(at, true)?)
}

/// Becomes the process that holds a mount: the hidden command [`SUPERVISOR`].
///
/// # Errors
/// [`GuestError::Mount`].
pub fn supervisor() -> Result<(), GuestError> {
    Ok(varve_mount::supervisor()?)
}

/// Becomes the process that serves a mount: the hidden command [`WORKER`].
///
/// # Errors
/// [`GuestError::Mount`].
pub fn worker(now: fn() -> SystemTime) -> Result<(), GuestError> {
    Ok(varve_mount::worker(|settings| plan(settings, now))?)
}

/// What a worker serves, from the settings that came with its order.
fn plan(
    settings: &serde_json::Value,
    now: fn() -> SystemTime,
) -> Result<MountPlan, Box<dyn Error + Send + Sync>> {
    let settings: MountSettings = serde_json::from_value(settings.clone())?;
    let Opened { repository, http, keys } = open(&settings, now)?;
    let name = settings.repository.name.as_str();
    let variables = [("CVMFS_FQRN", name), ("CVMFS_ARCH", std::env::consts::ARCH)];
    let mounted = MountedRepository {
        client: ClientFacts {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            hosts: http.servers.iter().map(ToString::to_string).collect(),
            proxies: http.proxies.groups().iter().flatten().map(ToString::to_string).collect(),
            timeout: http.timeout_proxied,
            timeout_direct: http.timeout_direct,
            public_keys: vec![keys],
            ..ClientFacts::default()
        },
        repository: Arc::new(repository),
        external: None,
        reference: settings.revision.parse().unwrap_or_default(),
        owner: None,
        variables: Some(variables.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect()),
        refresh_at_least_every: None,
        announced_by: Some(http),
    };
    let mut plan = MountPlan::new(PlanRoot::One(Box::new(mounted)), now);
    plan.deadline = Duration::from_secs(settings.deadline.max(1));
    plan.control = Some(settings.control);
    Ok(plan)
}

pub(crate) struct Opened {
    pub(crate) repository: Repository,
    http: HttpConfig,
    /// In PEM.
    keys: String,
}

/// A repository that can be asked.
///
/// # Errors
/// [`GuestError`] if its settings can't be used.
pub(crate) fn open(settings: &MountSettings, now: fn() -> SystemTime) -> Result<Opened, GuestError> {
    let malformed = |reason: String| GuestError::Setting { place: "repository".to_owned(), reason };
    let RepositoryConfig { name, servers, proxy, keys } = &settings.repository;
    let name: RepositoryName = name.parse().map_err(|error| malformed(chain(&error)))?;
    let mut http = HttpConfig::new(servers, proxy)?;
    // Until the request's own deadline.
    http.retries = u32::MAX;
    http.backoff_limit = Duration::from_secs(4);
    let mut config = CacheConfig::new(&settings.cache, now);
    config.quota = settings.cache_quota.map(ByteSize::bytes);
    let cache = Arc::new(Cache::open(&config)?);
    let public_keys = PublicKeys::from_pem(keys.as_bytes())?;
    let keys = public_keys.to_pem();
    let source = Arc::new(HttpSource::new(http.clone())?);
    let repository = Repository::new(name, source, cache, Trust::in_keys(public_keys));
    Ok(Opened { repository, http, keys })
}

impl fmt::Display for Revision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(number) = self.number {
            write!(f, "revision {number}, ")?;
        }
        f.write_str(&self.hash)?;
        if let Some(tag) = &self.tag {
            write!(f, " ({tag})")?;
        }
        f.write_str(if self.offline { ", as known from before: no server answers" } else { "" })
    }
}
