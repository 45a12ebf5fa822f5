//! Which version of the operating system is booted, and going to another one.
//!
//! A machine *stays* at the version of its first boot until somebody asks for another. A machine that *follows* takes the newest
//! version of its tag at every boot. One that *diverges* is not offered any: its own package manager changes it from then on. What
//! was changed in the machine is kept over all of this, see [`crate::rebase`].
//!
//! The upper directory of an overlay in use can't be changed, so a running machine only notes what is wanted ([`Request`]) and the
//! next boot does it, before the overlay is mounted ([`Versions::at_boot`]). On the scratch disk:
//!
//! ```text
//! version.json          the version that is booted, and the policy
//! update/request.json   what the next boot does; removed when it is done
//! update/N/             the Nth update: begun.json (from which version to which), report.txt, and what undoing it needs
//! ```

use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::rebase::{self, Rebase, RebaseError, Undo};

/// Why a machine can't go to another version. It boots the one it has then.
#[derive(Debug, thiserror::Error)]
pub enum UpdateError {
    /// The changes made in the machine can't be carried over.
    #[error("cannot carry the changes of this machine over")]
    Rebase(#[from] RebaseError),
    /// One of the versions can't be mounted.
    #[error("cannot mount version {version} of the operating system")]
    Base {
        /// Which.
        version: String,
        /// Why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A file of this module's can't be read or written.
    #[error("cannot {what} {}", path.display())]
    Io {
        /// What was tried.
        what: &'static str,
        /// With which file.
        path: PathBuf,
        /// Why it failed.
        #[source]
        source: io::Error,
    },
    /// A file of this module's can't be understood.
    #[error("{} was damaged: {reason}", path.display())]
    Damaged {
        /// Which.
        path: PathBuf,
        /// How.
        reason: String,
    },
    /// There is no update that could be undone.
    #[error("there is no version before this one to go back to")]
    NothingToUndo,
}

/// Which version of the operating system a machine runs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Version {
    /// The root hash: it alone decides.
    pub hash: String,
    /// The number of the revision, where it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revision: Option<u64>,
    /// The tag by which it was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tag: Option<String>,
}

/// As people say it: the tag if it has one.
impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.tag, self.revision) {
            (Some(tag), Some(revision)) => write!(f, "{tag} (revision {revision})"),
            (Some(tag), None) => f.write_str(tag),
            (None, Some(revision)) => write!(f, "revision {revision}"),
            (None, None) => f.write_str(&self.hash),
        }
    }
}

/// When a machine goes to a newer version.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Policy {
    /// When it is asked to.
    #[default]
    Stay,
    /// At every boot, when there is one.
    Follow,
    /// Never: it has gone its own way.
    Diverge,
}

/// The version of a machine, as its scratch disk has it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pinned {
    /// The name of the operating system's repository.
    pub repository: String,
    /// What image, user data and command line asked for when it was pinned: when they ask for something else, that is done.
    pub asked: String,
    /// What is booted.
    pub version: Version,
    /// What about newer ones.
    #[serde(default)]
    pub policy: Policy,
    /// The number of the update that led here; 0 is the first boot.
    #[serde(default)]
    pub update: u32,
}

impl Pinned {
    /// What a first boot pins: the version that was asked for.
    pub fn first(repository: &str, asked: &str, version: Version) -> Self {
        let (repository, asked) = (repository.to_owned(), asked.to_owned());
        Self { repository, asked, version, policy: Policy::Stay, update: 0 }
    }
}

/// An update that was begun.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Begun {
    before: Pinned,
    to: Version,
}

/// Its file.
const BEGUN: &str = "begun.json";

/// What the next boot is to do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Request {
    /// Go to this version, with the changes made in the machine.
    Rebase(Version),
    /// Go back to the version before.
    Undo,
}

/// Where versions can be read.
pub trait Bases {
    /// Mounts a version, until the value is dropped or the machine goes on; returns its root directory.
    ///
    /// # Errors
    /// Why it can't be.
    fn mount(&mut self, version: &Version) -> Result<PathBuf, Box<dyn std::error::Error + Send + Sync>>;
}

