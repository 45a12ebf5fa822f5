//! What locking takes and leaves: lists, indexes, the archive of package files, and their failures.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use varve_packages::{
    Architecture, Archive, ArchiveError, Family, FetchProgress, Index, IndexAccess, IndexError, IndexFault,
    IndexSource, ListError, Lock, LockError, LockingError, MachineSources, PackagePath, ReadyList,
    ShoppingList, SourcesError, TransferConfig, TransferError, Transfers, UniverseError, apt_sources,
    apt_sources_of, dnf_sources, dnf_sources_of,
};

use crate::exit_code::ExitCode;
use crate::failure::Failure;
use crate::invocation::Invocation;
use crate::progress::{Progress, Unit};

/// How long a mirror may be silent.
const PATIENCE: Duration = Duration::from_secs(30);

/// Where packages come from and where they are kept.
#[derive(Args, Debug)]
pub(crate) struct PackageOptions {
    /// Take indexes from this file of apt (.list, .sources) or dnf (.repo) instead of the machine's configuration; repeatable
    #[arg(long, value_name = "FILE")]
    sources: Vec<PathBuf>,
    #[command(flatten)]
    files: ArchiveOptions,
}

/// Where the files of packages are kept, and how they come there.
#[derive(Args, Debug)]
pub(crate) struct ArchiveOptions {
    /// Keep package files and indexes in this directory
    #[arg(long, value_name = "DIRECTORY")]
    archive: Option<PathBuf>,
    /// Fetch through this proxy
    #[arg(long, value_name = "URL")]
    proxy: Option<String>,
    /// How many files to fetch at once
    #[arg(long, value_name = "COUNT", default_value_t = 8)]
    parallel: usize,
}

impl ArchiveOptions {
    /// The archive of package files.
    pub(crate) fn archive(&self, invocation: &Invocation) -> Result<Archive, Failure> {
        let root = match &self.archive {
            Some(directory) => directory.clone(),
            None => invocation.places()?.packages().to_owned(),
        };
        Ok(Archive::open(root)?)
    }

    /// The way to the mirrors.
    pub(crate) fn transfers(&self) -> Result<Transfers, Failure> {
        Ok(Transfers::new(TransferConfig {
            user_agent: concat!("varve/", env!("CARGO_PKG_VERSION")).to_owned(),
            proxy: self.proxy.clone(),
            patience: PATIENCE,
            attempts: 4,
            parallel: self.parallel,
        })?)
    }
}

impl PackageOptions {
    /// The archive of package files.
    pub(crate) fn archive(&self, invocation: &Invocation) -> Result<Archive, Failure> {
        self.files.archive(invocation)
    }

    /// The way to the mirrors.
    pub(crate) fn transfers(&self) -> Result<Transfers, Failure> {
        self.files.transfers()
    }

    /// Fetches and verifies every index that the list, the options or the machine's configuration names.
    pub(crate) fn indexes(
        &self,
        list: &ShoppingList,
        beside: &Path,
        invocation: &Invocation,
        archive: &Archive,
        transfers: &Transfers,
    ) -> Result<Vec<Index>, Failure> {
        let sources = self.index_sources(list, beside, invocation)?;
        let access = IndexAccess { transfers, archive, now: invocation.now() };
        let mut indexes = Vec::with_capacity(sources.len());
        for source in &sources {
            let index = Index::fetch(source, list.family, &list.architecture, access)?;
            if index.locked.fingerprints.is_empty() {
                invocation.output.warn(format!("index '{}' is not signed", source.id));
            }
            indexes.push(index);
        }
        Ok(indexes)
    }

