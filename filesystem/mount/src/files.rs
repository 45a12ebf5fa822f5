//! The files of a repository for those who read them without a mount: by the bundle and ahead of readers, as a mount does.

use std::sync::Arc;

use varve_repository::{Location, RepositoryError};
use varve_store::Deadline;

use crate::contents::{Ahead, Contents, OpenObjects};
use crate::failure::{Failure, Patience};
use crate::plan::MountedRepository;
use crate::pool::Pool;

/// Reads files of one repository.
pub struct Files {
    contents: Contents,
}

impl Files {
    /// Those of a repository; what is fetched ahead of readers is fetched by so many threads.
    pub fn of(mounted: &MountedRepository, threads: usize) -> Self {
        let loader = mounted.repository.loader();
        let ahead = Arc::new(Ahead::new(Arc::new(Pool::new(threads.max(1)))));
        let (cache, source) = (Arc::clone(loader.cache()), Arc::clone(loader.source()));
        let open = Arc::new(OpenObjects::new());
        Self { contents: Contents::new(cache, source, mounted.external.clone(), open, ahead) }
    }

    /// Fills `buffer` from `offset` of a file on, verified, and says how far: less than its length at the end of the file only.
    ///
    /// # Errors
    /// [`RepositoryError::NotAFile`], [`RepositoryError::External`], or that an object can't be had.
    pub fn read(
        &self,
        file: &Location,
        offset: u64,
        buffer: &mut [u8],
        deadline: Deadline,
    ) -> Result<usize, RepositoryError> {
        let path = || file.path().to_string();
        let patience = Patience::Until(deadline);
        self.contents.read(file.catalog(), &file.entry(), offset, buffer, patience).map_err(|failure| {
            match failure {
                Failure::Store(error) => error.into(),
                Failure::Repository(error) => error,
                Failure::External => RepositoryError::External { path: path() },
                _ => RepositoryError::NotAFile { path: path() },
            }
        })
    }

    /// The files that came along with one that was read just now, itself among them: they can be read without waiting. None if
    /// it came by itself.
    pub fn beside(&self, file: &Location) -> Vec<Location> {
        let rows = self.contents.rows_beside(file.catalog(), &file.entry());
        rows.into_iter().filter_map(|row| Location::new(Arc::clone(file.catalog()), row)).collect()
    }
}
