//! What an index says of one row, without copying it.

use varve_content::{Compression, ContentHash};

use super::layout::{self, ChunkRecord, EntryRecord, Traits};
use super::view::CatalogIndex;
use crate::{
    Chunk, Entry, EntryKind, EntryName, FileContent, FileData, HardLink, Metadata, Mtime, NestedRole, Node,
    Xattrs,
};

/// One row of an index.
#[derive(Clone, Copy)]
pub struct EntryView<'a> {
    index: &'a CatalogIndex,
    row: u32,
    record: &'a EntryRecord,
    traits: Traits,
}

/// The objects of a regular file.
#[derive(Clone, Copy)]
pub enum ContentView<'a> {
    /// One object of kind `File`.
    Whole(ContentHash),
    /// Objects of kind `Chunk`.
    Chunks(ChunksView<'a>),
}

/// The chunks of a file, in order and without gaps.
#[derive(Clone, Copy)]
pub struct ChunksView<'a> {
    records: &'a [ChunkRecord],
    traits: Traits,
    whole: Option<ContentHash>,
}

impl<'a> EntryView<'a> {
    pub(super) fn new(index: &'a CatalogIndex, row: u32, record: &'a EntryRecord) -> Self {
        Self { index, row, record, traits: Traits::unpack(record.traits.get()) }
    }

    /// The row's number.
    pub fn row(&self) -> u32 {
        self.row
    }

