//! Why a command could not be started in a sandbox.

use std::io;
use std::path::{Path, PathBuf};

/// Why a command could not be started in a sandbox.
#[derive(Debug, thiserror::Error)]
pub enum SandboxError {
    /// A file or directory could not be used.
    #[error("cannot {action} {path}", path = path.display())]
    Io {
        /// What was to be done, as in "cannot `action` `path`".
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
}

impl SandboxError {
    /// For use with `map_err`.
    pub fn io<E: Into<io::Error>>(action: &'static str, path: &Path) -> impl FnOnce(E) -> Self {
        move |source| Self::Io { action, path: path.to_owned(), source: source.into() }
    }
}
