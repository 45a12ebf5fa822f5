//! The journal: the little that a new worker must know of its predecessor, in a memory file that supervisor and worker hold.
//!
//! One JSON object per line, only ever appended. A worker that is killed while it writes leaves a line without an end;
//! the next one cuts it off. What a line says counts from the moment it is complete, so it is written *before* what
//! follows from it reaches the kernel.

use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

/// A line of the journal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Record {
    /// The kernel's first request, in hexadecimal digits: a new worker answers it to itself.
    Init(String),
    /// A catalog got a range of inode numbers.
    Range(RangeRecord),
    /// A repository was moved to a revision.
    Root(RootRecord),
}

/// Which inode numbers the rows of a catalog have.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct RangeRecord {
    pub(crate) repository: String,
    /// `None` for the single number of a repository's root directory in a tree of repositories.
    pub(crate) catalog: Option<CatalogRecord>,
    pub(crate) first: u64,
    pub(crate) length: u64,
}

/// A catalog: its hash, its path in hexadecimal digits (paths are bytes), its size if that is known.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(crate) struct CatalogRecord {
    pub(crate) hash: String,
    pub(crate) path: String,
    pub(crate) size: Option<u64>,
}

/// The revision that a repository shows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct RootRecord {
    pub(crate) repository: String,
    pub(crate) catalog: CatalogRecord,
    pub(crate) revision: u64,
}

/// An open journal.
#[derive(Debug)]
pub(crate) struct Journal {
    file: Mutex<File>,
    descriptor: OwnedFd,
}

impl Journal {
    /// An empty journal.
    pub(crate) fn create() -> io::Result<Self> {
        let descriptor = rustix::fs::memfd_create("varve-mount-journal", rustix::fs::MemfdFlags::CLOEXEC)?;
        Self::new(descriptor)
    }

    /// The journal that another process holds too.
    pub(crate) fn new(descriptor: OwnedFd) -> io::Result<Self> {
        let file = File::from(descriptor.try_clone()?);
        Ok(Self { file: Mutex::new(file), descriptor })
    }

    /// Everything that was written, oldest first. A torn last line is cut off.
    pub(crate) fn read(&self) -> io::Result<Vec<Record>> {
        let mut file = self.file.lock();
        let mut text = Vec::new();
        file.seek(SeekFrom::Start(0))?;
        file.read_to_end(&mut text)?;
        let whole = text.iter().rposition(|&byte| byte == b'\n').map_or(0, |at| at + 1);
        if whole < text.len() {
            file.set_len(whole as u64)?;
        }
        text[..whole]
            .split(|&byte| byte == b'\n')
            .filter(|line| !line.is_empty())
            .map(|line| serde_json::from_slice(line).map_err(io::Error::from))
            .collect()
    }

    /// Writes a line.
    pub(crate) fn append(&self, record: &Record) -> io::Result<()> {
        let mut line = serde_json::to_vec(record)?;
        line.push(b'\n');
        let mut file = self.file.lock();
        file.seek(SeekFrom::End(0))?;
        file.write_all(&line)
    }

    /// Begins anew without the kernel's first request: the next connection is another one.
    pub(crate) fn forget_connection(&self) -> io::Result<()> {
        let records = self.read()?;
        self.file.lock().set_len(0)?;
        for record in records.iter().filter(|record| !matches!(record, Record::Init(_))) {
            self.append(record)?;
        }
        Ok(())
    }
}

impl AsFd for Journal {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.descriptor.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range(first: u64) -> Record {
        Record::Range(RangeRecord { repository: "a.b".into(), catalog: None, first, length: 1 })
    }

    #[test]
    fn a_torn_line_is_cut_off() {
        let journal = Journal::create().unwrap();
        journal.append(&range(2)).unwrap();
        journal.file.lock().write_all(b"{\"Range\":{\"repo").unwrap();
        assert_eq!(journal.read().unwrap(), [range(2)]);
        journal.append(&range(3)).unwrap();
        let other = Journal::new(journal.as_fd().try_clone_to_owned().unwrap()).unwrap();
        assert_eq!(other.read().unwrap(), [range(2), range(3)]);
    }

    #[test]
    fn a_new_connection_keeps_the_numbers() {
        let journal = Journal::create().unwrap();
        journal.append(&Record::Init("00ff".into())).unwrap();
        journal.append(&range(2)).unwrap();
        journal.forget_connection().unwrap();
        assert_eq!(journal.read().unwrap(), [range(2)]);
    }
}
