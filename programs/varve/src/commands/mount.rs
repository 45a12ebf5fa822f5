//! `varve mount`: one repository, or a tree of them, as a directory. And the two hidden commands that are its processes.

mod configuration;
mod plan;

use std::fs;
use std::path::{Path, PathBuf};

use clap::Args;
use varve_content::Algorithm;
use varve_mount::{Access, MountOrder, MountedRepository, PlanRoot, Relaunch};
use varve_repository::{KeyFingerprint, RepositoryName};
use varve_store::{AwsEnvironment, ByteSize};

use self::configuration::{MountSettings, RepositorySettings};
use crate::client::{Client, Origin, Section, Settings, Size, Sources};
use crate::exit_code::ExitCode;
use crate::failure::Failure;
use crate::invocation::Invocation;
use crate::places::Places;

/// Mount a repository, read-only; returns when the directory can be used
#[derive(Args, Debug)]
#[command(
    after_help = "Examples:\n  varve mount software.example.org /mnt/software --server http://host/cvmfs/software.example.org \
                  --key software.example.org.pub\n  varve mount software.example.org@v1 /mnt/v1\n  varve mount --all \
                  /cvmfs\nWhat no option says is taken from the configuration: see `varve config` and \
                  docs/operate/client.md.\nEnded by `varve umount`, and by SIGTERM to its processes."
)]
pub(crate) struct Mount {
    /// The repository, and behind @ a tag, a root hash or a date; or the directory with --all
    #[arg(value_name = "NAME[@REVISION]")]
    target: String,
    /// The directory to mount on
    #[arg(required_unless_present = "all")]
    directory: Option<PathBuf>,
    /// Mount a tree in which each repository appears when its name is looked up
    #[arg(long, conflicts_with = "directory")]
    all: bool,
    /// Where the repository is served, with @fqrn@ for its name; may be repeated, best first
    ///
    /// Without any, a repository that was published on this machine, else the configured servers.
    #[arg(long = "server", value_name = "URL")]
    servers: Vec<String>,
    /// A file with public master keys, or a directory of them
    ///
    /// Without any, the configured ones, else NAME.pub among the keys of this machine.
    #[arg(long = "key", value_name = "PATH")]
    keys: Vec<PathBuf>,
    /// Proxies: groups separated by ;, each of several separated by |, DIRECT for none
    #[arg(long, value_name = "LIST")]
    proxy: Option<String>,
    /// Where the content of external files is, below their paths, with @fqrn@ for the name; may be repeated, best first
    ///
    /// Without any, reading a file fails that the catalog says is external.
    #[arg(long = "external-server", value_name = "URL")]
    external_servers: Vec<String>,
    /// Proxies on the way to those servers, as for --proxy
    #[arg(long, value_name = "LIST")]
    external_proxy: Option<String>,
    /// The directory that keeps what was fetched
    #[arg(long, value_name = "DIRECTORY")]
    cache: Option<PathBuf>,
    /// How large that may become, such as 4GiB
    #[arg(long, value_name = "SIZE")]
    cache_quota: Option<ByteSize>,
    /// A variable for symbolic links with $(NAME) in them; may be repeated
    #[arg(long = "variable", value_name = "NAME=VALUE", value_parser = variable)]
    variables: Vec<(String, String)>,
    /// Show symbolic links as they were published, for publishing them again
    #[arg(long, conflicts_with = "variables")]
    raw_links: bool,
    /// Show every file as owned by who mounts, whoever owned it when it was published
    #[arg(long)]
    claim_ownership: bool,
    #[arg(skip)]
    owner: Option<(u32, u32)>,
    #[arg(skip)]
    signed_by: Option<KeyFingerprint>,
    /// Held by another process than one of its own, that nobody else may ask.
    #[arg(skip)]
    held: bool,
    /// Seconds after which a request without an answer is an error
    #[arg(long, value_name = "SECONDS", default_value_t = 30)]
    deadline: u64,
    /// Ask for new revisions at least this often
    #[arg(long, value_name = "SECONDS")]
    refresh: Option<u64>,
    /// Only this user may enter
    #[arg(long)]
    private: bool,
    /// Honour set-user-id and set-group-id bits
    #[arg(long)]
    suid: bool,
    /// Stay in the foreground until the directory is unmounted
    #[arg(short, long)]
    foreground: bool,
}