/// A version that was published.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Release {
    /// With its tag.
    pub version: Version,
    /// When, as RFC 3339 says it.
    pub published: String,
    /// What its publisher says of it.
    pub description: String,
}

/// What a running machine can find out about other versions.
pub trait Releases: Send + Sync + fmt::Debug {
    /// All that have a name, newest first.
    ///
    /// # Errors
    /// Why they can't be listed.
    fn list(&self) -> Result<Vec<Release>, Box<dyn std::error::Error + Send + Sync>>;

    /// What going to a version would make of the changes in this machine.
    ///
    /// # Errors
    /// Why it can't be found out.
    fn compare(&self, to: &Version) -> Result<Rebase, Box<dyn std::error::Error + Send + Sync>>;
}

/// What a boot did about the version.
#[derive(Debug)]
pub enum Outcome {
    /// Nothing was asked for.
    Unchanged,
    /// Another version is booted.
    Rebased {
        /// The version before.
        from: Version,
        /// What became of the machine's changes.
        rebase: Rebase,
    },
    /// The version before is booted again.
    Undone {
        /// The version that was given up.
        from: Version,
        /// What could not be brought back, since it was changed after the update.
        kept: Vec<PathBuf>,
    },
}

/// The part of a scratch disk that is about versions.
#[derive(Clone, Debug)]
pub struct Versions {
    directory: PathBuf,
}

impl Versions {
    /// In this directory.
    pub fn in_directory(directory: &Path) -> Self {
        Self { directory: directory.to_owned() }
    }

    /// The directory.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// The version that was booted last; nothing before the first boot.
    ///
    /// # Errors
    /// [`UpdateError`].
    pub fn pinned(&self) -> Result<Option<Pinned>, UpdateError> {
        read(&self.directory.join("version.json"))
    }

    /// Records the version.
    ///
    /// # Errors
    /// [`UpdateError::Rebase`].
    pub fn pin(&self, pinned: &Pinned) -> Result<(), UpdateError> {
        write(&self.directory.join("version.json"), pinned)
    }

    /// What the next boot is to do.
    ///
    /// # Errors
    /// [`UpdateError`].
    pub fn request(&self) -> Result<Option<Request>, UpdateError> {
        read(&self.updates().join("request.json"))
    }

    /// Notes what the next boot is to do, in place of what was noted before.
    ///
    /// # Errors
    /// [`UpdateError`]; [`UpdateError::NothingToUndo`].
    pub fn ask(&self, request: Option<&Request>) -> Result<(), UpdateError> {
        let path = self.updates().join("request.json");
        match request {
            None => remove(&path),
            Some(Request::Undo) if self.pinned()?.is_none_or(|pinned| pinned.update == 0) => {
                Err(UpdateError::NothingToUndo)
            }
            Some(request) => {
                fs::create_dir_all(self.updates()).map_err(io_error("make", &self.updates()))?;
                write(&path, request)
            }
        }
    }

    /// Does what was asked for. `upper` must not be in use.
    ///
    /// When it fails, the version is the one before, and the request stays; it is tried again at the next boot. What was begun and
    /// stopped is gone on with.
    ///
    /// # Errors
    /// [`UpdateError`].
    pub fn at_boot(&self, upper: &Path, bases: &mut dyn Bases) -> Result<Outcome, UpdateError> {
        let (Some(pinned), Some(request)) = (self.pinned()?, self.request()?) else {
            return Ok(Outcome::Unchanged);
        };
        let outcome = match request {
            Request::Rebase(to) if to.hash == pinned.version.hash => Outcome::Unchanged,
            Request::Rebase(to) => self.rebase(&pinned, to, upper, bases)?,
            Request::Undo => self.undo(&pinned, upper)?,
        };
        self.ask(None)?;
        Ok(outcome)
    }

