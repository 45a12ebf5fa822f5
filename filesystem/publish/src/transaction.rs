//! A transaction: changes are made in a writable view of the newest revision, and published together.
//!
//! ```text
//!   view ═ overlay ┬ upper: what was changed ──commit──▶ walk/layer ─▶ ChangeSet ─▶ conclude
//!                  └ base: the revision it began with, mounted read-only
//! ```
//!
//! Mounting is the program's business. Here are the directory that outlives it, and the commit, which reads the upper
//! directory alone: its cost follows the change. From `begin` to `close` nothing else may make a revision.
//!
//! The directory appears in one rename and goes away in one. The record in it says which root catalog the manifest is about
//! to be switched to, so that a commit that was killed is either repeated or found to be done.

use std::io;
use std::num::NonZeroUsize;
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use varve_content::ContentHash;
use varve_repository::{Entry, RepositoryPath, TagName};

use crate::base_revision::Base;
use crate::change::{Change, ChangeSet, DirectoryChange};
use crate::conclude::{Revising, Stopwatch, conclude};
use crate::error::PublishError;
use crate::head::{Expiry, Publisher, publish_time};
use crate::local::LocalRepository;
use crate::lock::{LockError, RepositoryLock};
use crate::pipeline;
use crate::progress::{Phase, Progress};
use crate::publish::{Published, Statistics, below};
use crate::source::SourceDirectory;
use crate::state::PublishState;
use crate::walk::{Layer, Marks, Owners, WalkOptions, walk_layer};

mod error;
mod record;

pub use error::TransactionError;
use record::Record;

/// What a transaction begins with.
#[derive(Clone, Debug)]
pub struct BeginRequest {
    /// What may be changed: an existing directory.
    pub at: RepositoryPath,
    /// Where the view will be mounted; without it, in the transaction's own directory.
    pub view: Option<PathBuf>,
    /// Whether the view is mounted in a user namespace, where all files belong to one user: what exists keeps its owners.
    pub private: bool,
    /// The time.
    pub now: SystemTime,
}

/// How a transaction is published.
#[derive(Clone, Debug)]
pub struct CommitRequest {
    /// A name for the revision, with a description.
    pub tag: Option<(TagName, String)>,
    /// How many threads work.
    pub threads: NonZeroUsize,
    /// How many bytes of file contents may wait in memory.
    pub memory: u64,
    /// The time of the revision.
    pub now: SystemTime,
}

/// An open transaction.
#[derive(Clone, Debug)]
pub struct Transaction {
    record: Record,
    directory: PathBuf,
    at: RepositoryPath,
}

impl Transaction {
    /// Opens one.
    ///
    /// # Errors
    /// [`TransactionError::Open`] if one is open; any other [`PublishError`].
    pub fn begin(local: &LocalRepository, request: &BeginRequest) -> Result<Self, PublishError> {
        let publisher = Publisher::open(local, Expiry::Refused, request.now)?;
        local.refuse_in_transaction()?;
        let head = &publisher.head;
        let base = Base::new(&*head.store, Some(head.root()));
        let directory = base.find(&request.at)?;
        let top = directory.as_ref().and_then(|directory| directory.entry()).ok_or_else(|| {
            TransactionError::NoDirectory { name: local.name.clone(), path: request.at.clone() }
        })?;
        let record = Record {
            repository: local.name.to_string(),
            base: head.manifest.root_catalog.to_string(),
            revision: head.manifest.revision,
            at: request.at.to_string(),
            view: request.view.clone().unwrap_or_else(|| local.transaction.join("view")),
            opened: publish_time(request.now, 0),
            private: request.private,
            committed: None,
        };
        let failed =
            |source| TransactionError::Io { action: "prepare", path: local.transaction.clone(), source };
        prepare(&local.transaction, &record, top).map_err(failed)?;
        Ok(Self { record, directory: local.transaction.clone(), at: request.at.clone() })
    }

    /// The open one, if there is one.
    ///
    /// # Errors
    /// [`TransactionError::Io`] if its record can't be read.
    pub fn find(local: &LocalRepository) -> Result<Option<Self>, TransactionError> {
        let directory = local.transaction.clone();
        let failed =
            |source| TransactionError::Io { action: "read the record in", path: directory.clone(), source };
        let Some(record) = Record::read(&directory).map_err(failed)? else { return Ok(None) };
        let malformed = |error| failed(io::Error::new(io::ErrorKind::InvalidData, error));
        let at = RepositoryPath::new(record.at.as_bytes()).map_err(malformed)?;
        Ok(Some(Self { record, directory, at }))
    }