impl Default for Mount {
    /// As without any option.
    fn default() -> Self {
        Self {
            target: String::new(),
            directory: None,
            all: false,
            servers: vec![],
            keys: vec![],
            proxy: None,
            external_servers: vec![],
            external_proxy: None,
            cache: None,
            cache_quota: None,
            variables: vec![],
            raw_links: false,
            claim_ownership: false,
            owner: None,
            signed_by: None,
            held: false,
            deadline: 30,
            refresh: None,
            private: false,
            suid: false,
            foreground: false,
        }
    }
}

impl Mount {
    pub(crate) fn run(mut self, invocation: &Invocation) -> Result<(), Failure> {
        let places = invocation.places()?;
        let foreground = self.foreground;
        let sources = Sources::of(&places, self.section()?);
        let (order, client) = self.order(sources, &places)?;
        client.warnings().for_each(|warning| invocation.output.warn(warning));
        let directory = order.directory.clone();
        let output = invocation.output;
        let ready = move || output.say(format!("mounted on {}", directory.display()));
        if foreground {
            return Ok(varve_mount::stay(order, ready)?);
        }
        varve_mount::start(order)?;
        ready();
        Ok(())
    }

    /// What is to be mounted how, and what of that was configured.
    fn order(mut self, sources: Sources, places: &Places) -> Result<(MountOrder, Client), Failure> {
        let target = if self.all { None } else { Some(self.target.as_str()) };
        let directory = self.directory.take().unwrap_or_else(|| PathBuf::from(&self.target));
        let directory =
            std::path::absolute(&directory).map_err(|error| Failure::io("mount on", &directory, error))?;
        let sources = Sources { tree: Some(directory.clone()), ..sources };
        let (target, client) = effective(target, &sources, places)?;
        let run = run_directory(places)?;
        let (cache, quota) = cache(&client.settings, places);
        let settings = MountSettings {
            repository: RepositorySettings {
                effective: target.as_ref().map(|_| client.settings.clone()),
                sources,
                owner: self.owner,
                signed_by: self.signed_by.map(|key| key.to_string()),
                variables: self.variables,
                raw_links: self.raw_links,
                cache: absolute(vec![cache])?.remove(0),
                cache_quota: quota,
                places: places.clone(),
            },
            one: target.clone(),
            deadline: self.deadline,
            control: (!self.held).then(|| socket(&run, &directory)),
        };
        settings.check(&client.settings)?;
        let order = MountOrder {
            source: target.unwrap_or_else(|| "varve".to_owned()),
            access: if self.private { Access::Owner } else { Access::Everyone },
            set_id: client.settings.suid.as_ref().is_some_and(|suid| suid.value),
            relaunch: Relaunch {
                program: std::env::current_exe()
                    .map_err(|error| Failure::io("find", Path::new("varve"), error))?,
                shown_as: None,
                supervisor: vec!["mount-supervisor".into()],
                worker: vec!["mount-worker".into()],
            },
            settings: serde_json::to_value(&settings).map_err(Failure::usage_error)?,
            log: match (self.foreground, self.held) {
                (true, _) => None,
                (false, true) => Some(run.join("holder.log")),
                (false, false) => Some(socket(&run, &directory).with_extension("log")),
            },
            without_resend: false,
            without_attributes: false,
            directory,
        };
        Ok((order, client))
    }

