//! What is kept for environments, so that they can be had when nobody serves it any more.
//!
//! ```text
//! copies/revisions/NAME@ROOT/    everything of one revision, as it is served, and key.pub
//! copies/proofs/NAME@ROOT/       the signed files that prove it, the same way, and key.pub
//! copies/images/DIGITS           a boot image, by its SHA-256 digest
//! copies/incoming/               what is being written; locked by whoever writes it
//! ```
//!
//! Everything appears in one rename when it is whole, verified and on disk. Two revisions have the objects in common that they
//! share, as links.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, FlockOperation, RenameFlags, flock};
use tempfile::TempDir;
use varve_content::ContentHash;
use varve_environment::{Environment, Image, Sha256, Source};
use varve_repository::{Proof, PublicKeys, RepositoryName};
use varve_store::DirectoryStore;

use crate::exit_code::ExitCode;
use crate::failure::Failure;
use crate::places::Places;

/// The public key that signed, beside the files.
const KEY: &str = "key.pub";

/// What is kept for the environments of this user.
#[derive(Clone, Debug)]
pub(crate) struct Copies {
    directory: PathBuf,
}

/// A directory for what is not whole yet. Gone when it is dropped; what a killed process left, the next one removes.
#[derive(Debug)]
pub(crate) struct Incoming {
    directory: TempDir,
    _lock: File,
}

impl Copies {
    pub(crate) fn of(places: &Places) -> Self {
        Self { directory: places.copies().to_owned() }
    }

    /// The directory of a revision that is kept whole.
    pub(crate) fn revision(&self, name: &RepositoryName, root: &ContentHash) -> Option<PathBuf> {
        Some(self.in_part("revisions", name, root)).filter(|path| path.is_dir())
    }

    /// A revision that is kept whole, for being read: it isn't removed as long as this process lives.
    ///
    /// # Errors
    /// If it can't be opened.
    pub(crate) fn use_revision(
        &self,
        name: &RepositoryName,
        root: &ContentHash,
    ) -> io::Result<Option<PathBuf>> {
        let Some(path) = self.revision(name, root) else { return Ok(None) };
        let lock = File::open(&path)?;
        match flock(&lock, FlockOperation::NonBlockingLockShared) {
            Ok(()) => {}
            // It is being removed.
            Err(rustix::io::Errno::WOULDBLOCK) => return Ok(None),
            Err(error) => return Err(error.into()),
        }
        // Whoever reads from it does so to the end.
        std::mem::forget(lock);
        Ok(Some(path).filter(|path| path.is_dir()))
    }

    /// All directories of revisions of a repository.
    pub(crate) fn revisions_of(&self, name: &RepositoryName) -> Vec<PathBuf> {
        let prefix = format!("{name}@");
        let mut found = self.entries("revisions");
        found.retain(|path| file_name(path).starts_with(&prefix));
        found
    }

    /// The file of the key that signed a revision, where it is kept whole or its proof is.
    pub(crate) fn key(&self, name: &RepositoryName, root: &ContentHash) -> Option<PathBuf> {
        let files = ["revisions", "proofs"].map(|part| self.in_part(part, name, root).join(KEY));
        files.into_iter().find(|file| file.exists())
    }

    /// The directory with the proof of a revision, and the key that it begins with.
    pub(crate) fn proof(&self, name: &RepositoryName, root: &ContentHash) -> Option<PathBuf> {
        let directories = ["proofs", "revisions"].map(|part| self.in_part(part, name, root));
        directories.into_iter().find(|directory| directory.join(KEY).exists())
    }

    /// The file of an image.
    pub(crate) fn image(&self, image: &Image) -> Option<PathBuf> {
        Some(self.directory.join("images").join(image.sha256.digits())).filter(|path| path.is_file())
    }

    /// Keeps the proof of a revision.
    ///
    /// # Errors
    /// If it can't be written.
    pub(crate) fn put_proof(&self, source: &Source, proof: &Proof, key: &PublicKeys) -> Result<(), Failure> {
        let incoming = self.incoming()?;
        let directory = incoming.path().join("proof");
        store_proof(&directory, proof, key)?;
        self.put("proofs", &target(&source.repository, &source.root), &directory)
    }

    /// Keeps a revision whole: a directory of [`Incoming`].
    ///
    /// # Errors
    /// If it can't be renamed.
    pub(crate) fn put_revision(&self, source: &Source, directory: &Path) -> Result<(), Failure> {
        self.put("revisions", &target(&source.repository, &source.root), directory)
    }

    /// Keeps an image: a file of [`Incoming`] that has this digest.
    ///
    /// # Errors
    /// If it can't be renamed.
    pub(crate) fn put_image(&self, sha256: &Sha256, file: &Path) -> Result<(), Failure> {
        self.put("images", &sha256.digits(), file)
    }

