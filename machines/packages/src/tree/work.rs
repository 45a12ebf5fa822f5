//! The directory in which a tree is made, beside the place where it appears once it is whole: one rename, no half trees.

use std::fs::File;
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;

use super::error::TreeError;

/// A build under way. What an interrupted one left behind is removed by the next.
#[derive(Debug)]
pub(super) struct Work {
    path: PathBuf,
    tree: PathBuf,
    // Held for as long as the build goes on.
    _lock: File,
}

impl Work {
    /// Takes the place beside `tree`.
    pub(super) fn begin(tree: &Path) -> Result<Self, TreeError> {
        let absolute = std::path::absolute(tree).map_err(TreeError::io("find", tree))?;
        if absolute.symlink_metadata().is_ok() {
            return Err(TreeError::Taken(tree.to_owned()));
        }
        let name = absolute.file_name().ok_or_else(|| TreeError::Taken(tree.to_owned()))?;
        let mut hidden = std::ffi::OsString::from(".");
        hidden.push(name);
        hidden.push(".building");
        let path = absolute.with_file_name(hidden);
        std::fs::create_dir_all(&path).map_err(TreeError::io("make", &path))?;
        let lock = File::open(&path).map_err(TreeError::io("open", &path))?;
        match flock(&lock, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(Errno::WOULDBLOCK) => return Err(TreeError::Busy(tree.to_owned())),
            Err(errno) => return Err(TreeError::io("lock", &path)(errno.into())),
        }
        let work = Self { path, tree: absolute, _lock: lock };
        work.clear()?;
        let temporary = work.temporary();
        std::fs::create_dir(&temporary).map_err(TreeError::io("make", &temporary))?;
        Ok(work)
    }

    /// Its directory.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Where the tree is made.
    pub(super) fn root(&self) -> PathBuf {
        self.path.join("root")
    }

    /// Where the programs' temporary files go.
    pub(super) fn temporary(&self) -> PathBuf {
        self.path.join("tmp")
    }

    /// What the programs say.
    pub(super) fn log(&self) -> PathBuf {
        self.path.join("log")
    }

    /// Puts the tree, written to the disk, where it belongs, and removes everything else.
    pub(super) fn finish(self) -> Result<(), TreeError> {
        let root = self.root();
        let open = File::open(&root).map_err(TreeError::io("open", &root))?;
        rustix::fs::syncfs(&open).map_err(|errno| TreeError::io("write", &root)(errno.into()))?;
        rename(&root, &self.tree)?;
        std::fs::remove_dir_all(&self.path).map_err(TreeError::io("remove", &self.path))
    }

    fn clear(&self) -> Result<(), TreeError> {
        let entries = std::fs::read_dir(&self.path).map_err(TreeError::io("read", &self.path))?;
        for entry in entries {
            let path = entry.map_err(TreeError::io("read", &self.path))?.path();
            let is_directory = path.symlink_metadata().is_ok_and(|metadata| metadata.is_dir());
            let removed =
                if is_directory { std::fs::remove_dir_all(&path) } else { std::fs::remove_file(&path) };
            removed.map_err(TreeError::io("remove", &path))?;
        }
        Ok(())
    }
}

/// Never over something that came meanwhile.
fn rename(from: &Path, to: &Path) -> Result<(), TreeError> {
    use rustix::fs::{CWD, RenameFlags, renameat_with};
    match renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE) {
        Ok(()) => Ok(()),
        Err(Errno::EXIST) => Err(TreeError::Taken(to.to_owned())),
        Err(errno) => Err(TreeError::io("rename the tree to", to)(errno.into())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tree_appears_whole_and_what_was_left_behind_goes() {
        let place = tempfile::tempdir().expect("a directory");
        let tree = place.path().join("tree");
        let work = Work::begin(&tree).expect("begun");
        assert!(matches!(Work::begin(&tree), Err(TreeError::Busy(_))));
        std::fs::create_dir_all(work.root().join("half")).expect("made");
        std::fs::write(work.log(), "x").expect("written");
        drop(work);

        let work = Work::begin(&tree).expect("begun again");
        assert!(!work.root().exists() && !work.log().exists());
        std::fs::create_dir_all(work.root().join("whole")).expect("made");
        work.finish().expect("finished");
        let names: Vec<_> = std::fs::read_dir(place.path()).expect("read").flatten().collect();
        assert_eq!(names.len(), 1);
        assert!(tree.join("whole").is_dir());
        assert!(matches!(Work::begin(&tree), Err(TreeError::Taken(_))));
    }
}
