//! The repositories below a directory: found when they are asked for, their directories held open, their buckets known.
//!
//! A held directory can be replaced under its name. That is noticed whenever a manifest is asked for or a file is
//! missing, so never while objects flow.

use std::collections::{BTreeSet, HashMap};
use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::Arc;

use arc_swap::ArcSwap;
use parking_lot::Mutex;
use rustix::fs::{Mode, OFlags, fstat, openat, stat};
use rustix::io::Errno;
use varve_repository::RepositoryName;
use varve_store::{RepositoryFile, S3Config, S3Reader};

/// The most bytes of a manifest that are looked at for a description.
pub(super) const MANIFEST_LIMIT: usize = 64 * 1024;

/// Knows which repositories have their files elsewhere than in their own directory.
pub trait Elsewhere: std::fmt::Debug + Send + Sync {
    /// Where, as of now; `None` for a repository whose files lie where it does. Asked whenever a manifest is.
    fn place(&self, name: &RepositoryName) -> Option<Place>;
}

/// Where the files of a repository are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// In a directory.
    Directory(PathBuf),
    /// In a bucket.
    Bucket(S3Config),
}

/// The way to all repositories.
#[derive(Debug)]
pub(super) struct Repositories {
    root: PathBuf,
    elsewhere: Option<Box<dyn Elsewhere>>,
    only: BTreeSet<RepositoryName>,
    /// Read without a lock on every request; replaced as a whole when a directory is opened for the first time.
    held: ArcSwap<HashMap<String, Held>>,
    opening: Mutex<()>,
}

/// What is known of the place of a repository that somebody asked for.
#[derive(Clone, Debug)]
pub(super) enum Held {
    Directory(Arc<Directory>),
    Bucket(Arc<Bucket>),
}

/// A repository's bucket.
#[derive(Debug)]
pub(super) struct Bucket {
    config: S3Config,
    pub(super) reader: S3Reader,
}

/// What is told of a repository without asking anybody else.
#[derive(Clone, Debug)]
pub(super) enum Listed {
    Described(Description),
    InBucket(Arc<Bucket>),
}

/// A repository's directory, held open.
#[derive(Debug)]
pub(super) struct Directory {
    descriptor: OwnedFd,
    identity: (u64, u64),
}

/// What a repository's manifest says to people. Unverified.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Description {
    /// The revision.
    pub(super) revision: Option<u64>,
    /// When it was published, Unix seconds.
    pub(super) published: Option<i64>,
    /// Whether this is the original, not a mirror.
    pub(super) original: bool,
}

/// What stands in the way of serving a directory.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The directory of repositories can't be read.
    #[error("cannot list the repositories in {}", path.display())]
    List {
        /// The directory.
        path: PathBuf,
        /// What the operating system said.
        #[source]
        source: io::Error,
    },
    /// The database of addresses can't be used.
    #[error(transparent)]
    Geo(#[from] super::GeoError),
}

impl Repositories {
    pub(super) fn new(
        root: PathBuf,
        elsewhere: Option<Box<dyn Elsewhere>>,
        only: BTreeSet<RepositoryName>,
    ) -> Result<Self, ServeError> {
        let repositories = Self { root, elsewhere, only, held: ArcSwap::default(), opening: Mutex::new(()) };
        repositories.list()?;
        Ok(repositories)
    }

    /// The place of the repository of this name; with `check`, made sure that it still is.
    pub(super) fn open(&self, name: &str, check: bool) -> Option<Held> {
        match self.held.load().get(name) {
            Some(held) if !check || self.is_current(name, held) => Some(held.clone()),
            _ => self.reopen(name),
        }
    }

    /// What took the place of the directory `held`, if something did.
    pub(super) fn open_if_replaced(&self, name: &str, held: &Arc<Directory>) -> Option<Held> {
        if self.is_current(name, &Held::Directory(Arc::clone(held))) { None } else { self.reopen(name) }
    }

