//! The environments of this user: their documents by id, and links to them by name.
//!
//! ```text
//! environments/ID.toml      a document; ID are the 64 digits of its id
//! environments/NAME         a link to ID.toml
//! ```
//!
//! A document appears whole or not at all, and is read back through its id: one that was changed by hand is refused.

use std::fs;
use std::io::{self, Write as _};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};
use varve_environment::{Environment, EnvironmentId, EnvironmentName, IdPrefix, LARGEST_DOCUMENT, TextError};

use crate::exit_code::ExitCode;
use crate::failure::Failure;
use crate::places::Places;

/// What the names of documents end in.
const SUFFIX: &str = ".toml";

/// What the names of files and directories begin with that are being written.
const NEW_FILE: &str = ".new";
const NEW_LINK: &str = ".link";

/// The kept environments.
#[derive(Clone, Debug)]
pub(crate) struct Environments {
    directory: PathBuf,
}

/// A kept environment.
#[derive(Clone, Debug)]
pub(crate) struct Kept {
    pub(crate) id: EnvironmentId,
    /// The names that lead to it, sorted.
    pub(crate) names: Vec<EnvironmentName>,
    pub(crate) environment: Environment,
}

impl Environments {
    pub(crate) fn of(places: &Places) -> Self {
        Self { directory: places.environments().to_owned() }
    }

    /// The environment that an argument names: the path of a document, a name, an id or the beginning of one. What has a
    /// slash in it or ends in `.toml` is a path.
    ///
    /// # Errors
    /// [`ExitCode::NotFound`] if there is none, a usage error if several ids begin so, [`ExitCode::Integrity`] if the kept
    /// document is not what its id says.
    pub(crate) fn find(&self, argument: &str) -> Result<Environment, Failure> {
        if argument.contains('/') || argument.ends_with(SUFFIX) {
            return read(Path::new(argument));
        }
        self.get(self.id_of(argument)?)
    }

    /// The id of a kept environment, by its name, its id or the beginning of that.
    ///
    /// # Errors
    /// As [`Self::find`].
    pub(crate) fn id_of(&self, argument: &str) -> Result<EnvironmentId, Failure> {
        if let Ok(name) = argument.parse::<EnvironmentName>()
            && let Some(id) = self.named(&name)?
        {
            return Ok(id);
        }
        let unknown = || {
            Failure::new(ExitCode::NotFound, format!("there is no environment '{argument}'"))
                .hint("`varve env list` shows all; a document's path has a slash in it or ends in .toml")
        };
        let prefix: IdPrefix = argument.parse().map_err(|_| unknown())?;
        let mut found = self.ids()?;
        found.retain(|id| prefix.matches(id));
        match found.as_slice() {
            [] => Err(unknown()),
            [id] => Ok(*id),
            several => {
                Err(Failure::usage(format!("{} environments' ids begin with '{argument}'", several.len()))
                    .hint("type more digits of it; `varve env list` shows them"))
            }
        }
    }

    /// A kept environment.
    ///
    /// # Errors
    /// As [`Self::find`].
    pub(crate) fn get(&self, id: EnvironmentId) -> Result<Environment, Failure> {
        let path = self.document(id);
        let environment = read(&path)?;
        if environment.id() == id {
            return Ok(environment);
        }
        let error = format!("{} holds the environment {}", path.display(), environment.id());
        Err(Failure::new(ExitCode::Integrity, error).hint("remove that file, and freeze or import it again"))
    }

    /// All of them, sorted by names and ids. Ones that can't be read are passed to `damaged`.
    pub(crate) fn list(&self, damaged: &mut dyn FnMut(Failure)) -> Result<Vec<Kept>, Failure> {
        let mut kept = Vec::new();
        let names = self.names()?;
        for id in self.ids()? {
            match self.get(id) {
                Ok(environment) => {
                    let names = names.iter().filter(|(_, named)| *named == id);
                    kept.push(Kept { id, names: names.map(|(name, _)| name.clone()).collect(), environment });
                }
                Err(failure) => damaged(failure),
            }
        }
        kept.sort_by(|one, other| (one.names.first(), one.id).cmp(&(other.names.first(), other.id)));
        Ok(kept)
    }

    /// Keeps an environment, and lets a name lead to it. One that is kept already gets the new hints.
    ///
    /// # Errors
    /// A usage error if the name leads to another environment and that is not to be replaced.
    pub(crate) fn put(
        &self,
        environment: &Environment,
        name: Option<&EnvironmentName>,
        replace: bool,
    ) -> Result<(), Failure> {
        let id = environment.id();
        let _lock = self.lock()?;
        if let Some(name) = name {
            self.check_free(name, id, replace)?;
        }
        self.write(&self.document(id), environment.to_text().as_bytes())?;
        name.map_or(Ok(()), |name| self.link(name, id))
    }

