//! Where a replica lies, and the right to change it.

use std::fs;
use std::num::NonZeroUsize;
use std::path::Path;

use varve_publish::{
    CollectRequest, Collected, Keep, LocalRepository, PublishError, RepositoryLock, Silent, collect_replica,
};
use varve_repository::{PublicKeys, RepositoryName};
use varve_store::ObjectStore;

use crate::commands::repo::gc;
use crate::commands::repo::local;
use crate::failure::Failure;
use crate::invocation::Invocation;

/// Where a replica lies: among the repositories of this machine, or in a directory, with its settings beside it. The
/// settings may name a storage elsewhere.
pub(super) struct Place(LocalRepository);

/// A replica that nobody else changes meanwhile.
pub(super) struct Opened<'a> {
    pub(super) store: Box<dyn ObjectStore>,
    place: &'a Place,
    lock: RepositoryLock,
}

impl Place {
    pub(super) fn new(
        invocation: &Invocation,
        name: &RepositoryName,
        to: Option<&Path>,
    ) -> Result<Self, Failure> {
        let local = local::repository(invocation, name)?;
        Ok(Self(match to {
            Some(directory) => LocalRepository {
                directory: directory.join(name.as_str()),
                settings: directory.join(format!("{name}.toml")),
                ..local
            },
            None => local,
        }))
    }

    /// Locks it, and makes what is missing of it.
    pub(super) fn open(&self) -> Result<Opened<'_>, Failure> {
        let directory = &self.0.directory;
        fs::create_dir_all(directory).map_err(|error| Failure::io("create directory", directory, error))?;
        let lock = RepositoryLock::take(directory).map_err(PublishError::from)?;
        Ok(Opened { store: self.0.open_replica(&lock)?, place: self, lock })
    }
}

impl Opened<'_> {
    /// Removes what no revision needs that is shown, has a tag, or was shown in the last days.
    pub(super) fn collect(&self, invocation: &Invocation) -> Result<Collected, Failure> {
        let now = invocation.now();
        let threads = std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
        let keep = Keep::Since(gc::days_before(now, gc::DAYS));
        let request = CollectRequest { keep, dry_run: false, threads, now };
        Ok(collect_replica(&self.place.0, &self.lock, &request, &Silent)?)
    }
}

/// Keeps public keys for the next time, and for `varve repo check` and `varve mount`.
pub(super) fn keep_keys(file: &Path, keys: &PublicKeys) -> Result<(), Failure> {
    let written =
        file.parent().map_or(Ok(()), fs::create_dir_all).and_then(|()| fs::write(file, keys.to_pem()));
    written.map_err(|error| Failure::io("write", file, error))
}
