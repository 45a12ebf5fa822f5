//! The bytes of an index.
//!
//! ```text
//! header      292 bytes, [`Header`]: magic, section sizes, properties, statistics
//! entries     92 bytes each, [`EntryRecord`], in the order of the rows
//! chunks      36 bytes each, [`ChunkRecord`], of one file after the other
//! references  34 bytes each, [`ReferenceRecord`], in the order of the rows
//! names       the bytes of all names, in the order of the rows
//! texts       link targets, extended attributes, the root prefix, the authorization
//! ```
//!
//! All integers are little endian, nothing is aligned. The sections follow each other without gaps, and the last one
//! ends with the file. A change of anything here changes [`MAGIC`].

use varve_content::{Algorithm, Compression, ContentHash};
use zerocopy::little_endian::{I64, U16, U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use crate::{EntryKind, NestedRole};

/// The first bytes of an index; the last of them is the version of this layout.
pub(super) const MAGIC: [u8; 8] = *b"varveix\x01";

/// What the cache files an index under; it changes with [`MAGIC`].
pub(crate) const CACHE_KIND: &str = "index1";

/// A range of bytes in the section of texts.
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub(super) struct TextRange {
    pub(super) offset: U32,
    pub(super) length: U32,
}

/// A hash that may be missing: 0, or 1 + the code of its algorithm, then the digest.
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub(super) struct HashRecord {
    algorithm: u8,
    digest: [u8; 20],
}

/// What stands at the beginning.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub(super) struct Header {
    pub(super) magic: [u8; 8],
    /// Rows, chunks, references.
    pub(super) entries: U32,
    pub(super) chunks: U32,
    pub(super) references: U32,
    /// Bytes.
    pub(super) names: U32,
    pub(super) texts: U32,
    pub(super) schema_hundredths: U32,
    pub(super) schema_revision: U32,
    pub(super) volatile: u8,
    pub(super) has_time_to_live: u8,
    pub(super) has_authorization: u8,
    pub(super) previous: HashRecord,
    pub(super) revision: U64,
    pub(super) last_modified: U64,
    /// Seconds.
    pub(super) time_to_live: U64,
    pub(super) root_prefix: TextRange,
    pub(super) authorization: TextRange,
    /// In the order of [`crate::TreeCounters::values`].
    pub(super) own_counters: [U64; 12],
    pub(super) subtree_counters: [U64; 12],
}

/// One row.
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub(super) struct EntryRecord {
    /// The row of the directory, smaller than the own one; 0 for the root.
    pub(super) parent: U32,
    /// Where the name begins in the section of names.
    pub(super) name_offset: U32,
    pub(super) name_length: u8,
    /// [`NestedRole`].
    pub(super) role: u8,
    pub(super) permissions: U16,
    /// See [`Traits`].
    pub(super) traits: U32,
    pub(super) uid: U32,
    pub(super) gid: U32,
    /// Bytes in the file; the device number of a device.
    pub(super) size: U64,
    pub(super) mtime: I64,
    /// Valid if the traits say so.
    pub(super) nanoseconds: U32,
    pub(super) link_group: U32,
    pub(super) link_count: U32,
    /// The first row of the same hard link group, often the own one; of a directory, how many hidden children lie
    /// behind those that `first` and `count` tell.
    pub(super) first_link_or_hidden: U32,
    /// A directory's children, a file's chunks, or where in the section of texts a link's target lies.
    pub(super) first: U32,
    pub(super) count: U32,
    pub(super) xattrs: TextRange,
    /// Of a file that is one object, or is one as well.
    pub(super) digest: [u8; 20],
}

/// A part of a file.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub(super) struct ChunkRecord {
    pub(super) offset: U64,
    pub(super) size: U64,
    pub(super) digest: [u8; 20],
}

/// A directory whose content is in another catalog.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub(super) struct ReferenceRecord {
    pub(super) row: U32,
    /// 1 if it is the root catalog of another revision.
    pub(super) bind: u8,
    pub(super) hash: HashRecord,
    /// Bytes of the database, 0 if it is not known.
    pub(super) size: U64,
}

