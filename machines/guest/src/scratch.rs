//! Where the machine keeps what it fetches and what is changed in it.

use std::ffi::CString;
use std::fs;
use std::path::{Path, PathBuf};

use rustix::mount::{MountFlags, mount};
use serde::{Deserialize, Serialize};

use crate::error::GuestError;

/// Writable room.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Scratch {
    /// Where it is mounted.
    pub directory: PathBuf,
    /// The disk; `None` for memory, which forgets everything when the machine stops.
    pub device: Option<PathBuf>,
    /// How many bytes fetched objects may take.
    pub cache_quota: u64,
}

impl Scratch {
    /// Takes memory, as much as the machine can do without.
    ///
    /// # Errors
    /// [`GuestError::Io`].
    pub fn in_memory(at: &Path, memory: u64) -> Result<Self, GuestError> {
        fs::create_dir_all(at).map_err(GuestError::io("create", at))?;
        let size = memory / 2;
        let options = CString::new(format!("mode=0755,size={size}")).unwrap_or_default();
        mount("varve-scratch", at, "tmpfs", MountFlags::NODEV, options.as_c_str())
            .map_err(|errno| GuestError::io("mount memory on", at)(errno.into()))?;
        let scratch = Self { directory: at.to_owned(), device: None, cache_quota: size / 2 };
        scratch.make_directories()?;
        Ok(scratch)
    }

    /// Where fetched objects are kept.
    pub fn cache(&self) -> PathBuf {
        self.directory.join("cache")
    }

    /// Where what is changed in the operating system's tree is kept.
    pub fn upper(&self) -> PathBuf {
        self.directory.join("upper")
    }

    /// The overlay's own directory.
    pub fn work(&self) -> PathBuf {
        self.directory.join("work")
    }

    fn make_directories(&self) -> Result<(), GuestError> {
        for directory in [self.cache(), self.upper(), self.work()] {
            fs::create_dir_all(&directory).map_err(GuestError::io("create", &directory))?;
        }
        Ok(())
    }
}
