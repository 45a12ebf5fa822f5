//! The versions of the operating system that are published, as the running machine sees them.
//!
//! The repository and the scratch disk are mounted where only the guest's own processes see them; the way there is through the
//! root directory of one of these processes.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use jiff::Timestamp;
use varve_store::{Deadline, Freshness};

use crate::error::GuestError;
use crate::os_mount::{self, MountSettings};
use crate::places::{OS, PROGRAM, RUN};
use crate::rebase::{self, Rebase};
use crate::record::{self, BootRecord};
use crate::scratch::Scratch;
use crate::shutdown::own_root;
use crate::update::{Release, Releases, Version, Versions};

/// How long listing may take.
const PATIENCE: Duration = Duration::from_secs(30);
/// Seconds after which a read without an answer is an error.
const DEADLINE: u64 = 60;
/// How the processes of the mount are shown.
const NAME: &str = "varve-guest";

/// The operating system's repository, and the scratch disk, of this machine.
#[derive(Debug)]
pub struct Published {
    settings: MountSettings,
    scratch: Scratch,
    /// The root directory of the guest's own processes.
    root: PathBuf,
    now: fn() -> SystemTime,
}

impl Published {
    /// As the guest booted it.
    ///
    /// # Errors
    /// [`GuestError`] if this machine was not booted by the guest.
    pub fn of_this_machine(now: fn() -> SystemTime) -> Result<Self, GuestError> {
        let record = BootRecord::read(Path::new(record::FILE))?;
        let root = own_root().ok_or(GuestError::Missing { what: "process of the guest" })?;
        let scratch = record.scratch.ok_or(GuestError::Missing { what: "scratch disk" })?;
        let settings = MountSettings {
            repository: record.repository.ok_or(GuestError::Missing { what: "repository" })?,
            revision: String::new(),
            cache: below(&root, &scratch.cache()),
            cache_quota: Some(scratch.cache_quota),
            control: Path::new(RUN).join("next.socket"),
            deadline: DEADLINE,
        };
        Ok(Self { settings, scratch, root, now })
    }

    /// What the scratch disk says of versions; a machine that keeps its changes in memory has none.
    pub fn versions(&self) -> Option<Versions> {
        self.scratch.device.as_ref()?;
        Some(Versions::in_directory(&below(&self.root, &self.scratch.auxiliary())))
    }
}

impl Releases for Published {
    fn list(&self) -> Result<Vec<Release>, Box<dyn Error + Send + Sync>> {
        let repository = os_mount::open(&self.settings, self.now)?.repository;
        let deadline = Deadline::after(PATIENCE);
        let fetched = repository.fetch_manifest(Freshness::Revalidated, (self.now)(), deadline)?;
        let history = repository.history(&fetched.manifest, deadline)?;
        let release = |tag: &varve_repository::Tag| Release {
            version: Version {
                hash: tag.root_catalog.to_string(),
                revision: Some(tag.revision),
                tag: Some(tag.name.to_string()),
            },
            published: i64::try_from(tag.published)
                .ok()
                .and_then(|seconds| Timestamp::from_second(seconds).ok())
                .map(|published| published.to_string())
                .unwrap_or_default(),
            description: tag.description.clone(),
        };
        Ok(history.newest_first().into_iter().map(release).collect())
    }

    fn compare(&self, to: &Version) -> Result<Rebase, Box<dyn Error + Send + Sync>> {
        let next = Path::new(RUN).join("next");
        // Left behind by a comparison that was killed.
        let _ = os_mount::unmount(&next);
        let settings = MountSettings { revision: to.hash.clone(), ..self.settings.clone() };
        os_mount::mount(&settings, &next, Path::new(PROGRAM), &Path::new(RUN).join("next.log"), NAME)?;
        let compared =
            rebase::plan(&below(&self.root, Path::new(OS)), &next, &below(&self.root, &self.scratch.upper()));
        os_mount::unmount(&next)?;
        Ok(compared?)
    }
}

/// An absolute path, seen from outside of the root directory that it is meant in.
fn below(root: &Path, path: &Path) -> PathBuf {
    root.join(path.strip_prefix("/").unwrap_or(path))
}
