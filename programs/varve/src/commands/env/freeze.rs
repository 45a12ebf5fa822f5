//! `varve env freeze`: what is mounted now, or what tags name, becomes a document of exact versions.

mod mounted;

use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::str::FromStr as _;
use std::sync::Arc;
use std::time::SystemTime;

use clap::Args;
use varve_environment::{
    Architecture, Entry, Environment, EnvironmentName, EnvironmentParts, Image, Sha256, Source,
};
use varve_repository::{Reference, Repository, RepositoryName, TagName, Trust};
use varve_store::{Cache, CacheConfig, Freshness};

use self::mounted::{MountedRevision, mounted_revisions};
use super::opened::{Opened, Opener, SourceOptions, Verified, deadline, prove, told, unproven};
use crate::client::Settings;
use crate::commands::mount;
use crate::copies::Copies;
use crate::environments::Environments;
use crate::failure::Failure;
use crate::invocation::Invocation;

/// Larger files are no user data.
const LARGEST_CONTEXT: u64 = 1 << 20;

/// Freeze an environment: exact versions of everything, from tags or from what is mounted now
#[derive(Args, Debug)]
#[command(
    after_help = "Examples:\n  varve env freeze analysis\n  varve env freeze analysis-2026 --system os.example.org@basic-1 \
                  -r software.example.org@v1 -- python3 analysis.py\nWithout --system and -r, the repositories that are \
                  mounted now are its software, at the revisions that they show. Everything is verified before it is \
                  frozen, and the signed files that prove it are kept. Prints the id. See docs/operate/environments.md."
)]
pub(crate) struct Freeze {
    /// What the environment is called here
    name: EnvironmentName,
    /// The operating system: a repository, and behind @ a tag, a root hash or a date
    ///
    /// Without it, the environment has the system of the machine that it is run on.
    #[arg(long, value_name = "NAME[@REVISION]")]
    system: Option<String>,
    /// A repository of software, as for --system; may be repeated
    #[arg(short = 'r', long = "repository", value_name = "NAME[@REVISION]")]
    repositories: Vec<String>,
    /// Of repositories without a revision, take the one that is mounted now, not the newest
    #[arg(long)]
    mounted: bool,
    /// The boot image for runs with a kernel of their own; a copy of it is kept
    #[arg(long, value_name = "FILE")]
    image: Option<PathBuf>,
    /// User data that say what becomes of the system
    #[arg(long, value_name = "FILE")]
    context: Option<PathBuf>,
    /// An environment variable; may be repeated
    #[arg(long = "set", value_name = "VAR=VALUE", value_parser = variable)]
    variables: Vec<(String, String)>,
    /// The working directory
    #[arg(long, value_name = "DIRECTORY")]
    directory: Option<String>,
    /// The processors that it is for: x86_64 or aarch64; by default this machine's
    #[arg(long, value_name = "NAME", default_value = std::env::consts::ARCH, hide_default_value = true)]
    architecture: Architecture,
    /// What it is for, for people
    #[arg(long, value_name = "TEXT")]
    description: Option<String>,
    /// Let the name lead to this environment, if it leads to another one
    #[arg(long)]
    replace: bool,
    #[command(flatten)]
    options: SourceOptions,
    /// What is run in it unless something else is asked for
    #[arg(last = true)]
    command: Vec<String>,
}

/// A source, and what has to be kept of it.
struct Frozen {
    source: Source,
    verified: Verified,
    servers: Vec<String>,
}

