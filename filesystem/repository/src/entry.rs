//! What a catalog says of one file, directory, link or device: the owned form that publishing and checking work with.
//!
//! Reading through a mount uses the borrowed form of the catalog index instead.

use varve_content::{Algorithm, Compression, ContentHash};

use crate::EntryName;

/// Everything that is recorded of one path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The name in its directory; `None` for the root of the repository.
    pub name: Option<EntryName>,
    /// Owner, permissions, time.
    pub metadata: Metadata,
    /// What it is.
    pub node: Node,
    /// Which other names in its directory are the same file.
    pub hard_link: HardLink,
    /// Extended attributes.
    pub xattrs: Xattrs,
    /// Its part in joining two catalogs.
    pub nested: NestedRole,
    /// Not shown in listings, but found by its name.
    pub hidden: bool,
}

/// Owner, permissions, time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Metadata {
    /// The lower twelve bits of the mode: set-id and sticky bits, read, write, execute.
    pub permissions: u32,
    /// Numeric owner.
    pub uid: u32,
    /// Numeric group.
    pub gid: u32,
    /// Time of last modification.
    pub mtime: Mtime,
}

/// A time of modification. Catalogs before schema revision 7 and trees without them have no nanoseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Mtime {
    /// Seconds since 1970, UTC.
    pub seconds: i64,
    /// The part of a second, below 10⁹.
    pub nanoseconds: Option<u32>,
}

/// What an entry is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Node {
    /// A directory; `size` is what `stat` reports, 4096 or so.
    Directory {
        /// Recorded size in bytes.
        size: u64,
    },
    /// A regular file.
    File(FileContent),
    /// A symbolic link with its target as published: variables are not expanded here.
    Symlink {
        /// The target, bytes.
        target: Vec<u8>,
    },
    /// A named pipe.
    Fifo,
    /// A socket.
    Socket,
    /// A character device.
    CharacterDevice {
        /// The device number as `st_rdev` has it.
        device: u64,
    },
    /// A block device.
    BlockDevice {
        /// The device number as `st_rdev` has it.
        device: u64,
    },
}

impl Node {
    /// The kind of file, without what belongs to it.
    pub fn kind(&self) -> EntryKind {
        match self {
            Self::Directory { .. } => EntryKind::Directory,
            Self::File(_) => EntryKind::File,
            Self::Symlink { .. } => EntryKind::Symlink,
            Self::Fifo => EntryKind::Fifo,
            Self::Socket => EntryKind::Socket,
            Self::CharacterDevice { .. } => EntryKind::CharacterDevice,
            Self::BlockDevice { .. } => EntryKind::BlockDevice,
        }
    }
}

/// The kinds of files.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum EntryKind {
    /// A directory.
    Directory,
    /// A regular file.
    File,
    /// A symbolic link.
    Symlink,
    /// A named pipe.
    Fifo,
    /// A socket.
    Socket,
    /// A character device.
    CharacterDevice,
    /// A block device.
    BlockDevice,
}

impl EntryKind {
    /// Every kind.
    pub const ALL: [Self; 7] = [
        Self::Directory,
        Self::File,
        Self::Symlink,
        Self::Fifo,
        Self::Socket,
        Self::CharacterDevice,
        Self::BlockDevice,
    ];

    /// The kind's bits in `st_mode`.
    pub fn mode_bits(self) -> u32 {
        match self {
            Self::Directory => 0o040_000,
            Self::File => 0o100_000,
            Self::Symlink => 0o120_000,
            Self::Fifo => 0o010_000,
            Self::Socket => 0o140_000,
            Self::CharacterDevice => 0o020_000,
            Self::BlockDevice => 0o060_000,
        }
    }

    /// The kind that a mode tells, `None` for bits that mean nothing.
    pub fn from_mode(mode: u32) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.mode_bits() == mode & 0o170_000)
    }
}

/// The content of a regular file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileContent {
    /// Bytes in the file.
    pub size: u64,
    /// How its objects are stored.
    pub compression: Compression,
    /// Which objects make it up.
    pub data: FileData,
    /// The bytes lie outside the repository's object store, under the file's path.
    pub external: bool,
    /// Reads go around the page cache.
    pub direct_io: bool,
}

/// The objects of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FileData {
    /// One object of kind `File`.
    Whole(ContentHash),
    /// Objects of kind `Chunk`, in order, without gaps, from offset 0 to the file's size.
    Chunked {
        /// The algorithm of the chunks' hashes.
        algorithm: Algorithm,
        /// The parts.
        chunks: Vec<Chunk>,
        /// The same content in one object as well, as very old clients need it.
        whole: Option<ContentHash>,
    },
}

