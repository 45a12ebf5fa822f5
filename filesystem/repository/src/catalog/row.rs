//! One row of the `catalog` table, decoded and checked on its own, borrowing its bytes from SQLite.

use rusqlite::types::ValueRef;
use varve_content::{Algorithm, Compression, ContentHash, PathKey};

use super::{CatalogError, error::shown, flags};
use crate::{
    Chunk, Entry, EntryKind, EntryName, FileContent, FileData, HardLink, Metadata, Mtime, NestedRole, Node,
    Xattrs,
};

/// The most bytes of a link target, as on Linux.
pub(crate) const LONGEST_TARGET: usize = 4096;

/// A row whose columns make sense by themselves; whether it has a place in the tree is not known yet.
pub(crate) struct Row<'a> {
    pub(crate) key: PathKey,
    pub(crate) parent: PathKey,
    /// Empty, or a valid entry name.
    pub(crate) name: &'a [u8],
    pub(crate) kind: EntryKind,
    pub(crate) metadata: Metadata,
    /// Plain size; the device number of a device.
    pub(crate) size: u64,
    pub(crate) hard_link: HardLink,
    /// The object of a whole file.
    pub(crate) hash: Option<ContentHash>,
    pub(crate) algorithm: Algorithm,
    pub(crate) compression: Compression,
    pub(crate) target: &'a [u8],
    /// Empty, or a well-formed blob.
    pub(crate) xattrs: &'a [u8],
    pub(crate) nested: NestedRole,
    pub(crate) chunked: bool,
    pub(crate) external: bool,
    pub(crate) direct_io: bool,
    pub(crate) hidden: bool,
}

/// The columns that a scan selects, in the order in which [`Row::decode`] expects them.
pub(super) const COLUMNS: [&str; 16] = [
    "md5path_1",
    "md5path_2",
    "parent_1",
    "parent_2",
    "name",
    "flags",
    "mode",
    "size",
    "hardlinks",
    "hash",
    "mtime",
    "mtimens",
    "symlink",
    "uid",
    "gid",
    "xattr",
];

impl<'a> Row<'a> {
    /// Decodes a row of [`COLUMNS`].
    pub(super) fn decode(row: &'a rusqlite::Row<'a>) -> Result<Self, CatalogError> {
        let name = bytes(row, 4)?;
        let refuse = |problem| CatalogError::Row { name: shown(name), problem };
        if !name.is_empty() && !EntryName::is_valid(name) {
            return Err(refuse("no file can have that name"));
        }
        let number = |index: usize, problem| match row.get_ref(index) {
            Ok(ValueRef::Integer(value)) => Ok(value),
            Ok(ValueRef::Null) => Ok(0),
            _ => Err(refuse(problem)),
        };
        let flags = number(5, "its flags are no number")? as u32;
        let mode = u32::try_from(number(6, "its mode is no number")?)
            .map_err(|_| refuse("its mode is out of range"))?;
        let (kind, permissions) =
            flags::decode_mode(mode).ok_or_else(|| refuse("its mode is of no kind of file"))?;
        let size =
            u64::try_from(number(7, "its size is no number")?).map_err(|_| refuse("its size is negative"))?;
        let id = |index| {
            u32::try_from(number(index, "its owner is no number")?)
                .map_err(|_| refuse("its owner is out of range"))
        };
        let nanoseconds = match row.get_ref(11)? {
            ValueRef::Null => None,
            ValueRef::Integer(value) if value < 0 => None,
            ValueRef::Integer(value) if value < 1_000_000_000 => Some(value as u32),
            _ => return Err(refuse("its nanoseconds are out of range")),
        };
        let is_file = kind == EntryKind::File;
        let algorithm = flags::algorithm(flags).ok_or_else(|| refuse("its hash algorithm is unknown"))?;
        let hash = match bytes(row, 9)? {
            _ if !is_file => None,
            b"" => None,
            digest => {
                let digest = digest.try_into().map_err(|_| refuse("its hash does not have 20 bytes"))?;
                Some(ContentHash::from_digest(algorithm, digest))
            }
        };
        let target = bytes(row, 12)?;
        if kind == EntryKind::Symlink
            && (target.is_empty() || target.len() > LONGEST_TARGET || target.contains(&0))
        {
            return Err(refuse("its target can't be that of a link"));
        }
        let decoded = Self {
            key: key(row, 0)?,
            parent: key(row, 2)?,
            name,
            kind,
            metadata: Metadata {
                permissions,
                uid: id(13)?,
                gid: id(14)?,
                mtime: Mtime { seconds: number(10, "its time is no number")?, nanoseconds },
            },
            size,
            hard_link: flags::decode_hard_link(number(8, "its link count is no number")?),
            hash,
            algorithm,
            compression: if is_file {
                flags::compression(flags).ok_or_else(|| refuse("its compression is unknown"))?
            } else {
                Compression::default()
            },
            target: if kind == EntryKind::Symlink { target } else { b"" },
            xattrs: bytes(row, 15)?,
            nested: flags::nested_role(flags),
            chunked: is_file && flags & flags::CHUNKED != 0,
            external: is_file && flags & flags::EXTERNAL != 0,
            direct_io: is_file && flags & flags::DIRECT_IO != 0,
            hidden: flags & flags::HIDDEN != 0,
        };
        if decoded.nested != NestedRole::Plain && kind != EntryKind::Directory {
            return Err(refuse("catalogs meet at something that is no directory"));
        }
        if is_file && !decoded.chunked && decoded.hash.is_none() {
            return Err(refuse("a file without content"));
        }
        if !decoded.xattrs.is_empty() {
            Xattrs::from_blob(decoded.xattrs)
                .map_err(|source| CatalogError::Xattrs { name: shown(name), source })?;
        }
        Ok(decoded)
    }