    /// What the options say.
    fn section(&mut self) -> Result<Section, Failure> {
        let list = |list: &mut Vec<String>| Some(std::mem::take(list)).filter(|list| !list.is_empty());
        let keys = absolute(std::mem::take(&mut self.keys))?;
        Ok(Section {
            servers: list(&mut self.servers),
            proxy: self.proxy.take(),
            external_servers: list(&mut self.external_servers),
            external_proxy: self.external_proxy.take(),
            keys: Some(keys).filter(|keys| !keys.is_empty()),
            refresh: self.refresh,
            suid: self.suid.then_some(true),
            claim_ownership: self.claim_ownership.then_some(true),
            cache: self.cache.take(),
            cache_quota: self.cache_quota.map(Size),
            ..Section::default()
        })
    }
}

/// The target with its repository's full name, and what is configured for it; of a tree, what holds for all.
pub(crate) fn effective(
    target: Option<&str>,
    sources: &Sources,
    places: &Places,
) -> Result<(Option<String>, Client), Failure> {
    let Some(target) = target else { return Ok((None, sources.load(None)?)) };
    let (name, revision) = configuration::split(target);
    let name: RepositoryName = name.parse().map_err(Failure::usage_error)?;
    let client = sources.load(Some(&name))?;
    let domain = client.settings.default_domain.as_ref().map(|domain| domain.value.as_str());
    match domain {
        Some(domain) if !name.as_str().contains('.') && !places.repository(&name).exists() => {
            let full: RepositoryName = format!("{name}.{domain}").parse().map_err(Failure::usage_error)?;
            let target = revision.map_or_else(|| full.to_string(), |revision| format!("{full}@{revision}"));
            Ok((Some(target), sources.load(Some(&full))?))
        }
        _ => Ok((Some(target.to_owned()), client)),
    }
}

/// The directory that keeps what is fetched, and how large it may become. A configured one that this user has no right to
/// is for the system's mounts.
fn cache(settings: &Settings, places: &Places) -> (PathBuf, Option<u64>) {
    let quota = settings.cache_quota.as_ref();
    match &settings.cache {
        Some(cache) if cache.origin == Origin::CommandLine || may_write(&cache.value) => {
            (cache.value.clone(), quota.map(|quota| quota.value.0.get()))
        }
        Some(_) => {
            let own = quota.filter(|quota| quota.origin == Origin::CommandLine);
            (places.cache().join("objects"), own.map(|quota| quota.value.0.get()))
        }
        None => (places.cache().join("objects"), quota.map(|quota| quota.value.0.get())),
    }
}

/// Whether this user may make files in a directory, or make it.
fn may_write(directory: &Path) -> bool {
    let there = directory.ancestors().find(|ancestor| ancestor.exists());
    there.is_some_and(|there| rustix::fs::access(there, rustix::fs::Access::WRITE_OK).is_ok())
}

/// Mounts one revision of a repository of this machine, for being changed over: everything is shown as it was published.
pub(crate) fn base_order(
    places: &Places,
    name: &RepositoryName,
    root_catalog: &str,
    directory: &Path,
    in_user_namespace: bool,
) -> Result<MountOrder, Failure> {
    let mount = Mount {
        target: format!("{name}@{root_catalog}"),
        directory: Some(directory.to_owned()),
        raw_links: true,
        // There, only this user has a number.
        owner: in_user_namespace.then_some((0, 0)),
        ..Mount::default()
    };
    let nothing = Sources { cvmfs: None, own: None, command_line: Section::default(), tree: None };
    Ok(mount.order(nothing, places)?.0)
}

/// A repository that sandboxes are to show, wherever that is mounted for them.
pub(crate) struct Software {
    /// `NAME[@REVISION]`.
    pub(crate) target: String,
    /// Where it is served and how that is reached, over what is configured.
    pub(crate) section: Section,
    /// Servers where none are configured.
    pub(crate) hinted: Vec<String>,
    /// Whose signature it must have.
    pub(crate) signed_by: Option<KeyFingerprint>,
    /// Whether it is mounted in a user namespace, where all files are to be the user's.
    pub(crate) in_user_namespace: bool,
}