/// A part of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Chunk {
    /// Where it begins in the file, in bytes.
    pub offset: u64,
    /// Its length in the file, in bytes.
    pub size: u64,
    /// The object's hash.
    pub hash: ContentHash,
}

/// The group of hard links that an entry belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HardLink {
    /// The group's number, unique in its catalog; 0 for a file with a single name.
    pub group: u32,
    /// How many names the group has, at least 1.
    pub count: u32,
}

impl HardLink {
    /// A file with a single name.
    pub const SINGLE: Self = Self { group: 0, count: 1 };
}

/// An entry's part in joining two catalogs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum NestedRole {
    /// None.
    #[default]
    Plain,
    /// In the parent catalog: the directory whose content is in the nested catalog.
    MountPoint,
    /// In the nested catalog: its own root directory.
    Root,
    /// In the parent catalog: a directory whose content is the root catalog of another revision.
    BindMountPoint,
}

/// Extended attributes, sorted by name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Xattrs(Vec<(Vec<u8>, Vec<u8>)>);

impl Xattrs {
    /// Checks, sorts and keeps attributes.
    ///
    /// # Errors
    /// [`XattrsError`] if a name or a value does not fit into a catalog, or a name comes twice.
    pub fn new(mut attributes: Vec<(Vec<u8>, Vec<u8>)>) -> Result<Self, XattrsError> {
        if attributes.len() > 255 {
            return Err(XattrsError::TooMany { count: attributes.len() });
        }
        attributes.sort();
        for (name, value) in &attributes {
            if name.is_empty() || name.len() > 255 || name.contains(&0) || value.len() > 255 {
                return Err(XattrsError::TooLong { name: String::from_utf8_lossy(name).into_owned() });
            }
        }
        if let Some(pair) = attributes.windows(2).find(|pair| pair[0].0 == pair[1].0) {
            return Err(XattrsError::Twice { name: String::from_utf8_lossy(&pair[0].0).into_owned() });
        }
        Ok(Self(attributes))
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Names and values in the order of the names.
    pub fn iter(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        self.0.iter().map(|(name, value)| (name.as_slice(), value.as_slice()))
    }

    /// The value of an attribute.
    pub fn get(&self, name: &[u8]) -> Option<&[u8]> {
        self.0.iter().find(|(other, _)| other == name).map(|(_, value)| value.as_slice())
    }

    /// The form in a catalog: version 1, count, then per attribute the two lengths, name and value. Empty without any.
    pub fn to_blob(&self) -> Vec<u8> {
        let mut blob = Vec::new();
        if !self.0.is_empty() {
            blob.extend([1, self.0.len() as u8]);
            for (name, value) in &self.0 {
                blob.extend([name.len() as u8, value.len() as u8]);
                blob.extend_from_slice(name);
                blob.extend_from_slice(value);
            }
        }
        blob
    }

    /// Reads the form in a catalog.
    ///
    /// # Errors
    /// [`XattrsError::Malformed`] if it is none.
    pub fn from_blob(blob: &[u8]) -> Result<Self, XattrsError> {
        let Some((&version, rest)) = blob.split_first() else { return Ok(Self::default()) };
        let (&count, mut rest) = rest.split_first().ok_or(XattrsError::Malformed)?;
        if version != 1 {
            return Err(XattrsError::Malformed);
        }
        let mut attributes = Vec::with_capacity(usize::from(count));
        for _ in 0..count {
            let (lengths, tail) = rest.split_at_checked(2).ok_or(XattrsError::Malformed)?;
            let (name, tail) =
                tail.split_at_checked(usize::from(lengths[0])).ok_or(XattrsError::Malformed)?;
            let (value, tail) =
                tail.split_at_checked(usize::from(lengths[1])).ok_or(XattrsError::Malformed)?;
            attributes.push((name.to_vec(), value.to_vec()));
            rest = tail;
        }
        if rest.is_empty() { Self::new(attributes) } else { Err(XattrsError::Malformed) }
    }
}

/// Extended attributes that a catalog can't hold, or a malformed blob of them.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum XattrsError {
    /// More than 255.
    #[error("{count} extended attributes, at most 255 can be recorded")]
    TooMany {
        /// How many.
        count: usize,
    },
    /// A name or value over 255 bytes, or an impossible name.
    #[error("extended attribute '{name}' can't be recorded: names and values have at most 255 bytes")]
    TooLong {
        /// The attribute's name.
        name: String,
    },
    /// The same name twice.
    #[error("extended attribute '{name}' is given twice")]
    Twice {
        /// The attribute's name.
        name: String,
    },
    /// The blob in the catalog is damaged.
    #[error("malformed extended attributes in the catalog")]
    Malformed,
}