    /// Keeps other processes from using the transaction until the lock is dropped.
    ///
    /// # Errors
    /// [`TransactionError::InUse`] if one does; [`TransactionError::Io`].
    pub fn hold(&self, local: &LocalRepository) -> Result<RepositoryLock, TransactionError> {
        RepositoryLock::take(&self.directory).map_err(|error| match error {
            LockError::Held { .. } => TransactionError::InUse { name: local.name.clone() },
            LockError::Io { path, source } => TransactionError::Io { action: "lock", path, source },
        })
    }

    /// Publishes what was changed in the view, which must not be changed meanwhile. The transaction stays; see
    /// [`Self::close`].
    ///
    /// # Errors
    /// [`TransactionError::Stale`] if the repository has another revision than the transaction began with; any other
    /// [`PublishError`]. The revision before stays the valid one, and the commit can be tried again.
    pub fn commit(
        &self,
        local: &LocalRepository,
        request: &CommitRequest,
        progress: &dyn Progress,
    ) -> Result<Published, PublishError> {
        let publisher = Publisher::open(local, Expiry::Refused, request.now)?;
        self.commit_as(&publisher, local, request, progress)
    }

    /// The same, as somebody who holds the repository's lock.
    fn commit_as(
        &self,
        publisher: &Publisher,
        local: &LocalRepository,
        request: &CommitRequest,
        progress: &dyn Progress,
    ) -> Result<Published, PublishError> {
        let head = &publisher.head;
        let old = head.manifest.root_catalog;
        if self.record.committed.as_ref() == Some(&old.to_string()) && self.record.base != old.to_string() {
            return Ok(done_before(head.manifest.revision, old));
        }
        if self.record.base != old.to_string() {
            let (began, now) = (self.record.revision, head.manifest.revision);
            return Err(TransactionError::Stale { name: local.name.clone(), began, now }.into());
        }
        let (tag, threads, now) = (request.tag.as_ref(), request.threads, request.now);
        let revising = Revising { publisher, tag, threads, now };
        revising.check_tag()?;
        let upper = self.upper();
        let source = SourceDirectory::open(&upper).map_err(|source| TransactionError::Io {
            action: "open",
            path: upper,
            source,
        })?;
        let base = Base::new(&*head.store, Some(head.root()));
        let mut clock = Stopwatch(Instant::now());

        progress.phase(Phase::Contents);
        let options = WalkOptions {
            xattrs: head.settings.xattrs,
            trusted_before: None,
            owners: if self.record.private { Owners::Kept } else { Owners::Recorded },
        };
        let marks = if self.record.private { Marks::User } else { Marks::Trusted };
        let layer = Layer { upper: &source, top: &self.at, marks };
        let config = revising.pipeline(request.memory);
        let (walked, contents, read) = pipeline::run(&config, &*head.store, progress, |feeder| {
            walk_layer(options, &layer, &base, feeder, progress)
        })?;
        let (change, walked) = walked?;
        let changes = below(ChangeSet { root: change }, &self.at, &base, request.now)?;
        let statistics = Statistics::gathered(&walked, &read, &contents, clock.lap());
        let state = PublishState::read(&local.state);
        let touched = common_directory(&changes);
        let remember = |new: &ContentHash| {
            let failed = |source| TransactionError::Io {
                action: "write the record in",
                path: self.directory.clone(),
                source,
            };
            let record = Record { committed: Some(new.to_string()), ..self.record.clone() };
            record.write(&self.directory).map_err(failed)?;
            Ok(state.after_others(&old, new, &[&touched]).write(&local.state)?)
        };
        conclude(&revising, &base, (changes, &contents), remember, progress, (statistics, walked.warnings))
    }

    /// Ends the transaction; what was not committed is lost. Nothing of it may be mounted any more.
    ///
    /// # Errors
    /// [`TransactionError::Io`].
    pub fn close(self, local: &LocalRepository) -> Result<(), TransactionError> {
        let failed = |path: &Path| {
            let path = path.to_owned();
            move |source| TransactionError::Io { action: "remove", path, source }
        };
        let gone = leftover(&self.directory);
        remove(&gone).map_err(failed(&gone))?;
        std::fs::rename(&local.transaction, &gone).map_err(failed(&self.directory))?;
        remove(&gone).map_err(failed(&gone))
    }