    fn index_sources(
        &self,
        list: &ShoppingList,
        beside: &Path,
        invocation: &Invocation,
    ) -> Result<Vec<IndexSource>, Failure> {
        if self.sources.is_empty() && !list.indexes.is_empty() {
            return Ok(list.indexes.iter().map(|index| index.source(beside)).collect::<Result<_, _>>()?);
        }
        let mut all = MachineSources::default();
        if self.sources.is_empty() {
            all = match list.family {
                Family::Debian => apt_sources(Path::new("/"), &list.architecture)?,
                Family::Rpm => dnf_sources(Path::new("/"), &list.architecture)?,
            };
        }
        for path in &self.sources {
            let more = match list.family {
                Family::Debian => apt_sources_of(path, &list.architecture)?,
                Family::Rpm => dnf_sources_of(path, &list.architecture)?,
            };
            more.indexes.into_iter().for_each(|index| all.add(index));
            all.skipped.extend(more.skipped);
        }
        for skipped in &all.skipped {
            invocation.output.warn(skipped);
        }
        Ok(all.indexes)
    }
}

/// Reads a list, for this machine's architecture unless it or the caller names one. The name of a ready list, with or without
/// the ending of a list, stands for that one where there is no such file.
pub(crate) fn read_list(path: &Path, architecture: Option<&Architecture>) -> Result<ShoppingList, Failure> {
    let text = match (fs::read_to_string(path), ready_list(path)) {
        (Ok(text), _) => text,
        (Err(error), Some(ready)) if error.kind() == std::io::ErrorKind::NotFound => ready.text.to_owned(),
        (Err(error), _) => return Err(Failure::io("read", path, error)),
    };
    let native = native_architecture(&text);
    ShoppingList::parse(&text, architecture, native.as_ref()).map_err(|error| in_file(path, error))
}

/// The ready list that a path names, if it names nothing but one.
fn ready_list(path: &Path) -> Option<ReadyList> {
    let name = path.to_str()?;
    ReadyList::find(name.strip_suffix(".toml").unwrap_or(name))
}

/// Reads a lock file.
pub(crate) fn read_lock(path: &Path) -> Result<Lock, Failure> {
    let text = fs::read_to_string(path).map_err(|error| Failure::io("read", path, error))?;
    Lock::parse(&text).map_err(|error| in_file(path, error))
}

/// Writes a lock file, in one rename.
pub(crate) fn write_lock(path: &Path, lock: &Lock) -> Result<(), Failure> {
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let write = || {
        let mut builder = tempfile::Builder::new();
        let permissions = std::os::unix::fs::PermissionsExt::from_mode(0o644);
        let mut file = builder.prefix(".lock").permissions(permissions).tempfile_in(directory)?;
        file.write_all(lock.to_text().as_bytes())?;
        file.as_file().sync_all()?;
        file.persist(path).map(drop).map_err(|error| error.error)
    };
    write().map_err(|error| Failure::io("write", path, error))
}

/// Fetches the packages of a lock into the archive.
pub(crate) fn fetch_packages(
    lock: &Lock,
    archive: &Archive,
    transfers: &Transfers,
    invocation: &Invocation,
) -> Result<(), Failure> {
    let missing = archive.missing(lock);
    if missing.is_empty() {
        return Ok(());
    }
    let total = missing.iter().map(|file| file.size).sum();
    let shown = Shown(invocation.progress("fetching packages", Unit::Bytes, Some(total)));
    archive.fetch(&missing, transfers, &shown)?;
    shown.0.finish();
    Ok(())
}

/// The name of this machine's architecture in the family that a list is of.
fn native_architecture(list: &str) -> Option<Architecture> {
    let rpm = list.lines().any(|line| line.replace(' ', "").starts_with("family=\"rpm\""));
    let name = match (std::env::consts::ARCH, rpm) {
        (name, true) => name,
        ("x86_64", false) => "amd64",
        ("aarch64", false) => "arm64",
        ("x86", false) => "i386",
        ("powerpc64", false) => "ppc64el",
        (name, false) => name,
    };
    name.parse().ok()
}

/// A bar that package files advance.
struct Shown(Progress);

impl FetchProgress for Shown {
    fn bytes(&self, count: u64) {
        self.0.advance(count);
    }

    fn file(&self, path: &PackagePath) {
        self.0.set_detail(path.file_name());
    }
}

fn in_file(path: &Path, error: impl std::error::Error + Send + Sync + 'static) -> Failure {
    Failure::usage_error(FileFault { path: path.display().to_string(), source: Box::new(error) })
}