    /// How many bytes of text and blobs the row has.
    pub(super) fn content_length(&self) -> usize {
        self.name.len() + self.target.len() + self.xattrs.len() + if self.hash.is_some() { 20 } else { 0 }
    }

    /// The owned form; `chunks` are those of this row.
    pub(super) fn to_entry(&self, chunks: Vec<Chunk>) -> Result<Entry, CatalogError> {
        let node = match self.kind {
            EntryKind::Directory => Node::Directory { size: self.size },
            EntryKind::Symlink => Node::Symlink { target: self.target.to_vec() },
            EntryKind::Fifo => Node::Fifo,
            EntryKind::Socket => Node::Socket,
            EntryKind::CharacterDevice => Node::CharacterDevice { device: self.size },
            EntryKind::BlockDevice => Node::BlockDevice { device: self.size },
            EntryKind::File => Node::File(FileContent {
                size: self.size,
                compression: self.compression,
                data: match self.hash {
                    Some(hash) if !self.chunked => FileData::Whole(hash),
                    whole => FileData::Chunked { algorithm: self.algorithm, chunks, whole },
                },
                external: self.external,
                direct_io: self.direct_io,
            }),
        };
        Ok(Entry {
            name: EntryName::new(self.name).ok(),
            metadata: self.metadata,
            node,
            hard_link: self.hard_link,
            xattrs: Xattrs::from_blob(self.xattrs)
                .map_err(|source| CatalogError::Xattrs { name: shown(self.name), source })?,
            nested: self.nested,
            hidden: self.hidden,
        })
    }
}

/// The bytes of a text or a blob; none for NULL.
pub(super) fn bytes<'a>(row: &'a rusqlite::Row<'a>, index: usize) -> Result<&'a [u8], CatalogError> {
    match row.get_ref(index)? {
        ValueRef::Text(bytes) | ValueRef::Blob(bytes) => Ok(bytes),
        ValueRef::Null => Ok(b""),
        other => Err(CatalogError::Database(rusqlite::Error::InvalidColumnType(
            index,
            "text".to_owned(),
            other.data_type(),
        ))),
    }
}

/// A path key from two columns.
pub(super) fn key(row: &rusqlite::Row<'_>, index: usize) -> Result<PathKey, CatalogError> {
    Ok(PathKey::from_halves(row.get(index)?, row.get(index + 1)?))
}
