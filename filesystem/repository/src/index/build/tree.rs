//! The numbered rows of an index in the making: hard links, references to other catalogs, and the bytes in the end.

use std::collections::HashMap;

use zerocopy::IntoBytes as _;

use super::pools::{append, kind_of, number, tree_error};
use crate::catalog::{CatalogError, CatalogReader, CatalogReference, TreeCounters, shown};
use crate::index::layout::{
    self, ChunkRecord, EntryRecord, HashRecord, Header, MAGIC, ReferenceRecord, Traits,
};
use crate::index::rows::Rows;
use crate::{EntryKind, NestedRole, RepositoryPath};

/// The rows with their numbers.
pub(super) struct Tree {
    pub(super) records: Vec<EntryRecord>,
    pub(super) names: Vec<u8>,
    pub(super) texts: Vec<u8>,
    pub(super) chunks: Vec<ChunkRecord>,
}

impl Tree {
    pub(super) fn push(
        &mut self,
        mut record: EntryRecord,
        parent: u32,
        name: &[u8],
    ) -> Result<(), CatalogError> {
        record.parent = parent.into();
        record.name_offset = append(&mut self.names, name)?.offset;
        self.records.push(record);
        Ok(())
    }

    fn rows(&self) -> Rows<'_> {
        Rows { records: &self.records, names: &self.names }
    }

    pub(super) fn name(&self, row: u32) -> &[u8] {
        let rows = self.rows();
        rows.record(row).map_or(b"", |record| rows.name(record))
    }

    /// Finds the row that stands for each group of hard links. Names that claim the same group but differ in what they
    /// are, as they do in damaged catalogs, stand for themselves.
    pub(super) fn find_first_links(&mut self) {
        let mut first_rows: HashMap<u32, u32> = HashMap::new();
        for row in 0..self.records.len() as u32 {
            let record = &self.records[row as usize];
            if kind_of(record) == EntryKind::Directory {
                continue;
            }
            let mut first = row;
            if record.link_group.get() != 0 {
                first = *first_rows.entry(record.link_group.get()).or_insert(row);
                if !self.is_same_file(record, &self.records[first as usize]) {
                    first = row;
                }
            }
            self.records[row as usize].first_link_or_hidden = first.into();
        }
    }

    fn is_same_file(&self, one: &EntryRecord, other: &EntryRecord) -> bool {
        let fixed = |record: &EntryRecord| {
            let traits = Traits { hidden: false, ..Traits::unpack(record.traits.get()) };
            let owner = (record.uid.get(), record.gid.get(), record.permissions.get());
            let time = (record.mtime.get(), record.nanoseconds.get());
            (traits.pack(), owner, time, record.size.get(), record.link_count.get(), record.digest)
        };
        let text =
            |offset: u32, length: u32| self.texts.get(offset as usize..offset as usize + length as usize);
        let xattrs = |record: &EntryRecord| text(record.xattrs.offset.get(), record.xattrs.length.get());
        let chunks = |record: &EntryRecord| {
            let first = record.first.get() as usize;
            self.chunks.get(first..first + record.count.get() as usize).map(<[ChunkRecord]>::as_bytes)
        };
        fixed(one) == fixed(other)
            && xattrs(one) == xattrs(other)
            && match kind_of(one) {
                EntryKind::Symlink => {
                    text(one.first.get(), one.count.get()) == text(other.first.get(), other.count.get())
                }
                EntryKind::File => chunks(one) == chunks(other),
                _ => true,
            }
    }

    /// The references to other catalogs, in the order of the rows of their directories, whose roles they decide.
    pub(super) fn take_references(
        &mut self,
        reader: &CatalogReader,
    ) -> Result<Vec<ReferenceRecord>, CatalogError> {
        let mut references = Vec::new();
        for (bind, listed) in [(false, reader.nested()?), (true, reader.bind_mount_points()?)] {
            for reference in listed {
                let refuse = |problem| CatalogError::Nested { path: reference.path.to_string(), problem };
                let row = self.mount_point(reader.root_prefix(), &reference)?;
                if row == 0 {
                    return Err(refuse("it is mounted at the root of the catalog that refers to it"));
                }
                let record = &mut self.records[row as usize];
                let role = if bind { NestedRole::BindMountPoint } else { NestedRole::MountPoint };
                record.role = layout::role_code(role);
                references.push(ReferenceRecord {
                    row: row.into(),
                    bind: u8::from(bind),
                    hash: HashRecord::new(Some(&reference.hash)),
                    size: reference.size.unwrap_or(0).into(),
                });
            }
        }
        references.sort_by_key(|reference| reference.row.get());
        if let Some(pair) = references.windows(2).find(|pair| pair[0].row == pair[1].row) {
            return Err(CatalogError::Nested {
                path: shown(self.name(pair[0].row.get())),
                problem: "two catalogs are mounted there",
            });
        }
        let mount_points = self.records.iter().filter(|record| {
            matches!(layout::role(record.role), NestedRole::MountPoint | NestedRole::BindMountPoint)
        });
        if mount_points.count() != references.len() {
            return Err(tree_error("a mount point has no nested catalog", reader.root_prefix().as_bytes()));
        }
        Ok(references)
    }

    fn mount_point(&self, root: &RepositoryPath, reference: &CatalogReference) -> Result<u32, CatalogError> {
        reference
            .path
            .as_bytes()
            .strip_prefix(root.as_bytes())
            .and_then(|rest| self.rows().find_path(rest))
            .filter(|&row| kind_of(&self.records[row as usize]) == EntryKind::Directory)
            .ok_or_else(|| CatalogError::Nested {
                path: reference.path.to_string(),
                problem: "it is not mounted at a directory of the catalog that refers to it",
            })
    }

    pub(super) fn assemble(
        mut self,
        reader: &CatalogReader,
        references: &[ReferenceRecord],
    ) -> Result<Vec<u8>, CatalogError> {
        let properties = reader.properties();
        let counters = reader.counters()?;
        let version = reader.schema_version();
        let root_prefix = append(&mut self.texts, properties.root_prefix.as_bytes())?;
        let authorization =
            append(&mut self.texts, properties.authorization.as_deref().unwrap_or_default().as_bytes())?;
        let values = |part: &TreeCounters| part.values().map(Into::into);
        let header = Header {
            magic: MAGIC,
            entries: number(self.records.len())?.into(),
            chunks: number(self.chunks.len())?.into(),
            references: number(references.len())?.into(),
            names: number(self.names.len())?.into(),
            texts: number(self.texts.len())?.into(),
            schema_hundredths: version.hundredths.into(),
            schema_revision: version.revision.into(),
            volatile: u8::from(properties.volatile),
            has_time_to_live: u8::from(properties.time_to_live.is_some()),
            has_authorization: u8::from(properties.authorization.is_some()),
            previous: HashRecord::new(properties.previous.as_ref()),
            revision: properties.revision.into(),
            last_modified: properties.last_modified.into(),
            time_to_live: properties.time_to_live.map_or(0, |ttl| ttl.as_secs()).into(),
            root_prefix,
            authorization,
            own_counters: values(&counters.self_),
            subtree_counters: values(&counters.subtree),
        };
        let sections = [
            header.as_bytes(),
            self.records.as_bytes(),
            self.chunks.as_bytes(),
            references.as_bytes(),
            &self.names,
            &self.texts,
        ];
        Ok(sections.concat())
    }
}
