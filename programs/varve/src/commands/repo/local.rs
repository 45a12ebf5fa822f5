//! What the verbs of `varve repo` share: where a repository's parts lie, and progress in the program's words.

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};

use varve_publish::{LocalRepository, Phase, Storage};
use varve_repository::{EntryName, RepositoryName, RepositoryPath};
use varve_store::AwsEnvironment;

use crate::failure::Failure;
use crate::invocation::Invocation;
use crate::places::Places;
use crate::progress::{Progress, Unit};

/// How many files go by between two names that are shown.
const FILES_PER_NAME: u64 = 16;

/// Threads that read from a service, each with a catalog in memory.
const READERS_OF_A_SERVICE: NonZeroUsize = NonZeroUsize::new(8).expect("because it is not zero");

/// The repository called `name`, whether it exists or not.
pub(crate) fn repository(invocation: &Invocation, name: &RepositoryName) -> Result<LocalRepository, Failure> {
    Ok(repository_in(&invocation.places()?, invocation.environment.aws(), name))
}

/// The same of known places.
pub(crate) fn repository_in(places: &Places, aws: AwsEnvironment, name: &RepositoryName) -> LocalRepository {
    LocalRepository {
        name: name.clone(),
        directory: places.repository(name),
        settings: places.settings(name),
        keys: places.keys().to_owned(),
        state: publish_state(places.cache(), name),
        transaction: places.transaction(name),
        aws,
    }
}

/// How many threads look through a repository: one per core, and more where each of them mostly waits for an answer.
pub(crate) fn readers(storage: &Storage) -> NonZeroUsize {
    let cores = std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
    match storage {
        Storage::Local | Storage::Directory(_) => cores,
        Storage::S3(_) => cores.max(READERS_OF_A_SERVICE),
    }
}

/// What former publishes leave for later ones, see docs/operate/publish.md.
fn publish_state(cache: &std::path::Path, name: &RepositoryName) -> PathBuf {
    cache.join("publish").join(format!("{name}.json"))
}

/// Shows a publish: bytes of the files that have to be read.
pub(crate) struct PublishProgress {
    bar: Progress,
    to_read: AtomicU64,
    files: AtomicU64,
}

impl PublishProgress {
    pub(crate) fn start(invocation: &Invocation) -> Self {
        let bar = invocation.progress("publishing", Unit::Bytes, Some(0));
        Self { bar, to_read: AtomicU64::new(0), files: AtomicU64::new(0) }
    }

    pub(crate) fn finish(self) {
        self.bar.finish();
    }
}

impl varve_publish::Progress for PublishProgress {
    fn phase(&self, phase: Phase) {
        self.bar.set_detail(phase.name());
    }

    fn seen(&self, to_read: Option<u64>) {
        if let Some(bytes) = to_read {
            self.bar.set_total(self.to_read.fetch_add(bytes, Ordering::Relaxed) + bytes);
        }
    }

    fn stored(&self, directory: &RepositoryPath, name: &EntryName, bytes: u64) {
        self.bar.advance(bytes);
        if self.files.fetch_add(1, Ordering::Relaxed).is_multiple_of(FILES_PER_NAME) {
            self.bar.set_detail(directory.join(name).to_string());
        }
    }
}
