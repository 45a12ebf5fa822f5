//! The packed integers of a catalog row: `flags`, `mode` and `hardlinks`.
//!
//! ```text
//! flags  bit 0 directory          bit 1 nested mount point (in the parent)    bit 5 nested root (in the child)
//!        bit 2 file, link or special         bit 3 symbolic link    bit 4 special file
//!        bit 6 chunked            bit 7 external             bits 8-10 hash algorithm      bits 11-13 compression
//!        bit 14 bind mount point  bit 15 hidden              bit 16 direct I/O
//! hardlinks  bits 0-31 number of names     bits 32-63 group, 0 for none
//! ```
//!
//! Which kind of file an entry is, is decided by `mode`, as in CernVM-FS; the bits for it in `flags` are written, not read.

use varve_content::{Algorithm, Compression};

use crate::{Entry, EntryKind, FileData, HardLink, NestedRole, Node};

pub(super) const DIRECTORY: u32 = 1;
pub(super) const NESTED_MOUNT_POINT: u32 = 2;
pub(super) const FILE: u32 = 4;
pub(super) const SYMLINK: u32 = 8;
pub(super) const SPECIAL: u32 = 16;
pub(super) const NESTED_ROOT: u32 = 32;
pub(super) const CHUNKED: u32 = 64;
pub(super) const EXTERNAL: u32 = 128;
const ALGORITHM_SHIFT: u32 = 8;
const COMPRESSION_SHIFT: u32 = 11;
pub(super) const BIND_MOUNT_POINT: u32 = 0x4000;
pub(super) const HIDDEN: u32 = 0x8000;
pub(super) const DIRECT_IO: u32 = 0x1_0000;

/// The flags that are written for an entry.
pub(super) fn encode(entry: &Entry) -> u32 {
    let role = match entry.nested {
        NestedRole::Plain => 0,
        NestedRole::MountPoint => NESTED_MOUNT_POINT,
        NestedRole::Root => NESTED_ROOT,
        NestedRole::BindMountPoint => BIND_MOUNT_POINT,
    };
    let kind = match &entry.node {
        Node::Directory { .. } => DIRECTORY,
        Node::Symlink { .. } => FILE | SYMLINK,
        Node::Fifo | Node::Socket | Node::CharacterDevice { .. } | Node::BlockDevice { .. } => FILE | SPECIAL,
        Node::File(file) => {
            let (chunked, algorithm) = match &file.data {
                FileData::Whole(hash) => (0, hash.algorithm()),
                FileData::Chunked { algorithm, .. } => (CHUNKED, *algorithm),
            };
            FILE | chunked
                | (algorithm.catalog_code() << ALGORITHM_SHIFT)
                | (file.compression.catalog_code() << COMPRESSION_SHIFT)
                | if file.external { EXTERNAL } else { 0 }
                | if file.direct_io { DIRECT_IO } else { 0 }
        }
    };
    role | kind | if entry.hidden { HIDDEN } else { 0 }
}

/// The algorithm of an entry's hashes; `None` for a code that is not known.
pub(super) fn algorithm(flags: u32) -> Option<Algorithm> {
    Algorithm::from_catalog_code((flags >> ALGORITHM_SHIFT) & 7)
}

/// How an entry's objects are stored; `None` for a code that is not known.
pub(super) fn compression(flags: u32) -> Option<Compression> {
    Compression::from_catalog_code((flags >> COMPRESSION_SHIFT) & 7)
}

/// The part that an entry has in joining catalogs.
pub(super) fn nested_role(flags: u32) -> NestedRole {
    if flags & NESTED_ROOT != 0 {
        NestedRole::Root
    } else if flags & NESTED_MOUNT_POINT != 0 {
        NestedRole::MountPoint
    } else if flags & BIND_MOUNT_POINT != 0 {
        NestedRole::BindMountPoint
    } else {
        NestedRole::Plain
    }
}

/// The mode that is written for an entry: kind and permissions.
pub(super) fn mode(entry: &Entry) -> u32 {
    entry.node.kind().mode_bits() | (entry.metadata.permissions & 0o7777)
}

/// Kind and permissions of a mode; `None` if it is no kind of file.
pub(super) fn decode_mode(mode: u32) -> Option<(EntryKind, u32)> {
    EntryKind::from_mode(mode).map(|kind| (kind, mode & 0o7777))
}

/// The `hardlinks` column of a group.
pub(super) fn encode_hard_link(link: HardLink) -> i64 {
    ((u64::from(link.group) << 32) | u64::from(link.count)) as i64
}

/// The inverse of [`encode_hard_link`]; a count of 0, found in old catalogs, means 1.
pub(super) fn decode_hard_link(column: i64) -> HardLink {
    let bits = column as u64;
    HardLink { group: (bits >> 32) as u32, count: (bits as u32).max(1) }
}
