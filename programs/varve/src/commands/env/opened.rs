//! Where the repositories of an environment are read from, and what proves their revisions.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use varve_content::ContentHash;
use varve_environment::{Environment, Source};
use varve_replicate::MirrorError;
use varve_repository::{
    CatalogReference, Proof, ProofAge, Proven, ProvenRoot, PublicKeys, RepositoryError, RepositoryName,
    RepositoryPath,
};
use varve_store::{Deadline, DirectoryStore, ObjectSource};

use crate::client::reach::{self, Reached};
use crate::client::{Origin, Section, Settings, Sourced, Sources};
use crate::copies::{self, Copies};
use crate::exit_code::ExitCode;
use crate::failure::Failure;
use crate::invocation::Invocation;
use crate::places::Places;

/// How long one object may take to arrive.
pub(super) const PATIENCE: Duration = Duration::from_secs(3600);

/// Where repositories are read from, as for `varve mount`.
#[derive(Args, Clone, Debug, Default)]
pub(super) struct SourceOptions {
    /// Where the repositories are served, with @fqrn@ for a name; may be repeated, best first
    ///
    /// Without any: what is kept here, repositories of this machine, the configured servers, those that the document names.
    #[arg(long = "server", value_name = "URL")]
    pub(super) servers: Vec<String>,
    /// A file with public master keys, or a directory of them; may be repeated
    ///
    /// Without any: the configured ones, NAME.pub among the keys of this machine, those that came with an archive.
    #[arg(long = "key", value_name = "PATH")]
    pub(super) keys: Vec<PathBuf>,
    /// Proxies: groups separated by ;, each of several separated by |, DIRECT for none
    #[arg(long, value_name = "LIST")]
    pub(super) proxy: Option<String>,
}

/// Opens repositories.
pub(super) struct Opener<'a> {
    pub(super) invocation: &'a Invocation,
    pub(super) places: Places,
    sources: Sources,
}

/// A repository that can be read.
pub(super) struct Opened {
    pub(super) name: RepositoryName,
    pub(super) source: Arc<dyn ObjectSource>,
    pub(super) keys: PublicKeys,
    /// The addresses of its servers; none if it is on this machine.
    pub(super) servers: Vec<String>,
}

/// A proof that was verified, and what it proves.
pub(super) struct Verified {
    pub(super) proof: Proof,
    pub(super) proven: Proven,
    /// The key that signed, alone.
    pub(super) key: PublicKeys,
}

impl SourceOptions {
    /// The same as settings.
    pub(super) fn section(&self) -> Section {
        let list = |list: &[String]| Some(list.to_vec()).filter(|list| !list.is_empty());
        Section {
            servers: list(&self.servers),
            proxy: self.proxy.clone(),
            keys: Some(self.keys.clone()).filter(|keys| !keys.is_empty()),
            ..Section::default()
        }
    }
}

impl<'a> Opener<'a> {
    pub(super) fn new(invocation: &'a Invocation, options: &SourceOptions) -> Result<Self, Failure> {
        let places = invocation.places()?;
        let sources = Sources::of(&places, options.section());
        Ok(Self { invocation, places, sources })
    }

    /// What options and files say; for the resolving of targets.
    pub(super) fn sources(&self) -> &Sources {
        &self.sources
    }

    /// What is configured for a repository.
    pub(super) fn settings(&self, name: &RepositoryName) -> Result<Settings, Failure> {
        let client = self.sources.load(Some(name))?;
        client.warnings().for_each(|warning| self.invocation.output.warn(warning));
        Ok(client.settings)
    }

    /// The repository of an environment's source.
    pub(super) fn open_source(&self, environment: &Environment, source: &Source) -> Result<Opened, Failure> {
        let mut settings = self.settings(&source.repository)?;
        if settings.servers.is_none()
            && let Some(servers) = environment.hints.servers.get(&source.repository)
        {
            let origin = Origin::File { path: "the environment's document".into(), line: 0 };
            settings.servers = Some(Sourced { value: servers.clone(), origin });
        }
        self.open(&source.repository, &settings, Some(&source.root))
    }

    /// A repository by these settings, known to be needed at this root. Where servers are asked for, they are what counts.
    pub(super) fn open(
        &self,
        name: &RepositoryName,
        settings: &Settings,
        root: Option<&ContentHash>,
    ) -> Result<Opened, Failure> {
        let aws = self.invocation.environment.aws();
        let copied = root.filter(|_| self.sources.command_line.servers.is_none());
        let reached = reach::reach(&self.places, &aws, name, settings, copied)?;
        let Reached { source, hosts, servers } = reached.ok_or_else(|| {
            Failure::new(ExitCode::NotFound, format!("nobody is known to serve {name}"))
                .hint("say where it is served with --server http://host/cvmfs/NAME, or in a file that docs/operate/client.md names")
        })?;
        let files: Vec<PathBuf> = reach::keys(&self.places, name, settings, root);
        let keys = match files.iter().any(|file| file.exists()) {
            true => PublicKeys::load(&files).map_err(Failure::usage_error)?,
            false => PublicKeys::default(),
        };
        let servers = if servers.is_some() { hosts } else { Vec::new() };
        Ok(Opened { name: name.clone(), source, keys, servers })
    }