impl Freeze {
    pub(crate) fn run(self, invocation: &Invocation) -> Result<(), Failure> {
        let opener = Opener::new(invocation, &self.options)?;
        let environments = Environments::of(&opener.places);
        let copies = Copies::of(&opener.places);
        let from_mounts = self.mounted || (self.system.is_none() && self.repositories.is_empty());
        let mounts = if from_mounts { mounted_revisions(&opener.places)? } else { Vec::new() };
        let cache = CacheConfig::new(opener.places.cache().join("objects"), SystemTime::now);
        let cache = Arc::new(Cache::open(&cache)?);

        let freezer = Freezer { opener: &opener, mounts: &mounts, cache };
        let system = self.system.as_deref().map(|target| freezer.target(target)).transpose()?;
        let software = match self.repositories.as_slice() {
            [] if self.system.is_none() => freezer.everything_mounted()?,
            targets => targets.iter().map(|target| freezer.target(target)).collect::<Result<_, _>>()?,
        };
        let mut parts = EnvironmentParts::new(self.architecture);
        parts.context = self.context.as_deref().map(read_context).transpose()?;
        parts.variables = self.variables.iter().cloned().collect();
        if !self.command.is_empty() || self.directory.is_some() {
            parts.entry = Some(Entry { command: self.command.clone(), directory: self.directory.clone() });
        }
        parts.hints.name = Some(self.name.clone());
        parts.hints.description = self.description.clone();
        for frozen in system.iter().chain(&software) {
            if !frozen.servers.is_empty() {
                parts.hints.servers.insert(frozen.source.repository.clone(), frozen.servers.clone());
            }
        }
        parts.system = system.as_ref().map(|frozen| frozen.source.clone());
        parts.software = software.iter().map(|frozen| frozen.source.clone()).collect();
        parts.image = self.image.as_deref().map(|path| keep_image(&copies, path)).transpose()?;
        let environment = Environment::new(parts).map_err(Failure::usage_error)?;
        environments.check_free(&self.name, environment.id(), self.replace)?;
        // What proves it is there before anything says that it is frozen.
        for frozen in system.iter().chain(&software) {
            copies.put_proof(&frozen.source, &frozen.verified.proof, &frozen.verified.key)?;
        }
        environments.put(&environment, Some(&self.name), self.replace)?;
        invocation.output.line(environment.id())
    }
}

/// Finds out what targets are now.
struct Freezer<'a> {
    opener: &'a Opener<'a>,
    mounts: &'a [MountedRevision],
    cache: Arc<Cache>,
}

impl Freezer<'_> {
    /// Every repository that is mounted, each once.
    fn everything_mounted(&self) -> Result<Vec<Frozen>, Failure> {
        if self.mounts.is_empty() {
            return Err(Failure::usage("nothing is mounted now, and no repository was named")
                .hint("name the parts with --system NAME@TAG and -r NAME@TAG, or mount them first"));
        }
        let mut names: Vec<&RepositoryName> = self.mounts.iter().map(|mount| &mount.repository).collect();
        names.sort();
        names.dedup();
        names.into_iter().map(|name| self.mounted(name)).collect()
    }

    /// What `NAME[@REVISION]` names.
    fn target(&self, target: &str) -> Result<Frozen, Failure> {
        let (full, client) = mount::effective(Some(target), self.opener.sources(), &self.opener.places)?;
        client.warnings().for_each(|warning| self.opener.invocation.output.warn(warning));
        let full = full.unwrap_or_else(|| target.to_owned());
        let (name, revision) =
            full.split_once('@').map_or((&*full, None), |(name, revision)| (name, Some(revision)));
        let name: RepositoryName = name.parse().map_err(Failure::usage_error)?;
        if revision.is_none() && self.mounts.iter().any(|mount| mount.repository == name) {
            return self.mounted(&name);
        }
        let settings = client.settings;
        let Ok(reference) = revision.map_or_else(|| Ok(settings.reference()), Reference::from_str);
        let opened = self.opener.open(&name, &settings, None)?;
        self.freeze(&opened, &reference)
    }

    /// The revision of a repository that is mounted.
    fn mounted(&self, name: &RepositoryName) -> Result<Frozen, Failure> {
        let mut mounts = self.mounts.iter().filter(|mount| mount.repository == *name);
        let Some(mount) = mounts.next() else {
            return Err(Failure::usage(format!("{name} is not mounted")));
        };
        if mounts.any(|other| other.root != mount.root) {
            return Err(Failure::usage(format!("{name} is mounted at several revisions"))
                .hint(format!("say which one with -r {name}@TAG")));
        }
        let mut settings: Settings = self.opener.settings(name)?;
        mount.complete(&mut settings);
        let mut opened = self.opener.open(name, &settings, None)?;
        if opened.keys.is_empty() {
            opened.keys = mount.keys.clone().unwrap_or_default();
        }
        self.freeze(&opened, &Reference::Hash(mount.root))
    }

    /// Verifies what a repository shows, and finds the revision in it.
    fn freeze(&self, opened: &Opened, reference: &Reference) -> Result<Frozen, Failure> {
        let name = &opened.name;
        if opened.keys.is_empty() {
            return Err(Failure::usage(format!("no public key of {name} is known here"))
                .hint("say where it is with --key"));
        }
        let verified = prove(opened, &opened.keys, self.opener.invocation.now())?;
        self.check_not_older(opened, &verified)?;
        let manifest = verified.proven.manifest();
        let history = verified.proven.history();
        let chosen = match reference {
            Reference::Latest => None,
            Reference::Hash(_) => None,
            Reference::Tag(text) => Some(history.tag(text).ok_or(text)),
            Reference::Date { seconds, text } => {
                Some(history.tag(text).or_else(|| history.at(*seconds)).ok_or(text))
            }
        };
        let chosen = chosen.transpose().map_err(|text| {
            let (repository, reference) = (name.clone(), text.clone());
            told(varve_repository::RepositoryError::NoSuchRevision { repository, reference })
        })?;
        let root = match (reference, chosen) {
            (_, Some(tag)) => tag.root_catalog,
            (Reference::Hash(root), None) => *root,
            _ => manifest.root_catalog,
        };
        let proven = verified.proven.root(&root).ok_or_else(|| unproven(name, &root))?;
        // A tag of the newest revision only says when it was looked.
        let tag: Option<TagName> = chosen
            .map(|tag| tag.name.clone())
            .filter(|tag| proven.tags.contains(tag))
            .or_else(|| proven.tags.first().cloned());
        let key = verified.proven.key();
        let source = Source { repository: name.clone(), root, revision: proven.revision, tag, key };
        Ok(Frozen { source, verified, servers: opened.servers.clone() })
    }

    /// Refuses a repository that was set back: the cache remembers what was seen.
    fn check_not_older(&self, opened: &Opened, verified: &Verified) -> Result<(), Failure> {
        let trust = Trust::in_keys(verified.key.clone());
        let repository =
            Repository::new(opened.name.clone(), Arc::clone(&opened.source), Arc::clone(&self.cache), trust);
        let now = self.opener.invocation.now();
        let fetched = repository.fetch_manifest(Freshness::Cached, now, deadline()).map_err(told)?;
        if let Some(error) = fetched.offline {
            return Err(told(error));
        }
        let (offered, seen) = (verified.proven.manifest().revision, fetched.manifest.revision);
        if offered < seen {
            let repository = opened.name.clone();
            return Err(told(varve_repository::RepositoryError::Downgrade { repository, offered, seen }));
        }
        Ok(())
    }
}

