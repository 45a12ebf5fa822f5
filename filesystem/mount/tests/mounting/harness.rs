//! Mounts for the time of a test, and the plan that their workers make of the settings.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use varve_mount::{
    Access, ClientFacts, MagicVisibility, MountOrder, MountPlan, MountedRepository, PlanRoot, Relaunch,
    RepositorySource, Status, start, unmount,
};
use varve_repository::{PublicKeys, Reference, Repository, RepositoryName, Trust};
use varve_store::{ByteSize, Cache, CacheConfig, DirectoryStore, HttpConfig, HttpSource, ObjectSource};
use varve_testkit::{Fixture, Scratch, wait_until};

/// More than anything here takes.
pub(crate) const LONG: Duration = Duration::from_secs(60);

type AnyError = Box<dyn Error + Send + Sync>;

/// A mount for the time of a test.
pub(crate) struct Mount {
    pub(crate) scratch: Scratch,
    pub(crate) directory: PathBuf,
}

/// Settings of a mount of what a fixture serves.
pub(crate) fn of_fixture(fixture: &Fixture) -> Value {
    settings(fixture.name(), &fixture.served(), &fixture.public_key())
}

/// Settings of a mount of a repository in a directory.
pub(crate) fn settings(name: &str, served: &Path, key: &Path) -> Value {
    json!({ "name": name, "served": served, "key": key, "reference": "" })
}

impl Mount {
    /// Mounts; `None`, said aloud, where that is impossible.
    pub(crate) fn new(settings: Value) -> Option<Self> {
        let scratch = Scratch::new();
        let directory = scratch.directory("mount");
        Self::at(scratch, directory, settings)
    }

    /// Mounts on a directory.
    pub(crate) fn at(scratch: Scratch, directory: PathBuf, settings: Value) -> Option<Self> {
        if !Path::new("/dev/fuse").exists() {
            println!("skipped: there is no /dev/fuse");
            return None;
        }
        let mount = Self { scratch, directory };
        start(mount.order(settings)).unwrap();
        Some(mount)
    }

    /// What is to be mounted. The cache and the control socket are beside the directory unless the settings say otherwise.
    pub(crate) fn order(&self, mut settings: Value) -> MountOrder {
        let name = self.directory.file_name().unwrap().to_str().unwrap().to_owned();
        if settings["cache"].is_null() {
            settings["cache"] = json!(self.scratch.path().join(format!("{name}.cache")));
        }
        settings["control"] = json!(self.control());
        let arguments = |role: &str| {
            let directory = self.directory.as_os_str().to_owned();
            vec!["--exact".into(), "--nocapture".into(), role.into(), directory]
        };
        MountOrder {
            directory: self.directory.clone(),
            source: settings["name"].as_str().unwrap_or("tree").to_owned(),
            access: Access::Everyone,
            set_id: false,
            relaunch: Relaunch {
                program: std::env::current_exe().unwrap(),
                shown_as: None,
                supervisor: arguments("becomes_supervisor"),
                worker: arguments("becomes_worker"),
            },
            settings,
            log: Some(self.log()),
            without_resend: false,
            without_attributes: false,
        }
    }

    pub(crate) fn path(&self, path: &str) -> PathBuf {
        self.directory.join(path.trim_start_matches('/'))
    }

    pub(crate) fn log(&self) -> PathBuf {
        self.directory.with_extension("log")
    }

    fn control(&self) -> PathBuf {
        self.directory.with_extension("socket")
    }

    pub(crate) fn status(&self) -> Status {
        self.ask("status")
    }

    /// Asks for new revisions at once.
    pub(crate) fn refresh(&self) -> Status {
        self.ask("refresh")
    }

    fn ask(&self, command: &str) -> Status {
        let mut answer = varve_mount::ask(&self.control(), command);
        wait_until("the control socket answers", LONG, || {
            if answer.is_err() {
                answer = varve_mount::ask(&self.control(), command);
            }
            answer.is_ok()
        });
        answer.unwrap()
    }

    pub(crate) fn kill_worker(&self) {
        let worker = self.status().worker;
        let pid = rustix::process::Pid::from_raw(worker as i32).unwrap();
        rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
        wait_until("another worker serves", LONG, || self.status().worker != worker);
    }