    /// Refuses a name that leads to another environment.
    ///
    /// # Errors
    /// As [`Self::put`].
    pub(crate) fn check_free(
        &self,
        name: &EnvironmentName,
        id: EnvironmentId,
        replace: bool,
    ) -> Result<(), Failure> {
        match self.named(name)? {
            Some(other) if other != id && !replace => {
                Err(Failure::usage(format!("'{name}' is the name of another environment, {}", other.short()))
                    .hint("choose another name, or let it name the new one with --replace"))
            }
            _ => Ok(()),
        }
    }

    /// Forgets an environment and all of its names.
    pub(crate) fn remove(&self, id: EnvironmentId) -> Result<(), Failure> {
        for (name, named) in self.names()? {
            if named == id {
                self.forget(&name)?;
            }
        }
        remove_file(&self.document(id))
    }

    /// Forgets a name.
    pub(crate) fn forget(&self, name: &EnvironmentName) -> Result<(), Failure> {
        remove_file(&self.directory.join(name.as_str()))
    }

    /// All names and what they lead to, sorted.
    pub(crate) fn names(&self) -> Result<Vec<(EnvironmentName, EnvironmentId)>, Failure> {
        let mut names = Vec::new();
        for name in self.entries()? {
            if let Ok(name) = name.parse::<EnvironmentName>()
                && let Some(id) = self.named(&name)?
            {
                names.push((name, id));
            }
        }
        names.sort();
        Ok(names)
    }

    /// What a name leads to.
    fn named(&self, name: &EnvironmentName) -> Result<Option<EnvironmentId>, Failure> {
        let link = self.directory.join(name.as_str());
        match fs::read_link(&link) {
            Ok(target) => Ok(target.to_str().and_then(id_in)),
            // No link, or nothing at all.
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::InvalidInput) => {
                Ok(None)
            }
            Err(error) => Err(Failure::io("read", &link, error)),
        }
    }

    fn ids(&self) -> Result<Vec<EnvironmentId>, Failure> {
        let mut ids: Vec<_> = self.entries()?.iter().filter_map(|name| id_in(name)).collect();
        ids.sort();
        Ok(ids)
    }

    fn entries(&self) -> Result<Vec<String>, Failure> {
        let failed = |error| Failure::io("list", &self.directory, error);
        let entries = match fs::read_dir(&self.directory) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(failed(error)),
        };
        let names = entries.map(|entry| Ok(entry.map_err(failed)?.file_name().into_string().ok()));
        Ok(names.collect::<Result<Vec<_>, Failure>>()?.into_iter().flatten().collect())
    }

    fn document(&self, id: EnvironmentId) -> PathBuf {
        self.directory.join(format!("{}{SUFFIX}", id.digits()))
    }

    fn link(&self, name: &EnvironmentName, id: EnvironmentId) -> Result<(), Failure> {
        let link = self.directory.join(name.as_str());
        let made = (|| {
            let scratch = tempfile::Builder::new().prefix(NEW_LINK).tempdir_in(&self.directory)?;
            let new = scratch.path().join("new");
            symlink(format!("{}{SUFFIX}", id.digits()), &new)?;
            fs::rename(&new, &link)
        })();
        made.map_err(|error| Failure::io("make", &link, error))
    }

    /// Lets one process at a time write, and removes what one that was killed left.
    fn lock(&self) -> Result<fs::File, Failure> {
        let locked = (|| {
            fs::create_dir_all(&self.directory)?;
            let directory = fs::File::open(&self.directory)?;
            flock(&directory, FlockOperation::LockExclusive)?;
            for left in fs::read_dir(&self.directory)? {
                let left = left?;
                match left.file_name().as_encoded_bytes() {
                    name if name.starts_with(NEW_FILE.as_bytes()) => fs::remove_file(left.path())?,
                    name if name.starts_with(NEW_LINK.as_bytes()) => fs::remove_dir_all(left.path())?,
                    _ => {}
                }
            }
            Ok(directory)
        })();
        locked.map_err(|error: io::Error| Failure::io("write to", &self.directory, error))
    }

    /// Writes a file that is there whole, or not.
    fn write(&self, path: &Path, bytes: &[u8]) -> Result<(), Failure> {
        let written = (|| {
            let mut file = tempfile::Builder::new().prefix(NEW_FILE).tempfile_in(&self.directory)?;
            file.write_all(bytes)?;
            file.as_file().sync_all()?;
            file.persist(path)?;
            fs::File::open(&self.directory)?.sync_all()
        })();
        written.map_err(|error: io::Error| Failure::io("write", path, error))
    }
}

