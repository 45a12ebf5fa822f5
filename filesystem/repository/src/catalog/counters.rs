//! The statistics of a catalog: how much it lists itself, and how much all catalogs below it list.
//!
//! How entries are counted follows CernVM-FS: chunked and external files are regular files too, and the directory at
//! which two catalogs meet counts in both.

use crate::{Entry, FileData, Node};

/// The statistics of one catalog and of everything below it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// What the catalog lists itself.
    pub self_: TreeCounters,
    /// What the catalogs below it list, without its own.
    pub subtree: TreeCounters,
}

impl Counters {
    /// The catalog's own and everything below: what a parent catalog adds to its subtree.
    #[must_use]
    pub fn total(&self) -> TreeCounters {
        let mut total = self.self_;
        total.add(&self.subtree);
        total
    }
}

/// Twelve counts. The field docs give the name in the `statistics` table, behind `self_` or `subtree_`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TreeCounters {
    /// `regular`: regular files of every kind.
    pub regular_files: u64,
    /// `symlink`.
    pub symlinks: u64,
    /// `special`: pipes, sockets, devices.
    pub specials: u64,
    /// `dir`: directories.
    pub directories: u64,
    /// `nested`: references to nested catalogs.
    pub nested_catalogs: u64,
    /// `chunked`: files stored in chunks.
    pub chunked_files: u64,
    /// `chunks`.
    pub chunks: u64,
    /// `file_size`: bytes in regular files.
    pub file_bytes: u64,
    /// `chunked_size`: bytes in files stored in chunks.
    pub chunked_bytes: u64,
    /// `xattr`: entries with extended attributes.
    pub entries_with_xattrs: u64,
    /// `external`: files whose bytes lie outside the repository.
    pub external_files: u64,
    /// `external_file_size`: bytes in them.
    pub external_bytes: u64,
}

impl TreeCounters {
    /// The names of the counts in the `statistics` table, in the order of [`Self::values`], which is alphabetical.
    pub const NAMES: [&'static str; 12] = [
        "chunked",
        "chunked_size",
        "chunks",
        "dir",
        "external",
        "external_file_size",
        "file_size",
        "nested",
        "regular",
        "special",
        "symlink",
        "xattr",
    ];

    /// The counts in the order of [`Self::NAMES`].
    pub fn values(&self) -> [u64; 12] {
        let mut copy = *self;
        copy.fields().map(|field| *field)
    }

    /// The inverse of [`Self::values`].
    pub fn from_values(values: [u64; 12]) -> Self {
        let mut counters = Self::default();
        for (field, value) in counters.fields().into_iter().zip(values) {
            *field = value;
        }
        counters
    }

    /// Adds the counts of another tree.
    pub fn add(&mut self, other: &Self) {
        for (field, value) in self.fields().into_iter().zip(other.values()) {
            *field = field.saturating_add(value);
        }
    }

    /// Takes away the counts of a part of this tree.
    pub fn subtract(&mut self, part: &Self) {
        for (field, value) in self.fields().into_iter().zip(part.values()) {
            *field = field.saturating_sub(value);
        }
    }

    /// Counts one more entry of a catalog. References to nested catalogs are not entries and not counted here.
    pub fn count(&mut self, entry: &Entry) {
        match &entry.node {
            Node::Directory { .. } => self.directories += 1,
            Node::Symlink { .. } => self.symlinks += 1,
            Node::Fifo | Node::Socket | Node::CharacterDevice { .. } | Node::BlockDevice { .. } => {
                self.specials += 1;
            }
            Node::File(file) => {
                self.regular_files += 1;
                self.file_bytes = self.file_bytes.saturating_add(file.size);
                if let FileData::Chunked { chunks, .. } = &file.data {
                    self.chunked_files += 1;
                    self.chunked_bytes = self.chunked_bytes.saturating_add(file.size);
                    self.chunks += chunks.len() as u64;
                }
                if file.external {
                    self.external_files += 1;
                    self.external_bytes = self.external_bytes.saturating_add(file.size);
                }
            }
        }
        self.entries_with_xattrs += u64::from(!entry.xattrs.is_empty());
    }

    /// Files, links, special files and directories together.
    pub fn entries(&self) -> u64 {
        [self.regular_files, self.symlinks, self.specials, self.directories]
            .iter()
            .fold(0, |sum, &count| sum.saturating_add(count))
    }

    fn fields(&mut self) -> [&mut u64; 12] {
        [
            &mut self.chunked_files,
            &mut self.chunked_bytes,
            &mut self.chunks,
            &mut self.directories,
            &mut self.external_files,
            &mut self.external_bytes,
            &mut self.file_bytes,
            &mut self.nested_catalogs,
            &mut self.regular_files,
            &mut self.specials,
            &mut self.symlinks,
            &mut self.entries_with_xattrs,
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_stand_under_their_names() {
        let counters = TreeCounters::from_values(std::array::from_fn(|index| index as u64));
        assert_eq!(counters.values(), std::array::from_fn(|index| index as u64));
        let of = |name| TreeCounters::NAMES.iter().position(|other| *other == name).map(|index| index as u64);
        assert_eq!(Some(counters.regular_files), of("regular"));
        assert_eq!(Some(counters.directories), of("dir"));
        assert_eq!(Some(counters.file_bytes), of("file_size"));
        assert_eq!(Some(counters.entries_with_xattrs), of("xattr"));
        assert_eq!(Some(counters.chunks), of("chunks"));
    }

    #[test]
    fn a_part_can_be_added_and_taken_away() {
        let part = TreeCounters { directories: 3, file_bytes: 17, ..TreeCounters::default() };
        let mut counters = TreeCounters { directories: 4, ..TreeCounters::default() };
        counters.add(&part);
        assert_eq!((counters.directories, counters.file_bytes), (7, 17));
        counters.subtract(&part);
        assert_eq!(counters, TreeCounters { directories: 4, ..TreeCounters::default() });
    }
}
