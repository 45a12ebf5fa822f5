//! How this machine's client is configured: CernVM-FS's files, then Varve's own `client.toml`, then the command line.
//!
//! | file | owns |
//! |---|---|
//! | settings | the names and types of settings, and where each came from |
//! | shell | files of shell assignments |
//! | cvmfs | CernVM-FS's files and names |
//! | own | `client.toml` |
//! | nearby | the order of servers by distance, remembered |
//! | reach | where a repository is read from |
//! | resolved | what the settings lead to: servers, proxies, keys |

mod cvmfs;
pub(crate) mod nearby;
mod own;
pub(crate) mod reach;
mod resolved;
mod settings;
mod shell;

use std::io;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use varve_repository::RepositoryName;
use varve_store::HttpConfigError;

pub(crate) use self::settings::{Origin, Section, Settings, Size, Sourced};
pub(crate) use self::shell::Note;
use crate::places::Places;

/// Where the configuration lies, and what the command line adds.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Sources {
    /// The directory of CernVM-FS's files, if they count.
    pub(crate) cvmfs: Option<PathBuf>,
    /// Varve's own file, if it counts.
    pub(crate) own: Option<PathBuf>,
    /// What options say.
    pub(crate) command_line: Section,
    /// A tree that is to be mounted: nothing below it is read for it.
    pub(crate) tree: Option<PathBuf>,
}

/// What the configuration says of one repository, or of all.
#[derive(Clone, Debug, Default)]
pub(crate) struct Client {
    pub(crate) settings: Settings,
    /// What is wrong in the files.
    pub(crate) notes: Vec<Note>,
    /// What is set and has no effect.
    pub(crate) ignored: Vec<Ignored>,
}

/// A parameter of CernVM-FS that has no effect here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Ignored {
    pub(crate) name: String,
    pub(crate) value: String,
    pub(crate) origin: Origin,
    /// What is so instead.
    pub(crate) why: Option<&'static str>,
}

impl Sources {
    /// The files of this machine, below options.
    pub(crate) fn of(places: &Places, command_line: Section) -> Self {
        let (cvmfs, own) = (Some(places.cvmfs().to_owned()), Some(places.client()));
        Self { cvmfs, own, command_line, tree: None }
    }

    /// Reads everything that is said of a repository, or of all.
    ///
    /// # Errors
    /// [`ClientError`] for a file of Varve's own that can't be understood, and for what is never allowed.
    pub(crate) fn load(&self, name: Option<&RepositoryName>) -> Result<Client, ClientError> {
        let mut client = Client::default();
        if let Some(cvmfs) = &self.cvmfs {
            let variables = cvmfs::read(cvmfs, name, self.tree.as_deref(), &mut client);
            cvmfs::apply(&variables, name, &mut client)?;
        }
        if let Some(own) = &self.own {
            own::overlay(&mut client.settings, own, name)?;
        }
        client.settings.overlay(self.command_line.clone(), &Origin::CommandLine);
        Ok(client)
    }
}

impl Client {
    /// What people should hear before anything is done with it.
    pub(crate) fn warnings(&self) -> impl Iterator<Item = String> {
        self.notes.iter().map(|note| {
            let origin = Origin::File { path: note.path.clone(), line: note.line };
            format!("{origin}: {}", note.text)
        })
    }
}

/// The text with the repository's name for `@fqrn@`, and its first part for `@org@`.
fn fill_in(text: &str, name: &RepositoryName) -> String {
    text.replace("@fqrn@", name.as_str()).replace("@org@", name.organization())
}

/// Why there is no configuration.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ClientError {
    /// A file is there, but can't be read.
    #[error("cannot read {path}", path = path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// Varve's own file is malformed, or has a name that doesn't exist.
    #[error("{path} is malformed", path = path.display())]
    Syntax {
        /// The file.
        path: PathBuf,
        /// Where and how.
        #[source]
        source: Box<toml::de::Error>,
    },
    /// Signatures were to be ignored.
    #[error("CVMFS_IGNORE_SIGNATURE in {origin} is not supported: nothing unverified is ever mounted")]
    Unverified {
        /// Where it was said.
        origin: Origin,
    },
    /// A list of servers or proxies is malformed.
    #[error("{setting} ({origin})")]
    Network {
        /// The setting.
        setting: &'static str,
        /// Where it was said.
        origin: Origin,
        /// What is wrong.
        #[source]
        source: HttpConfigError,
    },
}

#[cfg(test)]
mod tests;
