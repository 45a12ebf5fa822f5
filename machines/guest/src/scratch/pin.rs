//! The pin: which revision this machine stays at. It is kept on the scratch disk beside the changes that were made over it.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::error::GuestError;
use crate::os_mount::Revision;

/// A revision, and what was asked for when it was chosen.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pin {
    /// The repository.
    pub repository: String,
    /// The tag, hash or date that was asked for; empty for the latest.
    pub asked: String,
    /// What that was at the time.
    pub revision: Revision,
}

impl Pin {
    /// Reads it; `None` if there is none, or what is there isn't one.
    pub fn read(directory: &Path) -> Option<Self> {
        serde_json::from_slice(&fs::read(file(directory)).ok()?).ok()
    }

    /// Writes it, whole or not at all.
    ///
    /// # Errors
    /// [`GuestError::Io`].
    pub fn write(&self, directory: &Path) -> Result<(), GuestError> {
        let (path, new) = (file(directory), directory.join("pin.json.new"));
        let write = || {
            fs::create_dir_all(directory)?;
            let mut file = File::create(&new)?;
            file.write_all(&serde_json::to_vec_pretty(self)?)?;
            file.sync_all()?;
            fs::rename(&new, &path)?;
            File::open(directory)?.sync_all()
        };
        write().map_err(GuestError::io("write", &path))
    }

    /// Whether it answers what is asked for now.
    pub fn answers(&self, repository: &str, asked: &str) -> bool {
        self.repository == repository && self.asked == asked
    }
}

fn file(directory: &Path) -> PathBuf {
    directory.join("pin.json")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pin_is_kept() {
        let scratch = varve_testkit::Scratch::new();
        let directory = scratch.join("aux");
        assert_eq!(Pin::read(&directory), None);
        let revision = Revision { hash: "ab".into(), number: Some(3), tag: None, offline: false };
        let pin = Pin { repository: "a.b".into(), asked: "v1".into(), revision };
        pin.write(&directory).unwrap();
        assert_eq!(Pin::read(&directory), Some(pin.clone()));
        assert!(pin.answers("a.b", "v1") && !pin.answers("a.b", "v2") && !pin.answers("b.b", "v1"));
        fs::write(file(&directory), "{").unwrap();
        assert_eq!(Pin::read(&directory), None);
    }
}
