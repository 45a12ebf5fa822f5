//! `/run/varve/boot.json`: what was booted, from where, and how long each step took; for programs of the booted machine and
//! for people who ask.

use std::fs;
use std::path::Path;

use rustix::time::{ClockId, clock_gettime};
use serde::{Deserialize, Serialize};

use crate::config::RepositoryConfig;
use crate::error::GuestError;
use crate::os_mount::Revision;
use crate::scratch::Scratch;

/// The file.
pub const FILE: &str = "/run/varve/boot.json";

/// What was booted.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct BootRecord {
    /// The operating system's repository.
    pub repository: Option<RepositoryConfig>,
    /// Its revision.
    pub revision: Option<Revision>,
    /// Where the user data came from.
    pub user_data_source: Option<String>,
    /// Which machine this is, as its cloud has it.
    pub instance_id: Option<String>,
    /// Where changes are kept.
    pub scratch: Option<Scratch>,
    /// When each step was done.
    pub steps: Vec<Step>,
}

/// A step of the boot.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Step {
    /// What was done.
    pub name: String,
    /// Milliseconds after the kernel's start.
    pub at: u64,
}

impl BootRecord {
    /// Notes that a step is done now.
    pub fn done(&mut self, name: &str) {
        let uptime = clock_gettime(ClockId::Boottime);
        let at = uptime.tv_sec as u64 * 1000 + uptime.tv_nsec as u64 / 1_000_000;
        self.steps.push(Step { name: name.to_owned(), at });
    }

    /// Writes it.
    ///
    /// # Errors
    /// [`GuestError::Io`].
    pub fn write(&self, path: &Path) -> Result<(), GuestError> {
        let text = serde_json::to_vec_pretty(self).unwrap_or_default();
        fs::write(path, text).map_err(GuestError::io("write", path))
    }

    /// Reads it again.
    ///
    /// # Errors
    /// [`GuestError::Io`].
    pub fn read(path: &Path) -> Result<Self, GuestError> {
        let failed = || GuestError::io("read", path);
        let text = fs::read(path).map_err(failed())?;
        serde_json::from_slice(&text).map_err(|error| failed()(error.into()))
    }
}