/// A file of the user's that has a fault.
#[derive(Debug, thiserror::Error)]
#[error("{path}")]
struct FileFault {
    path: String,
    #[source]
    source: Box<dyn std::error::Error + Send + Sync>,
}

fn transfer_code(error: &TransferError) -> ExitCode {
    match error {
        TransferError::Absent { .. } => ExitCode::NotFound,
        TransferError::TooLarge { .. } => ExitCode::Integrity,
        TransferError::Broken { .. } => ExitCode::Transport,
        TransferError::Io { .. } | TransferError::Client { .. } => ExitCode::Failure,
    }
}

impl From<TransferError> for Failure {
    fn from(error: TransferError) -> Self {
        Self::new(transfer_code(&error), error)
    }
}

impl From<ArchiveError> for Failure {
    fn from(error: ArchiveError) -> Self {
        if error.is_integrity() {
            return Self::new(ExitCode::Integrity, error)
                .hint("the mirror is broken, changing just now, or attacked: nothing of it was used; try again or take another one");
        }
        if error.is_absence() {
            return Self::new(ExitCode::NotFound, error)
                .hint("mirrors drop old versions: `varve os update` takes what is there now");
        }
        let code = match &error {
            ArchiveError::Transfer(error) => transfer_code(error),
            ArchiveError::Several { .. } => ExitCode::Transport,
            _ => ExitCode::Failure,
        };
        Self::new(code, error)
    }
}

impl From<IndexError> for Failure {
    fn from(error: IndexError) -> Self {
        let hint = match &*error.fault {
            IndexFault::Signature(_) => {
                "nothing of it was used; name the keys that sign it by `keys` in the list, or by Signed-By in apt's configuration"
            }
            IndexFault::NoKeys => "name them by `keys` in the list, or by Signed-By in apt's configuration",
            IndexFault::Release(varve_packages::ReleaseError::Expired { .. }) => {
                "the mirror is stale, or shows an old state on purpose: for an archive of old states write `ignore-age = true` in the list"
            }
            _ => "",
        };
        let code = match &*error.fault {
            IndexFault::Transfer(error) => transfer_code(error),
            fault if fault.is_integrity() => ExitCode::Integrity,
            IndexFault::NoKeys | IndexFault::NoComponent { .. } => ExitCode::Usage,
            _ => ExitCode::Failure,
        };
        let failure = Self::new(code, error);
        if hint.is_empty() { failure } else { failure.hint(hint) }
    }
}

impl From<UniverseError> for Failure {
    fn from(error: UniverseError) -> Self {
        match error {
            UniverseError::Index(error) => error.into(),
            UniverseError::Entry(error) => Self::new(ExitCode::Integrity, error),
        }
    }
}

impl From<LockingError> for Failure {
    fn from(error: LockingError) -> Self {
        let (code, hint) = match &error {
            LockingError::Unknown(_) => (ExitCode::NotFound, ""),
            LockingError::Conflict(_) => (
                ExitCode::Failure,
                "leave out one of the requests, or say which version or index is meant by 'name = version' or 'name/index'",
            ),
            LockingError::Entry(_) => (ExitCode::Integrity, ""),
            _ => (ExitCode::Usage, ""),
        };
        let failure = Self::new(code, error);
        if hint.is_empty() { failure } else { failure.hint(hint) }
    }
}

impl From<SourcesError> for Failure {
    fn from(error: SourcesError) -> Self {
        Self::usage_error(error)
            .hint("name indexes in the list by [[index]], or give a file of apt or dnf with --sources; see docs/operate/packages.md")
    }
}

impl From<ListError> for Failure {
    fn from(error: ListError) -> Self {
        Self::usage_error(error)
    }
}

impl From<LockError> for Failure {
    fn from(error: LockError) -> Self {
        Self::usage_error(error)
    }
}

/// The universe of some indexes, read on all cores.
pub(crate) fn universe<'a>(
    indexes: &'a [Index],
    family: Family,
    architecture: &Architecture,
) -> Result<Box<dyn varve_packages::Universe + 'a>, Failure> {
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    Ok(varve_packages::universe(indexes, family, architecture, threads)?)
}