    /// What lies below the root now and has a manifest, or a bucket that may have one, in the order of names.
    pub(super) fn list(&self) -> Result<Vec<(RepositoryName, Listed)>, ServeError> {
        let failed = |source| ServeError::List { path: self.root.clone(), source };
        let entries = match fs::read_dir(&self.root) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(failed(error)),
        };
        let mut listed = Vec::new();
        for entry in entries {
            let file_name = entry.map_err(failed)?.file_name();
            let Some(Ok(name)) = file_name.to_str().map(str::parse::<RepositoryName>) else { continue };
            if !self.is_wanted(&name) {
                continue;
            }
            match self.open(name.as_str(), true) {
                Some(Held::Directory(directory)) => {
                    if let Ok(description) = directory.describe() {
                        listed.push((name, Listed::Described(description)));
                    }
                }
                Some(Held::Bucket(bucket)) => listed.push((name, Listed::InBucket(bucket))),
                None => {}
            }
        }
        listed.sort_by(|a, b| a.0.cmp(&b.0));
        Ok(listed)
    }

    fn is_wanted(&self, name: &RepositoryName) -> bool {
        self.only.is_empty() || self.only.contains(name)
    }

    fn is_current(&self, name: &str, held: &Held) -> bool {
        let Ok(name) = name.parse() else { return false };
        match (held, self.place(&name)) {
            (Held::Directory(directory), Place::Directory(path)) => {
                stat(path).is_ok_and(|stat| (stat.st_dev, stat.st_ino) == directory.identity)
            }
            (Held::Bucket(bucket), Place::Bucket(config)) => bucket.config == config,
            _ => false,
        }
    }

    /// The place of the files of a repository.
    fn place(&self, name: &RepositoryName) -> Place {
        let elsewhere = self.elsewhere.as_ref().and_then(|elsewhere| elsewhere.place(name));
        elsewhere.unwrap_or_else(|| Place::Directory(self.root.join(name.as_str())))
    }

    /// Opens the place and holds it; lets go of a held one that is gone.
    fn reopen(&self, name: &str) -> Option<Held> {
        let parsed: RepositoryName = name.parse().ok()?;
        if !self.is_wanted(&parsed) {
            return None;
        }
        let _one_at_a_time = self.opening.lock();
        let opened = match self.place(&parsed) {
            Place::Directory(path) => {
                Directory::open_at(&path).ok().map(|directory| Held::Directory(Arc::new(directory)))
            }
            // A repository is removed by removing its directory, wherever its files are.
            Place::Bucket(_) if !self.root.join(name).is_dir() => None,
            Place::Bucket(config) => match S3Reader::new(&config) {
                Ok(reader) => Some(Held::Bucket(Arc::new(Bucket { config, reader }))),
                Err(error) => {
                    tracing::warn!(name, %error, "cannot use a bucket");
                    None
                }
            },
        };
        let held = self.held.load();
        if opened.is_some() || held.contains_key(name) {
            let mut changed = HashMap::clone(&held);
            match &opened {
                Some(held) => changed.insert(name.to_owned(), held.clone()),
                None => changed.remove(name),
            };
            self.held.store(Arc::new(changed));
        }
        opened
    }
}

impl Directory {
    fn open_at(path: &std::path::Path) -> Result<Self, Errno> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let descriptor = rustix::fs::open(path, flags, Mode::empty())?;
        let stat = fstat(&descriptor)?;
        Ok(Self { descriptor, identity: (stat.st_dev, stat.st_ino) })
    }

    /// Opens a file below the directory for reading. The caller made sure that `path` stays below it.
    pub(super) fn open(&self, path: &str) -> Result<OwnedFd, Errno> {
        // Without NONBLOCK, a named pipe that lies here by accident would stop the thread.
        let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
        openat(&self.descriptor, path, flags, Mode::empty())
    }

    fn describe(&self) -> Result<Description, Errno> {
        let file = self.open(RepositoryFile::Manifest.name())?;
        let mut bytes = vec![0; MANIFEST_LIMIT];
        let length = rustix::io::pread(&file, &mut bytes[..], 0)?;
        let original = self.open(RepositoryFile::MasterReplica.name()).is_ok();
        Ok(Description { original, ..Description::of_manifest(&bytes[..length]) })
    }
}