/// Mounts a repository for sandboxes. Returns its full name with the order, whose directory is for the mounter to fill in.
pub(crate) fn software_order(
    places: &Places,
    software: Software,
) -> Result<(RepositoryName, MountOrder, Client), Failure> {
    let Software { target, mut section, hinted, signed_by, in_user_namespace } = software;
    let named = configuration::split(&target).0.parse().ok();
    if section.servers.is_none() && !hinted.is_empty() {
        let configured = Sources::of(places, section.clone()).load(named.as_ref())?;
        let here = named.is_some_and(|name| places.repository(&name).is_dir());
        if configured.settings.servers.is_none() && !here {
            section.servers = Some(hinted);
        }
    }
    let mount = Mount {
        target,
        // Somewhere: nothing of the configuration may lie there.
        directory: Some(places.run().join("sandboxes")),
        owner: in_user_namespace.then_some((0, 0)),
        signed_by,
        held: true,
        ..Mount::default()
    };
    let (order, client) = mount.order(Sources::of(places, section), places)?;
    let name = configuration::split(&order.source).0.parse().map_err(Failure::usage_error)?;
    Ok((name, order, client))
}

/// The repository of an order, opened by this process.
///
/// # Errors
/// What is wrong with its configuration.
pub(crate) fn mounted(
    order: &MountOrder,
    aws: AwsEnvironment,
) -> Result<MountedRepository, Box<dyn std::error::Error + Send + Sync>> {
    match plan::of_settings(&order.settings, aws)?.root {
        PlanRoot::One(mounted) => Ok(*mounted),
        PlanRoot::Tree(_) => Err("a tree of repositories where one is needed".into()),
    }
}

/// Hold a mount (started by `varve mount`)
#[derive(Args, Debug)]
pub(crate) struct MountSupervisor {}

impl MountSupervisor {
    pub(crate) fn run(self, _: &Invocation) -> Result<(), Failure> {
        Ok(varve_mount::supervisor()?)
    }
}

/// Serve a mount (started by its supervisor)
#[derive(Args, Debug)]
pub(crate) struct MountWorker {}

impl MountWorker {
    pub(crate) fn run(self, invocation: &Invocation) -> Result<(), Failure> {
        Ok(varve_mount::worker(|settings| plan::of_settings(settings, invocation.environment.aws()))?)
    }
}

/// The control socket of a mount. Socket paths are short, so the directory is only in there as a hash.
fn socket(run: &Path, directory: &Path) -> PathBuf {
    let hash = Algorithm::Sha1.hash(directory.as_os_str().as_encoded_bytes()).to_string();
    run.join(format!("mount-{}.socket", &hash[..16]))
}

/// The directory of run files, made if it is missing.
fn run_directory(places: &Places) -> Result<PathBuf, Failure> {
    let run = places.run().to_owned();
    fs::create_dir_all(&run).map_err(|error| Failure::io("create directory", &run, error))?;
    Ok(run)
}

/// The worker has another working directory.
fn absolute(paths: Vec<PathBuf>) -> Result<Vec<PathBuf>, Failure> {
    paths
        .into_iter()
        .map(|path| std::path::absolute(&path).map_err(|error| Failure::io("find", &path, error)))
        .collect()
}

fn variable(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err("expected NAME=VALUE".to_owned()),
    }
}

impl From<varve_mount::MountError> for Failure {
    fn from(error: varve_mount::MountError) -> Self {
        use varve_mount::MountError;
        let code = match &error {
            MountError::Occupied { .. } | MountError::Busy { .. } => ExitCode::Busy,
            MountError::NotMounted { .. } => ExitCode::NotFound,
            _ => ExitCode::Failure,
        };
        let hint = match &error {
            MountError::Occupied { .. } => {
                Some("end the mount with `varve umount`, or choose another directory")
            }
            MountError::Busy { .. } => Some("close what uses it, or detach it with `varve umount --lazy`"),
            MountError::Helper { .. } => Some(
                "mounting without root needs fusermount3, of the package fuse3, and a right to /dev/fuse",
            ),
            _ => None,
        };
        let failure = Self::new(code, error);
        match hint {
            Some(hint) => failure.hint(hint),
            None => failure,
        }
    }
}
