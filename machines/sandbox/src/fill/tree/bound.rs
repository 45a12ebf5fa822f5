//! How much room trees take together: those that nobody uses go, the longest unused first, until the rest fits.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use rustix::fs::{FlockOperation, flock};

use super::super::error::FillError;

/// What trees are called that are being removed.
const DISCARDED: &str = ".discarded-";

/// What was removed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Removed {
    /// How many trees.
    pub trees: usize,
    /// The room that they took, in bytes.
    pub bytes: u64,
}

/// A tree on the disk.
struct Found {
    path: PathBuf,
    bytes: u64,
    /// When it was opened last.
    used: SystemTime,
}

/// Removes trees of a directory until those that are left take no more than `most` bytes. Those in use stay, whatever they
/// take. Takes as long as looking at every file of them.
///
/// # Errors
/// [`FillError::Io`] if the directory can't be listed, or one of them can't be removed.
pub fn bound(trees: &Path, most: u64) -> Result<Removed, FillError> {
    let mut found = vec![];
    for path in entries(trees).map_err(FillError::io("list", trees))? {
        if path.to_string_lossy().contains(DISCARDED) {
            // Of somebody who was killed while it was removed.
            remove(&path)?;
        } else if let Ok(state) = fs::metadata(path.join("state")) {
            let bytes = room_of(&path).map_err(FillError::io("look at", &path))?;
            found.push(Found { bytes, used: state.modified().unwrap_or(SystemTime::UNIX_EPOCH), path });
        }
    }
    found.sort_by_key(|tree| tree.used);
    let mut total: u64 = found.iter().map(|tree| tree.bytes).sum();
    let mut removed = Removed::default();
    for tree in found {
        if total <= most {
            break;
        }
        if remove_unused(&tree.path)? {
            total -= tree.bytes;
            removed.trees += 1;
            removed.bytes += tree.bytes;
        }
    }
    Ok(removed)
}

/// Removes a tree unless somebody uses it.
fn remove_unused(tree: &Path) -> Result<bool, FillError> {
    let state = fs::File::open(tree.join("state")).map_err(FillError::io("open the state of", tree))?;
    match flock(&state, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => {}
        Err(rustix::io::Errno::WOULDBLOCK) => return Ok(false),
        Err(error) => return Err(FillError::io("lock", tree)(error)),
    }
    let number = state.metadata().map_err(FillError::io("look at", tree))?.ino();
    // Whoever waits for the lock finds out that it is gone.
    if fs::metadata(tree.join("state")).map(|now| now.ino()).ok() != Some(number) {
        return Ok(false);
    }
    let mut name = tree.file_name().unwrap_or_default().to_owned();
    name.push(format!("{DISCARDED}{number}"));
    let aside = tree.with_file_name(name);
    fs::rename(tree, &aside).map_err(FillError::io("move away", tree))?;
    remove(&aside)?;
    Ok(true)
}

/// Removes all of a directory, whatever its directories permit.
pub(super) fn remove(directory: &Path) -> Result<(), FillError> {
    match fs::remove_dir_all(directory) {
        // Somebody else was faster.
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        result => result.map_err(FillError::io("remove", directory)),
    }
}

/// The room that a directory takes with all that is in it.
fn room_of(directory: &Path) -> io::Result<u64> {
    let mut bytes = 0;
    let mut waiting = vec![directory.to_owned()];
    while let Some(directory) = waiting.pop() {
        for path in entries(&directory)? {
            match fs::symlink_metadata(&path) {
                Ok(status) => {
                    bytes += status.blocks() * 512;
                    if status.is_dir() {
                        waiting.push(path);
                    }
                }
                // It was filled meanwhile, and is counted where it is now, or next time.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
    }
    Ok(bytes)
}

fn entries(directory: &Path) -> io::Result<Vec<PathBuf>> {
    match fs::read_dir(directory) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(vec![]),
        entries => entries?.map(|entry| Ok(entry?.path())).collect(),
    }
}
