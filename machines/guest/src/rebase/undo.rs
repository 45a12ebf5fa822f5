//! Bringing back the state before a rebase, without losing what was changed since.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::accounts::Versions;
use super::apply::{backup, beside, renumber, sync, write};
use super::plan::{inverted, merge};
use super::{Attributes, Rebase, RebaseError, Resolution};

/// What [`Rebase::apply`] left for undoing it.
#[derive(Debug)]
pub struct Undo {
    rebase: Rebase,
    directory: PathBuf,
}

impl Undo {
    /// Reads it; nothing if no rebase was applied with this directory.
    ///
    /// # Errors
    /// [`RebaseError`].
    pub fn load(directory: &Path) -> Result<Option<Self>, RebaseError> {
        let rebase = Rebase::recorded(directory)?;
        Ok(rebase.map(|rebase| Self { rebase, directory: directory.to_owned() }))
    }

    /// Brings back what the rebase took away or replaced, in an upper directory that nothing uses. May be stopped and done again.
    ///
    /// Returns what could not be brought back, because it was changed since and the changes contradict: there the present
    /// file stays, and the former one remains in the directory for undoing.
    ///
    /// # Errors
    /// [`RebaseError::Io`].
    pub fn apply(&self, upper: &Path) -> Result<Vec<PathBuf>, RebaseError> {
        let moved = self.directory.join("moved-back");
        renumber(upper, &inverted(&self.rebase.users), &inverted(&self.rebase.groups), &moved)?;
        let mut kept = Vec::new();
        for (number, step) in self.rebase.steps.iter().enumerate() {
            let path = upper.join(&step.path);
            let former = backup(&self.directory, number);
            let undone = match &step.resolution {
                Resolution::Dropped { .. } => put_back(&former, &path)?,
                Resolution::Merged { content, attributes, .. } => {
                    unmerge(&step.path, &path, &former, content, *attributes)?
                }
                Resolution::Attributes { attributes, was } => {
                    if Attributes::now(&path)? == Some(*attributes) {
                        was.set(&path)?;
                    }
                    true
                }
                Resolution::Conflict { beside: Some(content), .. } => {
                    let beside = beside(&path);
                    if fs::read(&beside).is_ok_and(|now| now == *content) {
                        fs::remove_file(&beside).map_err(RebaseError::io("remove", &beside))?;
                    }
                    true
                }
                Resolution::Conflict { beside: None, .. } => true,
            };
            if !undone {
                kept.push(step.path.clone());
            }
        }
        sync(upper)?;
        Ok(kept)
    }
}

impl Attributes {
    fn now(path: &Path) -> Result<Option<Self>, RebaseError> {
        use std::os::unix::fs::MetadataExt as _;
        match fs::symlink_metadata(path) {
            Ok(now) => Ok(Some(Self { mode: now.mode() & 0o7777, user: now.uid(), group: now.gid() })),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(RebaseError::io("read", path)(error)),
        }
    }
}

/// Moves back what was taken away, unless something is in its place by now.
fn put_back(former: &Path, path: &Path) -> Result<bool, RebaseError> {
    if fs::symlink_metadata(former).is_err() {
        return Ok(true);
    }
    if fs::symlink_metadata(path).is_ok() {
        return Ok(false);
    }
    fs::rename(former, path).map_err(RebaseError::io("move back", path))?;
    Ok(true)
}

/// Takes the new base's part out of a merged file.
fn unmerge(
    name: &Path,
    path: &Path,
    former: &Path,
    merged: &[u8],
    attributes: Attributes,
) -> Result<bool, RebaseError> {
    let before = match fs::read(former) {
        Ok(before) => before,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(true),
        Err(error) => return Err(RebaseError::io("read", former)(error)),
    };
    let is_file = fs::symlink_metadata(path).is_ok_and(|now| now.is_file());
    let now = if is_file { Some(fs::read(path).map_err(RebaseError::io("read", path))?) } else { None };
    let Some(now) = now else { return Ok(false) };
    if now != merged {
        let versions = Versions { before: merged, after: &before, here: &now };
        let Some((_, content)) = merge(name, versions) else { return Ok(false) };
        let attributes = Attributes::now(path)?.unwrap_or(attributes);
        write(path, &content, Some(attributes))?;
        return Ok(true);
    }
    fs::rename(former, path).map_err(RebaseError::io("move back", path))?;
    Ok(true)
}