    /// The root catalog that it began with.
    pub fn base(&self) -> &str {
        &self.record.base
    }

    /// The number of that revision.
    pub fn revision(&self) -> u64 {
        self.record.revision
    }

    /// What may be changed, as a path in the repository.
    pub fn at(&self) -> &RepositoryPath {
        &self.at
    }

    /// When it was opened.
    pub fn opened(&self) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(self.record.opened)
    }

    /// Whether the view is mounted in a user namespace.
    pub fn is_private(&self) -> bool {
        self.record.private
    }

    /// Where the view is mounted.
    pub fn view(&self) -> &Path {
        &self.record.view
    }

    /// Where the base revision is mounted.
    pub fn lower(&self) -> PathBuf {
        self.directory.join("base")
    }

    /// The upper directory of the overlay.
    pub fn upper(&self) -> PathBuf {
        self.directory.join("upper")
    }

    /// The working directory of the overlay.
    pub fn work(&self) -> PathBuf {
        self.directory.join("work")
    }
}

impl LocalRepository {
    /// Only a commit may make a revision while a transaction is open. To be asked by whoever has the lock.
    pub(crate) fn refuse_in_transaction(&self) -> Result<(), TransactionError> {
        match Transaction::find(self)? {
            None => Ok(()),
            Some(open) => {
                Err(TransactionError::Open { name: self.name.clone(), view: open.view().to_owned() })
            }
        }
    }
}

/// Makes the directory of a transaction, in one step.
fn prepare(directory: &Path, record: &Record, top: &Entry) -> io::Result<()> {
    let new = leftover(directory);
    remove(&new)?;
    for part in ["base", "view", "work", "upper"] {
        std::fs::create_dir_all(new.join(part))?;
    }
    let upper = new.join("upper");
    for (name, value) in top.xattrs.iter() {
        rustix::fs::setxattr(&upper, name, value, rustix::fs::XattrFlags::empty())?;
    }
    if !record.private {
        chown(&upper, Some(top.metadata.uid), Some(top.metadata.gid))?;
    }
    std::fs::set_permissions(&upper, std::fs::Permissions::from_mode(top.metadata.permissions))?;
    let time = top.metadata.mtime;
    let time = rustix::fs::Timespec { tv_sec: time.seconds, tv_nsec: time.nanoseconds.unwrap_or(0).into() };
    let times = rustix::fs::Timestamps { last_access: time, last_modification: time };
    rustix::fs::utimensat(rustix::fs::CWD, &upper, &times, rustix::fs::AtFlags::empty())?;
    record.write(&new)?;
    std::fs::rename(&new, directory)?;
    let parent = directory.parent().unwrap_or(Path::new("/"));
    std::fs::File::open(parent)?.sync_all()
}

/// What a transaction is called before it is whole, and while it is removed.
fn leftover(directory: &Path) -> PathBuf {
    let mut name = directory.file_name().unwrap_or_default().to_owned();
    name.push(".leftover");
    directory.with_file_name(name)
}

/// Removes a directory with everything in it, if there is one.
fn remove(directory: &Path) -> io::Result<()> {
    let removed = match std::fs::remove_dir_all(directory) {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            make_removable(directory)?;
            std::fs::remove_dir_all(directory)
        }
        result => result,
    };
    match removed {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        result => result,
    }
}

/// Lets the owner remove what is in a directory: the kernel's own ones, and those that were published so, refuse it.
fn make_removable(directory: &Path) -> io::Result<()> {
    std::fs::set_permissions(directory, std::fs::Permissions::from_mode(0o700))?;
    for entry in std::fs::read_dir(directory)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            make_removable(&entry.path())?;
        }
    }
    Ok(())
}

/// What a commit says that finds that one before it was killed after its last step.
fn done_before(revision: u64, root_catalog: ContentHash) -> Published {
    Published {
        revision,
        root_catalog,
        is_new: true,
        statistics: Statistics::default(),
        warnings: Vec::new(),
    }
}

/// The lowest directory that all changes lie in.
fn common_directory(changes: &ChangeSet) -> RepositoryPath {
    let mut path = RepositoryPath::ROOT;
    let mut change: &DirectoryChange = &changes.root;
    while change.entry.is_none()
        && !change.opaque
        && change.names.len() == 1
        && let Some((name, Change::Directory(inner))) = change.names.first_key_value()
    {
        path = path.join(name);
        change = inner;
    }
    path
}

#[cfg(test)]
mod tests;