    /// The name in its directory; empty for the root of the repository.
    pub fn name(&self) -> &'a [u8] {
        self.index.rows().name(self.record)
    }

    /// What it is.
    pub fn kind(&self) -> EntryKind {
        self.traits.kind
    }

    /// Whether it is a directory.
    pub fn is_directory(&self) -> bool {
        self.traits.kind == EntryKind::Directory
    }

    /// The lower twelve bits of the mode.
    pub fn permissions(&self) -> u32 {
        u32::from(self.record.permissions.get())
    }

    /// Kind and permissions as `st_mode` has them.
    pub fn mode(&self) -> u32 {
        self.kind().mode_bits() | self.permissions()
    }

    /// Numeric owner.
    pub fn uid(&self) -> u32 {
        self.record.uid.get()
    }

    /// Numeric group.
    pub fn gid(&self) -> u32 {
        self.record.gid.get()
    }

    /// What `stat` reports as the size: bytes in a file or in a link's target, the recorded size of a directory, else 0.
    pub fn size(&self) -> u64 {
        match self.kind() {
            EntryKind::File | EntryKind::Directory => self.record.size.get(),
            EntryKind::Symlink => u64::from(self.record.count.get()),
            EntryKind::Fifo | EntryKind::Socket | EntryKind::CharacterDevice | EntryKind::BlockDevice => 0,
        }
    }

    /// The number of a device as `st_rdev` has it, else 0.
    pub fn device(&self) -> u64 {
        match self.kind() {
            EntryKind::CharacterDevice | EntryKind::BlockDevice => self.record.size.get(),
            _ => 0,
        }
    }

    /// Time of last modification.
    pub fn mtime(&self) -> Mtime {
        Mtime {
            seconds: self.record.mtime.get(),
            nanoseconds: self.traits.has_nanoseconds.then(|| self.record.nanoseconds.get()),
        }
    }

    /// Names of the file; for a directory 2 and the number of its directories.
    pub fn link_count(&self) -> u32 {
        self.record.link_count.get()
    }

    /// The row that stands for all names of the same file: the own one unless there is an earlier one.
    pub fn first_link_row(&self) -> u32 {
        if self.is_directory() { self.row } else { self.record.first_link_or_hidden.get().min(self.row) }
    }

    /// The target of a symbolic link as published, empty for anything else.
    pub fn link_target(&self) -> &'a [u8] {
        if self.kind() == EntryKind::Symlink {
            self.index.text(self.record.first.get(), self.record.count.get())
        } else {
            b""
        }
    }

    /// The extended attributes in the form of [`Xattrs::from_blob`], empty without any.
    pub fn xattrs_blob(&self) -> &'a [u8] {
        self.index.text(self.record.xattrs.offset.get(), self.record.xattrs.length.get())
    }

    /// The extended attributes.
    pub fn xattrs(&self) -> Xattrs {
        // The blob was checked when the index was built.
        Xattrs::from_blob(self.xattrs_blob()).unwrap_or_default()
    }

    /// The objects of a regular file, `None` for anything else.
    pub fn content(&self) -> Option<ContentView<'a>> {
        if self.kind() != EntryKind::File {
            return None;
        }
        let whole = self
            .traits
            .has_digest
            .then(|| ContentHash::from_digest(self.traits.algorithm, self.record.digest));
        match whole {
            Some(hash) if !self.traits.chunked => Some(ContentView::Whole(hash)),
            _ => {
                let first = self.record.first.get() as usize;
                let records = self
                    .index
                    .chunks()
                    .get(first..first + self.record.count.get() as usize)
                    .unwrap_or_default();
                Some(ContentView::Chunks(ChunksView { records, traits: self.traits, whole }))
            }
        }
    }

    /// How the objects of a file are stored.
    pub fn compression(&self) -> Compression {
        self.traits.compression
    }

    /// Whether the bytes of a file lie outside the repository's object store.
    pub fn is_external(&self) -> bool {
        self.traits.external
    }

    /// Whether reads go around the page cache.
    pub fn is_direct_io(&self) -> bool {
        self.traits.direct_io
    }

    /// Whether listings leave it out.
    pub fn is_hidden(&self) -> bool {
        self.traits.hidden
    }

    /// The part that it has in joining catalogs.
    pub fn nested_role(&self) -> NestedRole {
        layout::role(self.record.role)
    }

    /// The owned form.
    pub fn to_entry(&self) -> Entry {
        let node = match self.kind() {
            EntryKind::Directory => Node::Directory { size: self.record.size.get() },
            EntryKind::Symlink => Node::Symlink { target: self.link_target().to_vec() },
            EntryKind::Fifo => Node::Fifo,
            EntryKind::Socket => Node::Socket,
            EntryKind::CharacterDevice => Node::CharacterDevice { device: self.device() },
            EntryKind::BlockDevice => Node::BlockDevice { device: self.device() },
            EntryKind::File => Node::File(FileContent {
                size: self.size(),
                compression: self.compression(),
                data: match self.content() {
                    Some(ContentView::Whole(hash)) => FileData::Whole(hash),
                    Some(ContentView::Chunks(chunks)) => FileData::Chunked {
                        algorithm: self.traits.algorithm,
                        chunks: chunks.iter().collect(),
                        whole: chunks.whole,
                    },
                    None => FileData::Chunked {
                        algorithm: self.traits.algorithm,
                        chunks: Vec::new(),
                        whole: None,
                    },
                },
                external: self.is_external(),
                direct_io: self.is_direct_io(),
            }),
        };
        Entry {
            name: EntryName::new(self.name()).ok(),
            metadata: Metadata {
                permissions: self.permissions(),
                uid: self.uid(),
                gid: self.gid(),
                mtime: self.mtime(),
            },
            node,
            hard_link: HardLink { group: self.record.link_group.get(), count: self.link_count() },
            xattrs: self.xattrs(),
            nested: self.nested_role(),
            hidden: self.is_hidden(),
        }
    }

    /// Whether the content of the directory is in another catalog.
    pub(super) fn has_reference(&self) -> bool {
        matches!(self.nested_role(), NestedRole::MountPoint | NestedRole::BindMountPoint)
    }
}

impl<'a> ChunksView<'a> {
    /// How many chunks there are.
    pub fn len(&self) -> usize {
        self.records.len()
    }

    /// Whether there are none: the file is empty.
    pub fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    /// The chunk that holds the byte at `offset` of the file, `None` from its end on.
    pub fn at(&self, offset: u64) -> Option<Chunk> {
        let behind = self.records.partition_point(|record| record.offset.get() <= offset);
        let chunk = self.chunk(self.records.get(behind.checked_sub(1)?)?);
        (offset - chunk.offset < chunk.size).then_some(chunk)
    }

    /// All chunks, in order.
    pub fn iter(&self) -> impl Iterator<Item = Chunk> + use<'a> {
        let view = *self;
        self.records.iter().map(move |record| view.chunk(record))
    }

    /// The object that has the whole content as well, as very old clients need it.
    pub fn whole(&self) -> Option<ContentHash> {
        self.whole
    }

    fn chunk(&self, record: &ChunkRecord) -> Chunk {
        Chunk {
            offset: record.offset.get(),
            size: record.size.get(),
            hash: ContentHash::from_digest(self.traits.algorithm, record.digest),
        }
    }
}
