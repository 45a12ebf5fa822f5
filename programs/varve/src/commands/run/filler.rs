//! What a run shows where FUSE is not to be had: trees that are filled when they are touched, and the hidden command whose
//! process fills them.

use std::error::Error;
use std::fs;
use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::available_parallelism;
use std::time::{Duration, SystemTime};

use clap::Args;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use varve_mount::{MountOrder, MountedRepository, Variables, expand_link};
use varve_repository::{CatalogReference, Location, Reference, RepositoryError, RepositoryPath, Snapshot};
use varve_sandbox::fill::filler::{self, Filler, Opener, Order};
use varve_sandbox::fill::{Contents, FillError, Options, Service, Tree, bound, this_boot};
use varve_sandbox::{Access, Bind, Place, Root};
use varve_store::{AwsEnvironment, ByteSize, Deadline, Freshness};

use super::holder::{Held, SOFTWARE, scaffold};
use super::log;
use super::software::Software;
use crate::commands::mount;
use crate::failure::Failure;
use crate::invocation::Invocation;
use crate::places::Places;

/// What a filler is told to open.
#[derive(Serialize, Deserialize)]
struct Wanted {
    order: MountOrder,
    /// The directory of the repository, as bytes.
    directory: Vec<u8>,
}

type AnyError = Box<dyn Error + Send + Sync>;

/// How long a file may take, as with a mount.
const DEADLINE: Duration = Duration::from_secs(30);
/// An operating system is filled as a whole by so many threads for each processor: they wait for the network mostly.
const THREADS_EACH: usize = 4;

/// The trees of a run.
pub(crate) struct Trees {
    pub(crate) filler: Filler,
    /// Where each is seen inside.
    pub(crate) paths: Vec<PathBuf>,
}

/// Whether mounts are impossible here for want of FUSE.
pub(crate) fn is_needed() -> bool {
    fs::File::options().read(true).write(true).open("/dev/fuse").is_err()
}

/// Has trees opened for everything that a run needs. An operating system is filled as a whole: what is written lies in an
/// overlay over it, below which no file may be changed for another. `whole`: so is everything else.
pub(crate) fn open(
    invocation: &Invocation,
    system: Option<&Software>,
    software: &[Software],
    whole: bool,
) -> Result<Held, Failure> {
    let places = invocation.places()?;
    let place = Place { scaffold: scaffold(&places)?, namespaces: None };
    let order = |software: &Software, whole: bool| {
        let wanted =
            Wanted { order: software.order.clone(), directory: software.directory.as_bytes().to_vec() };
        let order = serde_json::to_value(&wanted).map_err(Failure::usage_error)?;
        Ok::<_, Failure>(Order { target: software.order.source.clone(), order, whole })
    };
    let mut orders = system.map(|system| order(system, true)).transpose()?.into_iter().collect::<Vec<_>>();
    for one in software {
        orders.push(order(one, whole)?);
    }
    if orders.is_empty() {
        return Ok(Held { root: Root::Host, binds: vec![], place, kept: None, trees: None });
    }
    if let Some(system) = system {
        invocation.output.say(format!("without FUSE all of {} has to be there: filling", system.shown()));
    }
    let filler = Filler::start(orders, |socket| start(socket, &places))?;
    let mut views = filler.views.iter().cloned();
    let mut paths = vec![];
    let root = match system.and_then(|_| views.next()) {
        Some(view) => {
            // Nothing in it is a placeholder: it doesn't matter where it is seen.
            paths.push(PathBuf::from("/nowhere"));
            Root::Tree(view)
        }
        None => Root::Host,
    };
    let mut binds = vec![];
    for (one, source) in software.iter().zip(views) {
        let destination = Path::new(SOFTWARE).join(one.name.as_str());
        paths.push(destination.clone());
        binds.push(Bind { source, destination, access: Access::ReadOnly });
    }
    Ok(Held { root, binds, place, kept: None, trees: Some(Trees { filler, paths }) })
}

/// Hides the places of trees, which nobody inside may change, where the host's own files are shown. To be shown last.
pub(crate) fn hide(places: &Places) -> Result<Bind, Failure> {
    let destination = trees(places);
    let source = destination.join("nothing");
    fs::create_dir_all(&source).map_err(|error| Failure::io("create", &source, error))?;
    Ok(Bind { source, destination, access: Access::ReadOnly })
}

/// Where trees are.
pub(crate) fn trees(places: &Places) -> PathBuf {
    places.cache().join("trees")
}

fn start(socket: OwnedFd, places: &Places) -> io::Result<()> {
    let log = log::open(&places.run().join("filler.log"))?;
    let mut command = Command::new(std::env::current_exe()?);
    command.arg("sandbox-filler").arg(trees(places));
    command.current_dir("/").stdin(Stdio::from(socket)).stdout(Stdio::null()).stderr(log);
    // Signals of this terminal are not for it: it ends with the command.
    command.process_group(0);
    command.spawn().map(drop)
}

/// Fill what a sandbox shows (started by `varve run`)
#[derive(Args, Debug)]
pub(crate) struct SandboxFiller {
    trees: PathBuf,
}

