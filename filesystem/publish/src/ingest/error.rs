//! What is wrong with an archive, and where.

use std::io;

use varve_repository::RepositoryPath;

use crate::base_revision::BaseError;
use crate::pipeline::Stopped;

/// Why an archive can't be ingested. Nothing is published.
#[derive(Debug, thiserror::Error)]
pub enum IngestError {
    /// The archive is damaged, or asks for what can't be done.
    #[error(transparent)]
    Archive(#[from] ArchiveError),
    /// A member lies below what is no directory in the repository.
    #[error("the archive has something below {path}, which is no directory in the repository")]
    NoDirectory {
        /// What is in the repository.
        path: RepositoryPath,
    },
    /// The base revision can't be read.
    #[error(transparent)]
    Base(#[from] BaseError),
}

/// What is wrong with an archive, and where.
#[derive(Debug, thiserror::Error)]
#[error("the archive can't be ingested: at byte {offset}{}", shown(.member.as_deref(), *.behind))]
pub struct ArchiveError {
    /// The place in the archive without its compression: the header of the member, or where reading failed.
    pub offset: u64,
    /// The member's name as the archive has it, escaped.
    pub member: Option<String>,
    /// It is behind that member, in a header that tells no name.
    pub behind: bool,
    /// What is wrong there.
    #[source]
    pub problem: ArchiveProblem,
}

/// What is wrong with an archive.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveProblem {
    /// It can't be read, or its compression is damaged.
    #[error("cannot be read or decompressed")]
    Read(#[source] io::Error),
    /// It ends where more has to follow.
    #[error("the archive is cut off")]
    CutOff,
    /// It has a header whose checksum is wrong.
    #[error("the checksum of the header is wrong: damaged, or no tar archive")]
    Checksum,
    /// A number in a header is none.
    #[error("the header's {field} is no number that makes sense")]
    Number {
        /// Which.
        field: &'static str,
    },
    /// An extended header is malformed.
    #[error("malformed extended header")]
    Extended,
    /// An extended header or a sparse file's map is too large.
    #[error("the {what} is too large")]
    TooLarge {
        /// Which.
        what: &'static str,
    },
    /// A map of a sparse file that contradicts itself.
    #[error("the map of the sparse file is malformed")]
    Sparse,
    /// A kind of member that is not known.
    #[error("a member of the unknown kind '{}'", .kind.escape_ascii())]
    Kind {
        /// The byte in the header.
        kind: u8,
    },
    /// A part of a file whose rest is on another volume.
    #[error("the archive has several volumes")]
    Volumes,
    /// A name with `..`, with zero bytes, too long, or missing.
    #[error("the name {reason}")]
    Name {
        /// What is wrong with it.
        reason: &'static str,
    },
    /// Something below what is no directory.
    #[error("an earlier member has the name of a directory on the way, and is none")]
    NoDirectory,
    /// A hard link to what has not come before.
    #[error("a hard link to '{target}', which is no earlier member that can be linked to")]
    LinkTarget {
        /// The target, escaped.
        target: String,
    },
    /// A symbolic link that no client could follow.
    #[error("a symbolic link whose target has {length} bytes, it must have 1 to 4095")]
    SymlinkTarget {
        /// The length of its target in bytes.
        length: usize,
    },
    /// The content pipeline has failed; it reports why itself.
    #[error("the content pipeline has stopped")]
    Stopped,
}

impl From<Stopped> for ArchiveProblem {
    fn from(_: Stopped) -> Self {
        Self::Stopped
    }
}

impl From<io::Error> for ArchiveProblem {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::UnexpectedEof => Self::CutOff,
            _ => Self::Read(error),
        }
    }
}

fn shown(member: Option<&str>, behind: bool) -> String {
    let behind = if behind { " behind" } else { "," };
    member.map_or_else(String::new, |member| format!("{behind} member '{member}'"))
}