impl MountedRevision {
    /// Adds what the mount knows to what is configured.
    fn complete(&self, settings: &mut Settings) {
        use crate::client::{Origin, Sourced};
        if settings.servers.is_none() && !self.servers.is_empty() {
            let origin = Origin::File { path: self.directory.clone(), line: 0 };
            settings.servers = Some(Sourced { value: self.servers.clone(), origin });
        }
    }
}

fn read_context(path: &Path) -> Result<String, Failure> {
    let failed = |error| Failure::io("read", path, error);
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(failed)?;
    file.take(LARGEST_CONTEXT + 1).read_to_end(&mut bytes).map_err(failed)?;
    let errors = varve_context::read(&bytes).notices;
    if let Some(error) = errors.iter().find(|notice| notice.severity == varve_context::Severity::Error) {
        return Err(Failure::usage(format!("{}: {error}", path.display()))
            .hint("`varve context check` shows everything that is wrong"));
    }
    String::from_utf8(bytes)
        .map_err(|_| Failure::usage(format!("{} is not text: unpack it first", path.display())))
}

/// Copies an image to where it is found by its digest.
fn keep_image(copies: &Copies, path: &Path) -> Result<Image, Failure> {
    use sha2::Digest as _;
    let failed = |error| Failure::io("read", path, error);
    let incoming = copies.incoming()?;
    let copy = incoming.path().join("image");
    let written = |error: io::Error| Failure::io("write", &copy, error);
    let mut image = File::open(path).map_err(failed)?;
    let mut file = File::create(&copy).map_err(written)?;
    let (mut hasher, mut size) = (sha2::Sha256::new(), 0);
    let mut buffer = vec![0; 1 << 20];
    loop {
        let length = image.read(&mut buffer).map_err(failed)?;
        if length == 0 {
            break;
        }
        hasher.update(&buffer[..length]);
        file.write_all(&buffer[..length]).map_err(written)?;
        size += length as u64;
    }
    file.sync_all().map_err(written)?;
    let sha256 = Sha256::from_digest(hasher.finalize().into());
    copies.put_image(&sha256, &copy)?;
    Ok(Image { sha256, size })
}

fn variable(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err("expected VAR=VALUE".to_owned()),
    }
}