impl SandboxFiller {
    pub(crate) fn run(self, invocation: &Invocation) -> Result<(), Failure> {
        let failed = |error| Failure::io("use", &self.trees, error);
        let socket = io::stdin().as_fd().try_clone_to_owned().map_err(failed)?;
        // Every tree has some dozens of files open.
        let most = getrlimit(Resource::Nofile).maximum;
        let _ = setrlimit(Resource::Nofile, Rlimit { current: most, maximum: most });
        let aws = invocation.environment.aws();
        let repositories = Repositories { trees: self.trees, aws, quota: Mutex::default() };
        filler::serve(socket, &repositories, &Service { deadline: DEADLINE, ..Service::default() })?;
        // The run has ended: nobody waits for this.
        if let Some(quota) = *repositories.quota.lock().unwrap_or_else(PoisonError::into_inner) {
            bound(&repositories.trees, quota.get())?;
        }
        Ok(())
    }
}

/// Opens trees of repositories.
struct Repositories {
    trees: PathBuf,
    aws: AwsEnvironment,
    /// The smallest quota of a cache: that of trees is the same.
    quota: Mutex<Option<ByteSize>>,
}

impl Opener for Repositories {
    fn open(&self, order: &Value) -> Result<Arc<Tree>, String> {
        self.tree(order).map_err(|error| chain(error.as_ref()))
    }

    fn fill(&self, tree: &Tree) -> Result<(), String> {
        let threads = available_parallelism().map_or(1, usize::from) * THREADS_EACH;
        tree.fill_all(threads, &|| Deadline::after(DEADLINE)).map_err(|error| chain(&error))
    }
}

impl Repositories {
    fn tree(&self, order: &Value) -> Result<Arc<Tree>, AnyError> {
        let Wanted { order, directory } = serde_json::from_value(order.clone())?;
        let directory = RepositoryPath::new(&directory)?;
        let mounted = mount::mounted(&order, self.aws.clone())?;
        let deadline = Deadline::after(DEADLINE);
        let repository = &mounted.repository;
        if let Some(quota) = repository.loader().cache().quota() {
            let mut smallest = self.quota.lock().unwrap_or_else(PoisonError::into_inner);
            *smallest = Some(smallest.map_or(quota, |smallest| smallest.min(quota)));
        }
        let root = match &mounted.reference {
            Reference::Hash(hash) => CatalogReference { path: RepositoryPath::ROOT, hash: *hash, size: None },
            reference => {
                let fetched = repository.fetch_manifest(Freshness::Cached, SystemTime::now(), deadline)?;
                if let Some(error) = &fetched.offline {
                    tracing::warn!(repository = %repository.name(), error = chain(error), "no server answers");
                }
                repository.select(&fetched.manifest, reference, deadline)?
            }
        };
        let path = self.trees.join(name(&mounted, &root, &directory));
        let snapshot = Snapshot::new(repository.loader(), root);
        let threads = available_parallelism().map_or(1, usize::from) * THREADS_EACH;
        let contents = Arc::new(Files {
            files: varve_mount::Files::of(&mounted, threads),
            variables: mounted.variables,
        });
        let boot = this_boot()?;
        let published_owners = mounted.owner.is_none();
        let options = Options { directory: &directory, boot: &boot, published_owners };
        Ok(Tree::open(&path, snapshot, contents, &options, deadline)?)
    }
}

/// What makes a tree what it is: the revision, the directory in it, the variables of its links, whose its files are.
fn name(mounted: &MountedRepository, root: &CatalogReference, directory: &RepositoryPath) -> String {
    let owners = if mounted.owner.is_some() { "-own" } else { "" };
    let variables = match &mounted.variables {
        None => "raw".to_owned(),
        Some(variables) => {
            let text = format!("{variables:?}");
            varve_content::Algorithm::Sha1.hash(text.as_bytes()).to_string()[..8].to_owned()
        }
    };
    let part = match directory.is_root() {
        true => String::new(),
        false => format!("-{}", varve_content::Algorithm::Sha1.hash(directory.as_bytes())),
    };
    format!("{}@{}{part}-{variables}{owners}", mounted.repository.name(), root.hash)
}

/// The files of a repository.
struct Files {
    files: varve_mount::Files,
    variables: Option<Variables>,
}

impl Contents for Files {
    fn read(
        &self,
        file: &Location,
        offset: u64,
        buffer: &mut [u8],
        deadline: Deadline,
    ) -> Result<usize, RepositoryError> {
        self.files.read(file, offset, buffer, deadline)
    }

    fn beside(&self, file: &Location) -> Vec<Location> {
        self.files.beside(file)
    }

    fn link_target(&self, published: &[u8]) -> Vec<u8> {
        expand_link(published, self.variables.as_ref()).into_owned()
    }
}

/// An error with its causes.
fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(&format!(": {cause}"));
        source = cause.source();
    }
    text
}

impl From<FillError> for Failure {
    fn from(error: FillError) -> Self {
        let hint = match &error {
            FillError::Filler { .. } => Some("the log filler.log in the directory of run files tells why"),
            FillError::Watch { .. } => {
                Some("a container's own supervisor may listen already; with /dev/fuse none is needed")
            }
            _ => None,
        };
        let failure = Self::new(crate::exit_code::ExitCode::NotRun, error);
        match hint {
            Some(hint) => failure.hint(hint),
            None => failure,
        }
    }
}