/// Reads a document from a file.
///
/// # Errors
/// [`ExitCode::NotFound`] if there is none, a usage error if it is none.
pub(crate) fn read(path: &Path) -> Result<Environment, Failure> {
    use io::Read as _;
    let failed = |error| Failure::io("read", path, error);
    let mut bytes = Vec::new();
    let file = fs::File::open(path).map_err(failed)?;
    file.take(LARGEST_DOCUMENT as u64 + 1).read_to_end(&mut bytes).map_err(failed)?;
    parse(&bytes, &path.display().to_string())
}

/// Reads a document's bytes; `place` says where they are from.
///
/// # Errors
/// A usage error if they are none.
pub(crate) fn parse(bytes: &[u8], place: &str) -> Result<Environment, Failure> {
    let text = std::str::from_utf8(bytes)
        .map_err(|_| Failure::usage(format!("{place} is no document of an environment: it is not text")))?;
    Environment::parse(text).map_err(|source| {
        let hint = source.hint();
        let failure = Failure::usage_error(DocumentError { place: place.to_owned(), source });
        match hint {
            Some(hint) => failure.hint(hint),
            None => failure,
        }
    })
}

/// A file that is no document.
#[derive(Debug, thiserror::Error)]
#[error("cannot use {place}")]
struct DocumentError {
    place: String,
    #[source]
    source: TextError,
}

/// The id in the name of a document's file.
fn id_in(file_name: &str) -> Option<EnvironmentId> {
    EnvironmentId::from_digits(file_name.strip_suffix(SUFFIX)?).ok()
}

fn remove_file(path: &Path) -> Result<(), Failure> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(Failure::io("remove", path, error)),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use varve_environment::{Architecture, EnvironmentParts};

    use super::*;

    fn environment(variable: &str) -> Environment {
        let mut parts = EnvironmentParts::new(Architecture::X86_64);
        parts.variables.insert("V".to_owned(), variable.to_owned());
        Environment::new(parts).expect("because it can be")
    }

    fn name(text: &str) -> EnvironmentName {
        text.parse().expect("because it is a name")
    }

    #[test]
    fn environments_are_found_by_name_id_and_path() {
        let directory = tempfile::tempdir().expect("a directory");
        let kept = Environments { directory: directory.path().join("environments") };
        let found = |argument: &str| kept.find(argument).map_err(|failure| failure.code());
        assert_eq!(found("one"), Err(ExitCode::NotFound));
        let (one, two) = (environment("1"), environment("2"));
        kept.put(&one, Some(&name("one")), false).expect("kept");
        kept.put(&two, None, false).expect("kept");
        assert_eq!(found("one"), Ok(one.clone()));
        for argument in [two.id().digits(), two.id().to_string(), two.id().short()] {
            assert_eq!(found(&argument), Ok(two.clone()), "{argument}");
        }
        assert_eq!(found("000000"), Err(ExitCode::NotFound));
        assert_eq!(found(kept.document(one.id()).to_str().expect("text")), Ok(one.clone()));
        let names: Vec<_> = kept.list(&mut |failure| panic!("{failure:?}")).expect("listed");
        assert_eq!(names.iter().map(|kept| kept.names.len()).collect::<Vec<_>>(), [0, 1]);

        let taken = kept.put(&two, Some(&name("one")), false).map_err(|failure| failure.code());
        assert_eq!(taken, Err(ExitCode::Usage));
        kept.put(&two, Some(&name("one")), true).expect("replaced");
        assert_eq!(found("one"), Ok(two.clone()));
        kept.remove(two.id()).expect("removed");
        assert_eq!(found("one"), Err(ExitCode::NotFound));
        assert_eq!(found(&one.id().digits()), Ok(one));
    }

    #[test]
    fn a_document_under_the_wrong_id_is_refused() {
        let directory = tempfile::tempdir().expect("a directory");
        let kept = Environments { directory: directory.path().to_owned() };
        let (one, two) = (environment("1"), environment("2"));
        kept.put(&one, None, false).expect("kept");
        fs::write(kept.document(one.id()), two.to_text()).expect("written");
        assert_eq!(kept.get(one.id()).map_err(|failure| failure.code()), Err(ExitCode::Integrity));
        let mut damaged = 0;
        assert!(kept.list(&mut |_| damaged += 1).expect("listed").is_empty());
        assert_eq!(damaged, 1);
    }
}
