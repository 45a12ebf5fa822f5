//! The indexes that a machine's own package manager is configured for, and the keys that they name.

mod apt;
mod dnf;
mod keys;

use std::io;
use std::path::{Path, PathBuf};

use crate::index::IndexSource;
use crate::location::LocationError;
use crate::name::{IndexId, NameError};
use crate::openpgp::KeyringError;

pub use apt::{apt_sources, apt_sources_of};
pub use dnf::{dnf_sources, dnf_sources_of};
pub(crate) use keys::{keyring, keyring_of_text};

/// What a machine's configuration names.
#[derive(Clone, Debug, Default)]
pub struct MachineSources {
    /// The indexes that can be used.
    pub indexes: Vec<IndexSource>,
    /// Why others can't.
    pub skipped: Vec<String>,
}

/// A configuration that can't be used.
#[derive(Debug, thiserror::Error)]
pub enum SourcesError {
    /// A file can't be read.
    #[error("cannot read {}", path.display())]
    Io {
        /// Which one.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A file of keys has none.
    #[error("{}", path.display())]
    Keys {
        /// Which one.
        path: PathBuf,
        /// Why.
        #[source]
        source: KeyringError,
    },
    /// A line or stanza makes no sense.
    #[error("{}: {reason}", path.display())]
    Syntax {
        /// Where it stands.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// There is nothing.
    #[error("{} names no index that packages can be fetched from", path.display())]
    Empty {
        /// Where it was looked for.
        path: PathBuf,
    },
}

/// Larger files are not configuration.
const LARGEST: u64 = 16 << 20;

impl MachineSources {
    /// Adds an index, with an id that no other has.
    pub fn add(&mut self, mut index: IndexSource) {
        let wanted = index.id.clone();
        for number in 2.. {
            if !self.indexes.iter().any(|other| other.id == index.id) {
                break;
            }
            let Ok(id) = IndexId::new(format!("{wanted}-{number}")) else { break };
            index.id = id;
        }
        self.indexes.push(index);
    }
}

/// An id that a suite or the name of a repository makes.
pub(crate) fn id_of(text: &str) -> IndexId {
    let keep = |c: char| if c.is_ascii_alphanumeric() || "-_.+:".contains(c) { c } else { '-' };
    let id: String = text.chars().map(keep).collect();
    let id = id.trim_matches(|c: char| !c.is_ascii_alphanumeric());
    IndexId::new(id.chars().take(100).collect::<String>())
        .or_else(|_: NameError| IndexId::new("index"))
        .expect("because it has letters only")
}

fn read(path: &Path) -> Result<Vec<u8>, SourcesError> {
    use std::io::Read as _;
    let mut bytes = Vec::new();
    let file = std::fs::File::open(path).and_then(|file| file.take(LARGEST).read_to_end(&mut bytes));
    match file {
        Ok(_) => Ok(bytes),
        Err(source) => Err(SourcesError::Io { path: path.to_owned(), source }),
    }
}

fn read_text(path: &Path) -> Result<String, SourcesError> {
    String::from_utf8(read(path)?)
        .map_err(|error| SourcesError::Syntax { path: path.to_owned(), reason: error.to_string() })
}

/// The files of a directory with one of these endings, sorted; none if there is no such directory.
fn files(directory: &Path, endings: &[&str]) -> Result<Vec<PathBuf>, SourcesError> {
    let failed = |source| SourcesError::Io { path: directory.to_owned(), source };
    let entries = match std::fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(failed(error)),
    };
    let mut found = Vec::new();
    for entry in entries {
        let path = entry.map_err(failed)?.path();
        let ending = path.extension().and_then(|ending| ending.to_str());
        if ending.is_some_and(|ending| endings.contains(&ending)) && path.is_file() {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

fn location(path: &Path, error: &LocationError) -> SourcesError {
    SourcesError::Syntax { path: path.to_owned(), reason: error.to_string() }
}
