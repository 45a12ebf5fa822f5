//! What the bytes of a repository mean: names, entries, catalogs, signatures, tags, and the verified [`Snapshot`].

mod entry;
mod name;

pub use entry::{
    Chunk, Entry, FileContent, FileData, HardLink, Metadata, Mtime, NestedRole, Node, Xattrs, XattrsError,
};
pub use name::{EntryName, NameError, RepositoryName, RepositoryPath};