    /// A new directory for what is to be kept. Removes those that killed processes left.
    ///
    /// # Errors
    /// If it can't be made.
    pub(crate) fn incoming(&self) -> Result<Incoming, Failure> {
        let parent = self.directory.join("incoming");
        let made = (|| {
            fs::create_dir_all(&parent)?;
            // One at a time: a new directory must not be seen before it is locked.
            let others = File::open(&parent)?;
            flock(&others, FlockOperation::LockExclusive)?;
            for left in fs::read_dir(&parent)? {
                let left = left?.path();
                // Whoever holds the lock is still at it.
                if File::open(&left)
                    .is_ok_and(|file| flock(&file, FlockOperation::NonBlockingLockExclusive).is_ok())
                {
                    fs::remove_dir_all(&left)?;
                }
            }
            let directory = tempfile::tempdir_in(&parent)?;
            let lock = File::open(directory.path())?;
            flock(&lock, FlockOperation::NonBlockingLockExclusive)?;
            Ok(Incoming { directory, _lock: lock })
        })();
        made.map_err(|error: io::Error| Failure::io("write to", &parent, error))
    }

    /// Refuses if somebody reads from what [`Self::retain`] would remove.
    ///
    /// # Errors
    /// [`ExitCode::Busy`].
    pub(crate) fn check_unused_but_by(&self, environments: &[Environment]) -> Result<(), Failure> {
        self.unneeded(environments).iter().try_for_each(|path| lock_unused(path).map(drop))
    }

    /// Removes what none of these environments needs.
    ///
    /// # Errors
    /// If something can't be removed, [`ExitCode::Busy`] if somebody reads from it.
    pub(crate) fn retain(&self, environments: &[Environment]) -> Result<(), Failure> {
        for path in self.unneeded(environments) {
            // Out of sight first, in one step: half of a revision must not look like a whole one.
            let incoming = self.incoming()?;
            let _lock = lock_unused(&path)?;
            fs::rename(&path, incoming.path().join("removed"))
                .map_err(|error| Failure::io("remove", &path, error))?;
        }
        Ok(())
    }

    /// What none of these environments needs.
    fn unneeded(&self, environments: &[Environment]) -> Vec<PathBuf> {
        let of = |source: &Source| target(&source.repository, &source.root);
        let revisions: BTreeSet<String> =
            environments.iter().flat_map(|environment| environment.sources().map(of)).collect();
        let images: BTreeSet<String> =
            environments.iter().filter_map(|environment| Some(environment.image?.sha256.digits())).collect();
        let parts = [("revisions", &revisions), ("proofs", &revisions), ("images", &images)];
        let unneeded = |(part, needed): (&str, &BTreeSet<String>)| {
            let mut entries = self.entries(part);
            entries.retain(|path| !needed.contains(&file_name(path)));
            entries
        };
        parts.into_iter().flat_map(unneeded).collect()
    }

    fn put(&self, part: &str, name: &str, from: &Path) -> Result<(), Failure> {
        let directory = self.directory.join(part);
        let target = directory.join(name);
        let kept = (|| {
            fs::create_dir_all(&directory)?;
            // What was kept before may have been damaged since: it goes the way of what is dropped.
            if target.exists() {
                rustix::fs::renameat_with(CWD, from, CWD, &target, RenameFlags::EXCHANGE)?;
            } else {
                fs::rename(from, &target)?;
            }
            File::open(&directory)?.sync_all()
        })();
        kept.map_err(|error: io::Error| Failure::io("keep", &target, error))
    }

    fn in_part(&self, part: &str, name: &RepositoryName, root: &ContentHash) -> PathBuf {
        self.directory.join(part).join(target(name, root))
    }

    fn entries(&self, part: &str) -> Vec<PathBuf> {
        let entries = fs::read_dir(self.directory.join(part)).into_iter().flatten().flatten();
        let mut paths: Vec<PathBuf> = entries.map(|entry| entry.path()).collect();
        paths.sort();
        paths
    }
}

impl Incoming {
    pub(crate) fn path(&self) -> &Path {
        self.directory.path()
    }
}

/// Writes a proof to a directory as it would be served, and the key beside it.
///
/// # Errors
/// If it can't be written.
pub(crate) fn store_proof(directory: &Path, proof: &Proof, key: &PublicKeys) -> Result<(), Failure> {
    let failed = |error| Failure::io("write", directory, error);
    fs::create_dir_all(directory.join("data")).map_err(failed)?;
    proof.store(&DirectoryStore::open(directory)?)?;
    let written = File::create(directory.join(KEY)).and_then(|mut file| {
        file.write_all(key.to_pem().as_bytes())?;
        file.sync_all()
    });
    written.map_err(failed)
}

/// Reads the key beside a proof.
///
/// # Errors
/// If it is missing or none.
pub(crate) fn read_key(directory: &Path) -> Result<PublicKeys, Failure> {
    PublicKeys::load(&[directory.join(KEY)]).map_err(Failure::usage_error)
}

/// Locks a copy that nobody reads from.
fn lock_unused(path: &Path) -> Result<File, Failure> {
    let file = File::open(path).map_err(|error| Failure::io("remove", path, error))?;
    match flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(file),
        Err(rustix::io::Errno::WOULDBLOCK) => {
            let what = format!("{} is read from by a command that runs", path.display());
            Err(Failure::new(ExitCode::Busy, what)
                .hint("nothing was removed; try again when the command has ended"))
        }
        Err(error) => Err(Failure::io("lock", path, error.into())),
    }
}

fn target(name: &RepositoryName, root: &ContentHash) -> String {
    format!("{name}@{root}")
}

fn file_name(path: &Path) -> String {
    path.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned())
}