    /// The proof of a source: the one that was kept when it was frozen or imported, else what its repository shows now.
    pub(super) fn proof(&self, opened: &Opened, source: &Source) -> Result<(Verified, ProvenRoot), Failure> {
        let now = self.invocation.now();
        let verified = match Copies::of(&self.places).proof(&source.repository, &source.root) {
            Some(directory) => {
                let key = copies::read_key(&directory)?;
                let proof = Proof::read(&source.repository, &DirectoryStore::open(&directory)?)?;
                let proven = proof.verify(&key, ProofAge::Kept, now)?;
                Verified { proof, proven, key }
            }
            None => prove(opened, &self.keys_of(opened, source)?, now)?,
        };
        let root = check(&verified.proven, source)?;
        Ok((verified, root))
    }

    /// The key that the document names, if anybody here has it.
    fn keys_of(&self, opened: &Opened, source: &Source) -> Result<PublicKeys, Failure> {
        opened.keys.with_fingerprint(&source.key).ok_or_else(|| {
            let error = format!("the key {} of {} is not known here", source.key, source.repository);
            Failure::usage(error)
                .hint("get the repository's public key from its maintainers and name its file with --key")
        })
    }
}

/// Fetches and verifies what a repository shows now, from the first of its servers whose files are genuine.
pub(super) fn prove(
    opened: &Opened,
    keys: &PublicKeys,
    now: std::time::SystemTime,
) -> Result<Verified, Failure> {
    let mut refused = None;
    for attempt in 0..opened.source.mirrors().max(1) {
        if attempt > 0 {
            opened.source.leave_mirror();
        }
        let made = Proof::read(&opened.name, &*opened.source).and_then(|proof| {
            let proven = proof.verify(keys, ProofAge::New, now)?;
            Ok((proof, proven))
        });
        match made {
            Ok((proof, proven)) => {
                let key = keys.with_fingerprint(&proven.key()).unwrap_or_else(|| keys.clone());
                return Ok(Verified { proof, proven, key });
            }
            Err(error) if error.is_integrity() || error.is_absence() => refused = refused.or(Some(error)),
            Err(error) => return Err(told(error)),
        }
    }
    Err(refused.map_or_else(|| Failure::usage("nobody was asked"), told))
}

/// What a proof says of a source, if that is what the document says.
pub(super) fn check(proven: &Proven, source: &Source) -> Result<ProvenRoot, Failure> {
    let name = &source.repository;
    let wrong = |error: String| Failure::new(ExitCode::Integrity, error);
    if proven.key() != source.key {
        return Err(wrong(format!(
            "{name} is signed with the key {}, the environment names {}",
            proven.key(),
            source.key
        )));
    }
    let root = proven.root(&source.root).ok_or_else(|| unproven(name, &source.root))?;
    if !root.revisions.contains(&source.revision) {
        let error = format!(
            "the root catalog {} of {name} is revision {}, the environment says {}",
            source.root, root.revision, source.revision
        );
        return Err(wrong(error));
    }
    Ok(root)
}

/// That nothing signed names a root catalog.
pub(super) fn unproven(name: &RepositoryName, root: &ContentHash) -> Failure {
    let error = format!("nothing that is signed says that {name} was published with the root catalog {root}");
    Failure::new(ExitCode::Integrity, error).hint(
        "only the newest revision and those with a tag are signed for: its maintainers can give it a tag",
    )
}

/// The reference to a source's root catalog.
pub(super) fn root_reference(source: &Source, size: Option<u64>) -> CatalogReference {
    CatalogReference { path: RepositoryPath::ROOT, hash: source.root, size }
}

/// With the hint that belongs to it.
pub(super) fn told(error: RepositoryError) -> Failure {
    let hint = error.hint();
    let failure = Failure::from(error);
    match hint {
        Some(hint) => failure.hint(hint),
        None => failure,
    }
}

/// What went wrong while a revision was fetched, with what can be done about it here.
pub(super) fn not_fetched(error: MirrorError) -> Failure {
    let code = match &error {
        MirrorError::Incomplete { .. } => ExitCode::NotFound,
        error if error.is_integrity() => ExitCode::Integrity,
        _ => return error.into(),
    };
    Failure::new(code, error)
        .hint("another place may have it: name it with --server, or import the environment's archive again")
}

/// By when an object has to be there.
pub(super) fn deadline() -> Deadline {
    Deadline::after(PATIENCE)
}
