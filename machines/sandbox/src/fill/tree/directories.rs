//! What the catalogs have of a tree: directories, as far as they were needed, their children, where links lead.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use parking_lot::Mutex;
use varve_repository::{EntryKind, EntryView, Location};
use varve_store::Deadline;

use super::super::error::FillError;
use super::{Directory, Tree, joined};

impl Tree {
    pub(in super::super) fn root(&self) -> Result<Arc<Directory>, FillError> {
        if let Some(known) = self.directories.lock().get(&b""[..]) {
            return Ok(Arc::clone(known));
        }
        let number = rustix::fs::fstat(&self.view).map_err(FillError::io("look at", &self.path))?.st_ino;
        Ok(self.remember(Vec::new(), self.top.clone(), number))
    }

    /// What the catalog has under a name. Hidden entries are none.
    pub(in super::super) fn child(
        &self,
        directory: &Directory,
        name: &[u8],
        deadline: Deadline,
    ) -> Result<Option<Location>, FillError> {
        let child = self.snapshot.child(&directory.location, name, deadline)?;
        Ok(child.filter(|child| !child.entry().is_hidden()))
    }

    /// A directory in a populated one, if that was needed before.
    pub(in super::super) fn known(&self, path: &[u8]) -> Option<Arc<Directory>> {
        self.directories.lock().get(path).cloned()
    }

    /// A directory in another one, which is populated for it.
    pub(in super::super) fn directory(
        &self,
        parent: &Directory,
        name: &[u8],
        location: &Location,
        deadline: Deadline,
    ) -> Result<Arc<Directory>, FillError> {
        let path = joined(&parent.path, name);
        if let Some(known) = self.known(&path) {
            return Ok(known);
        }
        let location = self.snapshot.enter(location, deadline)?;
        self.populate(parent, deadline)?;
        let number = self.stat_in_view(&path).map_err(FillError::io("look at", &self.shown(&path)))?.st_ino;
        Ok(self.remember(path, location, number))
    }

    /// Where a symbolic link leads.
    pub(in super::super) fn link_target(&self, location: &Location) -> Vec<u8> {
        self.contents.link_target(location.entry().link_target())
    }

    /// Whether an entry is a link with an empty target, which a disk can't have: it stays a placeholder.
    pub(in super::super) fn leads_nowhere(&self, entry: &EntryView<'_>) -> bool {
        entry.kind() == EntryKind::Symlink && self.contents.link_target(entry.link_target()).is_empty()
    }

    fn remember(&self, path: Vec<u8>, location: Location, number: u64) -> Arc<Directory> {
        let directory = Arc::new(Directory {
            path: path.clone(),
            location,
            number,
            populated: AtomicBool::new(false),
            is_whole: AtomicBool::new(false),
            filled: Mutex::default(),
        });
        let mut directories = self.directories.lock();
        Arc::clone(directories.get_or_insert(path, || directory))
    }
}
