//! What is written down of an open transaction, so that it outlives processes and machines.

use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

/// The file's name in the transaction's directory.
const FILE: &str = "transaction.json";

/// An open transaction.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Record {
    /// The repository's name.
    pub(super) repository: String,
    /// The root catalog that it began with.
    pub(super) base: String,
    /// That revision's number.
    pub(super) revision: u64,
    /// What may be changed, as a path in the repository.
    pub(super) at: String,
    /// Where the writable view is mounted.
    pub(super) view: PathBuf,
    /// Seconds since 1970 at which it was opened.
    pub(super) opened: u64,
    /// Whether the view is mounted in a user namespace.
    pub(super) private: bool,
    /// The root catalog that the manifest is about to be switched to, or was.
    pub(super) committed: Option<String>,
}

impl Record {
    /// `None` if there is no transaction in the directory.
    pub(super) fn read(directory: &Path) -> io::Result<Option<Self>> {
        match std::fs::read(directory.join(FILE)) {
            Ok(bytes) => Ok(Some(serde_json::from_slice(&bytes)?)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Writes it in one step, and durably.
    pub(super) fn write(&self, directory: &Path) -> io::Result<()> {
        let mut file = tempfile::NamedTempFile::new_in(directory)?;
        file.write_all(&serde_json::to_vec_pretty(self)?)?;
        file.as_file().sync_all()?;
        file.persist(directory.join(FILE)).map_err(|error| error.error)?;
        std::fs::File::open(directory)?.sync_all()
    }
}