impl Description {
    /// Takes revision and time from the text of a manifest, whoever signed it.
    pub(super) fn of_manifest(bytes: &[u8]) -> Self {
        let mut description = Self::default();
        for line in bytes.split(|&byte| byte == b'\n').take_while(|line| line != b"--") {
            let Ok(line) = std::str::from_utf8(line) else { break };
            if let Some(revision) = line.strip_prefix('S') {
                description.revision = revision.parse().ok();
            } else if let Some(time) = line.strip_prefix('T') {
                description.published = time.parse().ok();
            }
        }
        description
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn repository(root: &std::path::Path, name: &str, revision: u64) {
        fs::create_dir(root.join(name)).expect("a new directory");
        fs::write(root.join(name).join(".cvmfspublished"), format!("S{revision}\nT5\n--\nx\n"))
            .expect("written");
    }

    fn revisions(repositories: &Repositories) -> Vec<(String, Option<u64>)> {
        let listed = repositories.list().expect("readable");
        let revision = |listed: &Listed| match listed {
            Listed::Described(found) => found.revision,
            Listed::InBucket(_) => None,
        };
        listed.iter().map(|(name, found)| (name.as_str().to_owned(), revision(found))).collect()
    }

    #[test]
    fn repositories_come_change_and_go_without_a_restart() {
        let root = tempfile::tempdir().expect("a directory");
        let repositories =
            Repositories::new(root.path().join("later"), None, BTreeSet::new()).expect("empty");
        assert_eq!(revisions(&repositories), []);
        let root = root.path().join("later");
        fs::create_dir(&root).expect("created");
        repository(&root, "a.b", 1);
        fs::create_dir(root.join("no-manifest.b")).expect("created");
        fs::write(root.join("file"), "").expect("written");
        assert_eq!(revisions(&repositories), [("a.b".to_owned(), Some(1))]);

        fs::rename(root.join("a.b"), root.join("old.b")).expect("moved");
        let Some(Held::Directory(held)) = repositories.open("a.b", false) else { panic!("still held") };
        assert!(repositories.open_if_replaced("a.b", &held).is_none());
        assert!(repositories.open("a.b", false).is_none(), "let go of");
        repository(&root, "a.b", 2);
        assert_eq!(revisions(&repositories), [("a.b".to_owned(), Some(2)), ("old.b".to_owned(), Some(1))]);
    }

    /// Sends each repository to the directory whose path is in the file of its name.
    #[derive(Debug)]
    struct Signposts(PathBuf);

    impl Elsewhere for Signposts {
        fn place(&self, name: &RepositoryName) -> Option<Place> {
            fs::read_to_string(self.0.join(name.as_str())).ok().map(|path| Place::Directory(path.into()))
        }
    }

    #[test]
    fn repositories_with_their_files_elsewhere_are_followed() {
        let scratch = tempfile::tempdir().expect("a directory");
        let [root, posts, disk] = ["root", "posts", "disk"].map(|name| scratch.path().join(name));
        for directory in [&root, &posts, &disk] {
            fs::create_dir(directory).expect("created");
        }
        fs::create_dir(root.join("a.b")).expect("created");
        repository(&disk, "one", 1);
        repository(&disk, "two", 2);
        let signposts: Box<dyn Elsewhere> = Box::new(Signposts(posts.clone()));
        let repositories = Repositories::new(root, Some(signposts), BTreeSet::new()).expect("readable");
        assert!(repositories.list().expect("readable").is_empty());
        for (place, revision) in [("one", 1), ("two", 2)] {
            fs::write(posts.join("a.b"), disk.join(place).as_os_str().as_encoded_bytes()).expect("written");
            assert_eq!(revisions(&repositories), [("a.b".to_owned(), Some(revision))]);
        }
    }

    #[test]
    fn only_what_is_wanted_is_found() {
        let root = tempfile::tempdir().expect("a directory");
        repository(root.path(), "a.b", 1);
        repository(root.path(), "c.d", 1);
        let only = BTreeSet::from(["c.d".parse().expect("a name")]);
        let repositories = Repositories::new(root.path().to_owned(), None, only).expect("readable");
        assert!(repositories.open("a.b", true).is_none());
        assert!(repositories.open("c.d", true).is_some());
        assert!(repositories.open("..", true).is_none());
        assert_eq!(revisions(&repositories).len(), 1);
    }

    #[test]
    fn a_description_ends_at_the_signature() {
        let description = Description::of_manifest(b"Cabc\nS7\nT12\n--\nS9\n\xff");
        assert_eq!((description.revision, description.published), (Some(7), Some(12)));
        assert_eq!(Description::of_manifest(b"\xff\xfe<html>"), Description::default());
    }
}
