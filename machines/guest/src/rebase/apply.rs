//! Doing a rebase, or going on with one that was stopped.
//!
//! What a step takes away from the upper directory is moved to `files/N` in the directory for undoing it, N being the number of the
//! step, before anything takes its place. So a step that was done is recognized, and doing all of them again is harmless.

use std::collections::BTreeMap;
use std::fs::{self, File, Permissions};
use std::io::{self, Write as _};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use super::{Attributes, BESIDE, Rebase, RebaseError, Resolution, Step};

/// In the directory for undoing: the [`Rebase`].
pub(super) const RECORD: &str = "rebase.json";
const FILES: &str = "files";
/// Added to a number, it is one that no account has.
const ASIDE: u32 = 1 << 30;

/// Numbers of owners, old to new.
type Numbers = BTreeMap<u32, u32>;

impl Rebase {
    /// Does it, in an upper directory that nothing uses. `undo` is a directory on the same file system: a new one, or the one of a
    /// call with the same rebase that was stopped.
    ///
    /// # Errors
    /// [`RebaseError::Io`]. It can be done again then.
    pub fn apply(&self, upper: &Path, undo: &Path) -> Result<(), RebaseError> {
        let files = undo.join(FILES);
        fs::create_dir_all(&files).map_err(RebaseError::io("make", &files))?;
        let record = serde_json::to_vec(self)
            .expect("because paths and contents are written as text, and keys are numbers");
        write(&undo.join(RECORD), &record, None)?;
        for (number, step) in self.steps.iter().enumerate() {
            step.apply(upper, &backup(undo, number))?;
        }
        renumber(upper, &self.users, &self.groups, &undo.join("moved"))?;
        sync(upper)
    }

    /// The rebase that was begun with this directory for undoing it, if one was.
    ///
    /// # Errors
    /// [`RebaseError`] if what is there can't be read.
    pub fn recorded(undo: &Path) -> Result<Option<Self>, RebaseError> {
        let path = undo.join(RECORD);
        match fs::read(&path) {
            Ok(record) => serde_json::from_slice(&record)
                .map(Some)
                .map_err(|error| RebaseError::Damaged { path, reason: error.to_string() }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(RebaseError::io("read", &path)(error)),
        }
    }
}

impl Step {
    fn apply(&self, upper: &Path, backup: &Path) -> Result<(), RebaseError> {
        let path = upper.join(&self.path);
        match &self.resolution {
            Resolution::Dropped { .. } => take_away(&path, backup),
            Resolution::Merged { content, attributes, .. } => {
                take_away(&path, backup)?;
                write(&path, content, Some(*attributes))
            }
            Resolution::Attributes { attributes, .. } => attributes.set(&path),
            Resolution::Conflict { beside: Some(content), .. } => {
                let attributes = fs::metadata(&path).map_err(RebaseError::io("read", &path))?;
                let attributes = Attributes {
                    mode: attributes.mode() & 0o7777,
                    user: attributes.uid(),
                    group: attributes.gid(),
                };
                write(&beside(&path), content, Some(attributes))
            }
            Resolution::Conflict { beside: None, .. } => Ok(()),
        }
    }
}

/// Where a step keeps what it took away.
pub(super) fn backup(undo: &Path, number: usize) -> PathBuf {
    undo.join(FILES).join(number.to_string())
}

/// Where what the base has is put.
pub(super) fn beside(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(BESIDE);
    name.into()
}

impl Attributes {
    pub(super) fn set(self, path: &Path) -> Result<(), RebaseError> {
        // The owner first: changing it clears bits of the mode.
        std::os::unix::fs::lchown(path, Some(self.user), Some(self.group))
            .map_err(RebaseError::io("change the owner of", path))?;
        fs::set_permissions(path, Permissions::from_mode(self.mode))
            .map_err(RebaseError::io("change the permissions of", path))
    }
}

fn take_away(path: &Path, backup: &Path) -> Result<(), RebaseError> {
    if fs::symlink_metadata(backup).is_ok() {
        return Ok(());
    }
    match fs::rename(path, backup) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        result => result.map_err(RebaseError::io("move away", path)),
    }
}

/// Writes a whole file: the old one or the new one is there at any instant.
pub(super) fn write(path: &Path, content: &[u8], attributes: Option<Attributes>) -> Result<(), RebaseError> {
    let failed = || RebaseError::io("write", path);
    let mut name = path.as_os_str().to_owned();
    name.push(".varve-tmp");
    let temporary = PathBuf::from(name);
    let mut file = File::create(&temporary).map_err(failed())?;
    file.write_all(content).map_err(failed())?;
    if let Some(attributes) = attributes {
        attributes.set(&temporary)?;
    }
    file.sync_all().map_err(failed())?;
    fs::rename(&temporary, path).map_err(failed())
}

/// Gives files to the new numbers of their owners.
///
/// A number may be given up by one account and taken by another: so all files go to numbers that nobody has first, and only when that
/// is done, which `moved` says from then on, to the new ones. Either half can be done twice.
pub(super) fn renumber(
    upper: &Path,
    users: &Numbers,
    groups: &Numbers,
    moved: &Path,
) -> Result<(), RebaseError> {
    if users.is_empty() && groups.is_empty() {
        return Ok(());
    }
    if !moved.exists() {
        let aside = |numbers: &Numbers| numbers.keys().map(|&old| (old, ASIDE + old)).collect();
        change_owners(upper, &aside(users), &aside(groups))?;
        sync(upper)?;
        write(moved, b"", None)?;
        sync(upper)?;
    }
    let back = |numbers: &Numbers| numbers.iter().map(|(&old, &new)| (ASIDE + old, new)).collect();
    change_owners(upper, &back(users), &back(groups))
}

fn change_owners(upper: &Path, users: &Numbers, groups: &Numbers) -> Result<(), RebaseError> {
    let mut open = vec![upper.to_owned()];
    while let Some(path) = open.pop() {
        let read = || RebaseError::io("read", &path);
        let metadata = fs::symlink_metadata(&path).map_err(read())?;
        let (user, group) = (users.get(&metadata.uid()), groups.get(&metadata.gid()));
        if user.is_some() || group.is_some() {
            std::os::unix::fs::lchown(&path, user.copied(), group.copied())
                .map_err(RebaseError::io("change the owner of", &path))?;
            if metadata.is_file() {
                // Changing the owner has cleared the bits that run a program as another user.
                fs::set_permissions(&path, metadata.permissions()).map_err(read())?;
            }
        }
        if metadata.is_dir() {
            for item in fs::read_dir(&path).map_err(read())? {
                open.push(item.map_err(read())?.path());
            }
        }
    }
    Ok(())
}

pub(super) fn sync(directory: &Path) -> Result<(), RebaseError> {
    let failed = || RebaseError::io("sync", directory);
    let opened = File::open(directory).map_err(failed())?;
    rustix::fs::syncfs(&opened).map_err(|errno| failed()(errno.into()))
}