    pub(crate) fn cache(&self) -> PathBuf {
        self.directory.with_extension("cache")
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        let _ = unmount(&self.directory, true);
        if std::thread::panicking() {
            println!("{}", std::fs::read_to_string(self.log()).unwrap_or_default());
        }
    }
}

/// Whether this process was started to become a part of a mount.
pub(crate) fn is_started_by_a_mount() -> bool {
    rustix::net::sockopt::socket_type(std::io::stdin()) == Ok(rustix::net::SocketType::SEQPACKET)
}

/// The worker's plan.
pub(crate) fn plan(settings: &Value) -> Result<MountPlan, AnyError> {
    let root = match settings["tree"].as_array() {
        Some(_) => PlanRoot::Tree(Box::new(TreeOfSettings(settings.clone()))),
        None => PlanRoot::One(Box::new(mounted(settings)?)),
    };
    let mut plan = MountPlan::new(root, std::time::SystemTime::now);
    if let Some(milliseconds) = settings["deadline"].as_u64() {
        plan.deadline = Duration::from_millis(milliseconds);
    }
    if let Some(milliseconds) = settings["tidying"].as_u64() {
        plan.tidying = Duration::from_millis(milliseconds);
    }
    plan.control = settings["control"].as_str().map(PathBuf::from);
    Ok(plan)
}

struct TreeOfSettings(Value);

impl RepositorySource for TreeOfSettings {
    fn find(&self, name: &RepositoryName) -> Result<Option<MountedRepository>, AnyError> {
        let found = self.0["tree"].as_array().and_then(|repositories| {
            repositories.iter().find(|repository| repository["name"] == name.as_str())
        });
        let Some(found) = found else { return Ok(None) };
        let mut settings = found.clone();
        settings["cache"] = self.0["cache"].clone();
        mounted(&settings).map(Some)
    }

    fn listed(&self) -> Vec<RepositoryName> {
        let repositories = self.0["tree"].as_array().into_iter().flatten();
        repositories
            .filter(|one| one["listed"] == true)
            .map(|one| one["name"].as_str().unwrap().parse().unwrap())
            .collect()
    }
}

fn mounted(settings: &Value) -> Result<MountedRepository, AnyError> {
    let text = |field: &str| settings[field].as_str().unwrap_or_default().to_owned();
    let name: RepositoryName = text("name").parse()?;
    let http = |url: &str| -> Result<Arc<HttpSource>, AnyError> {
        let mut config = HttpConfig::new(url, "DIRECT")?;
        config.retries = 0;
        Ok(Arc::new(HttpSource::new(config)?))
    };
    let source: Arc<dyn ObjectSource> = match settings["url"].as_str() {
        Some(url) => http(url)?,
        None => Arc::new(DirectoryStore::open(Path::new(&text("served")))?),
    };
    let mut config = CacheConfig::new(text("cache"), std::time::SystemTime::now);
    config.quota = settings["quota"].as_u64().map(ByteSize::bytes);
    let key = std::fs::read_to_string(text("key"))?;
    let trust = Trust::in_keys(PublicKeys::from_pem(key.as_bytes())?);
    let cache = Arc::new(Cache::open(&config)?);
    let reference = text("reference");
    Ok(MountedRepository {
        repository: Arc::new(Repository::new(name, source, cache, trust)),
        external: settings["external"].as_str().map(http).transpose()?,
        reference: if reference.is_empty() { Reference::Latest } else { reference.parse()? },
        owner: None,
        variables: Some(
            settings["variables"]
                .as_object()
                .into_iter()
                .flatten()
                .map(|(name, value)| (name.clone().into_bytes(), value.as_str().unwrap_or_default().into()))
                .collect(),
        ),
        client: ClientFacts {
            hosts: vec!["http://localhost/cvmfs/x".into()],
            public_keys: vec![key],
            version: "2.12.0.0".into(),
            visibility: MagicVisibility::RootOnly,
            ..ClientFacts::default()
        },
        refresh_at_least_every: settings["refresh"].as_u64().map(Duration::from_secs),
        announced_by: None,
    })
}