    fn rebase(
        &self,
        pinned: &Pinned,
        to: Version,
        upper: &Path,
        bases: &mut dyn Bases,
    ) -> Result<Outcome, UpdateError> {
        let update = pinned.update + 1;
        let directory = self.update(update);
        let begun = Begun { before: pinned.clone(), to };
        let rebase = match self.recorded(&begun, &directory, upper)? {
            Some(rebase) => rebase,
            None => {
                let mut mount = |version: &Version| {
                    bases
                        .mount(version)
                        .map_err(|source| UpdateError::Base { version: version.to_string(), source })
                };
                let (before, after) = (mount(&pinned.version)?, mount(&begun.to)?);
                let rebase = rebase::plan(&before, &after, upper)?;
                fs::create_dir_all(&directory).map_err(io_error("make", &directory))?;
                write(&directory.join(BEGUN), &begun)?;
                rebase
            }
        };
        if let Err(error) = rebase.apply(upper, &directory) {
            // The version before is booted, and must find what it had.
            if let Some(undo) = Undo::load(&directory)? {
                undo.apply(upper)?;
            }
            remove_all(&directory)?;
            return Err(error.into());
        }
        let report = directory.join("report.txt");
        fs::write(&report, format!("from {} to {}\n{rebase}\n", pinned.version, begun.to))
            .map_err(io_error("write", &report))?;
        self.pin(&Pinned { version: begun.to, update, ..pinned.clone() })?;
        Ok(Outcome::Rebased { from: pinned.version.clone(), rebase })
    }

    /// What was recorded of this very update, if it was begun. What was begun of another is taken back.
    fn recorded(
        &self,
        update: &Begun,
        directory: &Path,
        upper: &Path,
    ) -> Result<Option<Rebase>, UpdateError> {
        if read::<Begun>(&directory.join(BEGUN))?.as_ref() == Some(update) {
            return Ok(Rebase::recorded(directory)?);
        }
        if let Some(undo) = Undo::load(directory)? {
            undo.apply(upper)?;
        }
        remove_all(directory)?;
        Ok(None)
    }

    fn undo(&self, pinned: &Pinned, upper: &Path) -> Result<Outcome, UpdateError> {
        let directory = self.update(pinned.update);
        // The former name must not be found by a later update of the same number.
        let undone = directory.with_extension("undone");
        let present = if directory.join(BEGUN).exists() { &directory } else { &undone };
        let begun: Option<Begun> = read(&present.join(BEGUN))?;
        let (Some(begun), Some(undo)) = (begun, Undo::load(present)?) else {
            return Err(UpdateError::NothingToUndo);
        };
        let kept = undo.apply(upper)?;
        if present == &directory {
            remove_all(&undone)?;
            fs::rename(&directory, &undone).map_err(io_error("rename", &directory))?;
        }
        self.pin(&Pinned { policy: pinned.policy, asked: pinned.asked.clone(), ..begun.before })?;
        Ok(Outcome::Undone { from: pinned.version.clone(), kept })
    }

    fn updates(&self) -> PathBuf {
        self.directory.join("update")
    }

    fn update(&self, number: u32) -> PathBuf {
        self.updates().join(number.to_string())
    }
}

fn io_error(what: &'static str, path: &Path) -> impl FnOnce(io::Error) -> UpdateError {
    let path = path.to_owned();
    move |source| UpdateError::Io { what, path, source }
}

fn read<T: DeserializeOwned>(path: &Path) -> Result<Option<T>, UpdateError> {
    match fs::read(path) {
        Ok(text) => serde_json::from_slice(&text)
            .map(Some)
            .map_err(|error| UpdateError::Damaged { path: path.to_owned(), reason: error.to_string() }),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(io_error("read", path)(error)),
    }
}

/// The old file or the new one is there at any instant, also after a power cut.
fn write<T: Serialize>(path: &Path, value: &T) -> Result<(), UpdateError> {
    let text = serde_json::to_vec_pretty(value).expect("because its keys are text");
    rebase::write_whole(path, &text)?;
    let directory = path.parent().unwrap_or(Path::new("/"));
    fs::File::open(directory).and_then(|directory| directory.sync_all()).map_err(io_error("sync", directory))
}

fn remove(path: &Path) -> Result<(), UpdateError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(io_error("remove", path)(error)),
        _ => Ok(()),
    }
}

fn remove_all(directory: &Path) -> Result<(), UpdateError> {
    match fs::remove_dir_all(directory) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(io_error("remove", directory)(error)),
        _ => Ok(()),
    }
}
