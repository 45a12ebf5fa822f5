//! A tree as a whole: everything is filled, or it is found out that everything is. Then it needs no supervisor.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use rustix::fs::{Access, AtFlags, FileType, Mode, OFlags, accessat, openat};
use rustix::io::Errno;
use varve_repository::{EntryKind, Location};
use varve_store::Deadline;

use super::super::error::FillError;
use super::{Directory, Tree, entries, joined, open_directory};

/// The mark of a tree without placeholders.
const WHOLE: &str = "whole";

/// How many files are looked for before they are filled.
const BATCH: usize = 4096;

impl Tree {
    /// Puts everything that is not there yet into its place, with so many threads.
    ///
    /// # Errors
    /// The first [`FillError`]; what was filled before it stays. `deadline` gives the time for one file.
    pub fn fill_all(
        &self,
        threads: usize,
        deadline: &(dyn Fn() -> Deadline + Sync),
    ) -> Result<(), FillError> {
        let mut directories = vec![self.root()?];
        let mut files = vec![];
        while let Some(directory) = directories.pop() {
            self.populate(&directory, deadline())?;
            for location in self.snapshot.list(&directory.location, deadline())?.locations() {
                match location.entry().kind() {
                    EntryKind::Directory => {
                        let name = location.entry().name().to_vec();
                        directories.push(self.directory(&directory, &name, &location, deadline())?);
                    }
                    EntryKind::File => files.push((Arc::clone(&directory), location)),
                    _ => {}
                }
            }
            if files.len() >= BATCH || directories.is_empty() {
                self.fill_files(&files, threads, deadline)?;
                files.clear();
            }
        }
        self.note_if_whole()
    }

    fn fill_files(
        &self,
        files: &[(Arc<Directory>, Location)],
        threads: usize,
        deadline: &(dyn Fn() -> Deadline + Sync),
    ) -> Result<(), FillError> {
        let next = AtomicUsize::new(0);
        std::thread::scope(|scope| {
            let work = || {
                while let Some((directory, file)) = files.get(next.fetch_add(1, Ordering::Relaxed)) {
                    self.fill(directory, file, deadline()).inspect_err(|_| {
                        // The others need not go on.
                        next.store(files.len(), Ordering::Relaxed);
                    })?;
                }
                Ok(())
            };
            let workers: Vec<_> = (0..threads.max(1)).map(|_| scope.spawn(work)).collect();
            workers.into_iter().try_for_each(|worker| match worker.join() {
                Ok(result) => result,
                Err(panic) => std::panic::resume_unwind(panic),
            })
        })
    }

    /// Whether nothing in it is a placeholder any more: then it needs no supervisor.
    pub fn is_whole(&self) -> bool {
        accessat(&self.base, WHOLE, Access::EXISTS, AtFlags::empty()).is_ok()
    }

    /// Looks whether nothing is a placeholder any more, and marks the tree then.
    ///
    /// # Errors
    /// [`FillError::Io`].
    pub fn note_if_whole(&self) -> Result<(), FillError> {
        let io = || FillError::io("look at", &self.path);
        if self.is_whole() || !self.is_everything_in_place().map_err(io())? {
            return Ok(());
        }
        self.state.will_change().map_err(FillError::io("write the state of", &self.path))?;
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::CLOEXEC;
        openat(&self.base, WHOLE, flags, Mode::from(0o600)).map(drop).map_err(io())
    }

    /// As many shadows as the view has directories, all empty.
    fn is_everything_in_place(&self) -> Result<bool, Errno> {
        let mut populated = 0_usize;
        for (name, _) in entries(rustix::fs::Dir::read_from(&self.shadow)?)? {
            if !entries(rustix::fs::Dir::new(open_directory(&self.shadow, name)?)?)?.is_empty() {
                return Ok(false);
            }
            populated += 1;
        }
        let mut directories = vec![Vec::new()];
        let mut seen = 0;
        while let Some(path) = directories.pop() {
            seen += 1;
            for (name, kind) in entries(rustix::fs::Dir::new(self.open_in_view(&path)?)?)? {
                match kind {
                    FileType::Directory => directories.push(joined(&path, name.as_bytes())),
                    FileType::Unknown => return Ok(false),
                    _ => {}
                }
            }
        }
        Ok(seen == populated)
    }
}
