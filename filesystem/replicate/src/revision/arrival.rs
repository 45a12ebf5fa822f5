//! A revision that comes object by object, from a place that nobody trusts: an archive, say. It becomes a directory as
//! [`varve_store::DirectoryStore`] has it.
//!
//! Invariants:
//! - An object gets its name only after its hash was checked.
//! - The root catalog is taken only when everything that it and the catalogs below it name has come: then the revision is whole.
//! - What comes twice, or is not needed in the end, is refused.

use std::collections::{HashMap, HashSet};
use std::fs::{self, File};
use std::io::{self, Read, Write as _};
use std::path::{Path, PathBuf};

use varve_content::{Hasher, ObjectKind, ObjectName};
use varve_repository::{CatalogReference, RepositoryError};

use crate::mirror::needs::Needs;

/// How much is read at once.
const PIECE: usize = 1 << 20;

/// The most stored bytes of a catalog.
const LARGEST_CATALOG: u64 = 1 << 30;

/// A revision on its way into a directory.
pub struct Arrival {
    directory: PathBuf,
    root: CatalogReference,
    /// Directories that may have the same objects, for links to them.
    known: Vec<PathBuf>,
    /// What came, and whether a catalog names it.
    objects: HashMap<ObjectName, bool>,
    finished: bool,
}

/// Why something that came is not taken.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ArrivalError {
    /// The bytes are others than the name says.
    #[error("{name} has the hash {actual}")]
    WrongHash {
        /// The object.
        name: ObjectName,
        /// What its bytes hash to.
        actual: String,
    },
    /// The same object again.
    #[error("{name} comes twice")]
    Twice {
        /// The object.
        name: ObjectName,
    },
    /// Something that a catalog needs has not come.
    #[error("{name} is missing, which the catalog of '{path}' names")]
    Missing {
        /// The object.
        name: ObjectName,
        /// The catalog's directory.
        path: String,
    },
    /// Something that no catalog of the revision names.
    #[error("{name} is no part of the revision")]
    Needless {
        /// The object.
        name: ObjectName,
    },
    /// It ended before the root catalog had come.
    #[error("the root catalog {root} is missing")]
    NoRoot {
        /// The root catalog.
        root: ObjectName,
    },
    /// A catalog that can't be used.
    #[error(transparent)]
    Catalog(#[from] RepositoryError),
    /// It ended in the middle.
    #[error("cannot read {name}")]
    Read {
        /// The object.
        name: ObjectName,
        /// What the reader said.
        #[source]
        source: io::Error,
    },
    /// It can't be kept.
    #[error("cannot write {path}", path = path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
}

impl ArrivalError {
    /// Whether what came is wrong, rather than that something here failed.
    pub fn is_integrity(&self) -> bool {
        !matches!(self, Self::Write { .. })
    }
}

impl Arrival {
    /// A revision with this root catalog, in a directory that is empty or not there. Objects that one of the `known` directories
    /// has too are linked.
    ///
    /// # Errors
    /// [`ArrivalError::Write`].
    pub fn new(directory: &Path, root: CatalogReference, known: Vec<PathBuf>) -> Result<Self, ArrivalError> {
        let data = directory.join("data");
        fs::create_dir_all(&data).map_err(write_error(&data))?;
        Ok(Self { directory: directory.to_owned(), root, known, objects: HashMap::new(), finished: false })
    }

    /// Takes an object as it is stored.
    ///
    /// # Errors
    /// [`ArrivalError`]; then the directory has to be thrown away.
    pub fn take(&mut self, name: &ObjectName, stored: &mut dyn Read) -> Result<(), ArrivalError> {
        if self.objects.contains_key(name) {
            return Err(ArrivalError::Twice { name: *name });
        }
        if self.finished {
            return Err(ArrivalError::Needless { name: *name });
        }
        self.keep(name, stored)?;
        self.objects.insert(*name, false);
        if *name == catalog_name(&self.root) {
            self.complete()?;
        }
        Ok(())
    }

    /// The revision is whole, nothing else came, and all of it is on disk.
    ///
    /// # Errors
    /// [`ArrivalError::NoRoot`], [`ArrivalError::Write`].
    pub fn finish(self) -> Result<(), ArrivalError> {
        if !self.finished {
            return Err(ArrivalError::NoRoot { root: catalog_name(&self.root) });
        }
        let synced = File::open(&self.directory).and_then(|directory| Ok(rustix::fs::syncfs(directory)?));
        synced.map_err(write_error(&self.directory))
    }

