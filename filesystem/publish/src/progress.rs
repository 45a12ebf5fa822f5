//! What a long operation tells while it runs. The library knows no terminal: a program implements [`Progress`].

use varve_repository::{EntryName, RepositoryPath};

/// Where a publish is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// The tree is compared with the last revision, changed files are stored meanwhile.
    Contents,
    /// The touched catalogs are written.
    Catalogs,
    /// History and log of references are written, the store is synced, the manifest is switched.
    Commit,
}

impl Phase {
    /// What people are shown.
    pub fn name(self) -> &'static str {
        match self {
            Self::Contents => "files",
            Self::Catalogs => "catalogs",
            Self::Commit => "commit",
        }
    }
}

/// Receives progress, from many threads at once and often: implementations only count and draw now and then.
pub trait Progress: Sync {
    /// A phase begins.
    fn phase(&self, phase: Phase) {
        let _ = phase;
    }

    /// An entry of the tree was looked at; `to_read` is the size of its content if that has to be read.
    fn seen(&self, to_read: Option<u64>) {
        let _ = to_read;
    }

    /// The content of the file `name` in `directory`, `bytes` long, was read.
    fn stored(&self, directory: &RepositoryPath, name: &EntryName, bytes: u64) {
        let _ = (directory, name, bytes);
    }
}

/// Tells nobody.
#[derive(Clone, Copy, Debug, Default)]
pub struct Silent;

impl Progress for Silent {}