/// The small facts of a row, packed.
///
/// ```text
/// bits 0-2 kind    3-5 hash algorithm    6-8 compression
/// bit 9 chunked    10 has a digest    11 external    12 direct I/O    13 hidden    14 has nanoseconds
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Traits {
    pub(super) kind: EntryKind,
    pub(super) algorithm: Algorithm,
    pub(super) compression: Compression,
    pub(super) chunked: bool,
    pub(super) has_digest: bool,
    pub(super) external: bool,
    pub(super) direct_io: bool,
    pub(super) hidden: bool,
    pub(super) has_nanoseconds: bool,
}

impl Traits {
    /// The packed form.
    pub(super) fn pack(self) -> u32 {
        let kind = EntryKind::ALL.iter().position(|kind| *kind == self.kind).unwrap_or(0) as u32;
        let flags =
            [self.chunked, self.has_digest, self.external, self.direct_io, self.hidden, self.has_nanoseconds];
        let flags = flags.iter().rev().fold(0, |bits, &flag| (bits << 1) | u32::from(flag));
        kind | (self.algorithm.catalog_code() << 3) | (self.compression.catalog_code() << 6) | (flags << 9)
    }

    /// The inverse of [`Self::pack`]; codes that do not exist read as the first of their kind.
    pub(super) fn unpack(bits: u32) -> Self {
        let flag = |bit: u32| bits >> bit & 1 == 1;
        Self {
            kind: EntryKind::ALL.get((bits & 7) as usize).copied().unwrap_or(EntryKind::Directory),
            algorithm: Algorithm::from_catalog_code(bits >> 3 & 7).unwrap_or_default(),
            compression: Compression::from_catalog_code(bits >> 6 & 7).unwrap_or_default(),
            chunked: flag(9),
            has_digest: flag(10),
            external: flag(11),
            direct_io: flag(12),
            hidden: flag(13),
            has_nanoseconds: flag(14),
        }
    }
}

impl HashRecord {
    /// Records a hash.
    pub(super) fn new(hash: Option<&ContentHash>) -> Self {
        hash.map_or_else(Self::default, |hash| Self {
            algorithm: hash.algorithm().catalog_code() as u8 + 1,
            digest: *hash.digest(),
        })
    }

    /// The hash, if there is one.
    pub(super) fn get(&self) -> Option<ContentHash> {
        let algorithm = Algorithm::from_catalog_code(u32::from(self.algorithm).checked_sub(1)?)?;
        Some(ContentHash::from_digest(algorithm, self.digest))
    }
}

/// The code of a role.
pub(super) fn role_code(role: NestedRole) -> u8 {
    match role {
        NestedRole::Plain => 0,
        NestedRole::MountPoint => 1,
        NestedRole::Root => 2,
        NestedRole::BindMountPoint => 3,
    }
}

/// The inverse of [`role_code`]; codes that do not exist read as [`NestedRole::Plain`].
pub(super) fn role(code: u8) -> NestedRole {
    match code {
        1 => NestedRole::MountPoint,
        2 => NestedRole::Root,
        3 => NestedRole::BindMountPoint,
        _ => NestedRole::Plain,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_have_the_documented_sizes() {
        assert_eq!(size_of::<Header>(), 292);
        assert_eq!(size_of::<EntryRecord>(), 92);
        assert_eq!(size_of::<ChunkRecord>(), 36);
        assert_eq!(size_of::<ReferenceRecord>(), 34);
    }

    #[test]
    fn traits_are_read_back() {
        for kind in EntryKind::ALL {
            for algorithm in Algorithm::ALL {
                for flags in 0..64_u32 {
                    let flag = |bit: u32| flags >> bit & 1 == 1;
                    let traits = Traits {
                        kind,
                        algorithm,
                        compression: Compression::None,
                        chunked: flag(0),
                        has_digest: flag(1),
                        external: flag(2),
                        direct_io: flag(3),
                        hidden: flag(4),
                        has_nanoseconds: flag(5),
                    };
                    assert_eq!(Traits::unpack(traits.pack()), traits);
                }
            }
        }
    }
}