    /// From the root catalog down: everything that is named has come, and nothing else.
    fn complete(&mut self) -> Result<(), ArrivalError> {
        let mut open = vec![self.root.clone()];
        let mut looked_at = HashSet::new();
        while let Some(reference) = open.pop() {
            let catalog = catalog_name(&reference);
            let path = reference.path.to_string();
            let missing = |name: ObjectName| ArrivalError::Missing { name, path: path.clone() };
            *self.objects.get_mut(&catalog).ok_or_else(|| missing(catalog))? = true;
            let needs = Needs::of(&self.stored(&catalog)?, &reference)?;
            for need in needs.objects {
                *self.objects.get_mut(&need.name).ok_or_else(|| missing(need.name))? = true;
            }
            for nested in needs.nested {
                if !self.objects.contains_key(&catalog_name(&nested)) {
                    return Err(missing(catalog_name(&nested)));
                }
                // The same catalog at another path is refused when it is read.
                if looked_at.insert((nested.hash, nested.path.clone())) {
                    open.push(nested);
                }
            }
        }
        let needless = self.objects.iter().find(|(_, named)| !**named);
        if let Some((name, _)) = needless {
            return Err(ArrivalError::Needless { name: *name });
        }
        let incoming = self.incoming();
        match fs::remove_file(&incoming) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(write_error(&incoming)(error));
            }
            _ => {}
        }
        self.finished = true;
        Ok(())
    }

    /// A catalog that came, as it is stored.
    fn stored(&self, name: &ObjectName) -> Result<Vec<u8>, ArrivalError> {
        let read = |source| ArrivalError::Read { name: *name, source };
        let file = File::open(self.path_of(name)).map_err(read)?;
        let mut bytes = Vec::new();
        file.take(LARGEST_CATALOG).read_to_end(&mut bytes).map_err(read)?;
        Ok(bytes)
    }

    /// Writes an object, and names it when its hash is right.
    fn keep(&self, name: &ObjectName, stored: &mut dyn Read) -> Result<(), ArrivalError> {
        let (path, incoming) = (self.path_of(name), self.incoming());
        let failed = write_error(&incoming);
        let mut file = File::create(&incoming).map_err(&failed)?;
        let mut hasher = Hasher::new(name.hash.algorithm());
        let read = |source| ArrivalError::Read { name: *name, source };
        let mut buffer = vec![0; PIECE];
        loop {
            let length = match stored.read(&mut buffer) {
                Ok(0) => break,
                Ok(length) => length,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(read(error)),
            };
            hasher.update(&buffer[..length]);
            file.write_all(&buffer[..length]).map_err(&failed)?;
        }
        let actual = hasher.finish();
        if actual != name.hash {
            return Err(ArrivalError::WrongHash { name: *name, actual: actual.to_string() });
        }
        let parent = path.parent().unwrap_or(&self.directory);
        fs::create_dir_all(parent).map_err(write_error(parent))?;
        for known in &self.known {
            let known = known.join("data").join(name.path());
            // It may have been damaged since it came.
            if is_whole(name, &known) && fs::hard_link(&known, &path).is_ok() {
                return Ok(());
            }
        }
        fs::rename(&incoming, &path).map_err(write_error(&path))
    }

    fn path_of(&self, name: &ObjectName) -> PathBuf {
        self.directory.join("data").join(name.path())
    }

    fn incoming(&self) -> PathBuf {
        self.directory.join("data/incoming")
    }
}

/// Whether a file is what an object's name says.
fn is_whole(name: &ObjectName, path: &Path) -> bool {
    let Ok(mut file) = File::open(path) else { return false };
    let mut hasher = Hasher::new(name.hash.algorithm());
    let mut buffer = vec![0; PIECE];
    loop {
        match file.read(&mut buffer) {
            Ok(0) => return hasher.finish() == name.hash,
            Ok(length) => hasher.update(&buffer[..length]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(_) => return false,
        }
    }
}

fn catalog_name(reference: &CatalogReference) -> ObjectName {
    ObjectName::new(reference.hash, ObjectKind::Catalog)
}

fn write_error(path: &Path) -> impl Fn(io::Error) -> ArrivalError + '_ {
    |source| ArrivalError::Write { path: path.to_owned(), source }
}
