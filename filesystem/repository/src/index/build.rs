//! Builds an index from the rows of a catalog, refusing everything that is no tree under the catalog's root.
//!
//! The rows are scanned once into drafts; from the root on, each directory's children are found by its key, sorted by
//! name and numbered; whatever has no number then is an orphan or lies on a loop.

mod pools;
mod tree;

use varve_content::PathKey;

use self::pools::{NUMBERED, append, kind_of, number, range_of, tree_error};
use self::tree::Tree;
use super::layout::{self, ChunkRecord, EntryRecord, TextRange, Traits};
use super::view::CatalogIndex;
use crate::catalog::{CatalogError, CatalogReader, ChunkTable, Row, shown};
use crate::{EntryKind, RepositoryPath};

/// The most bytes of a path inside one catalog: far beyond what any kernel resolves, and a bound for chains of
/// directories that were made to be endless.
const LONGEST_PATH: u32 = 64 << 10;

impl CatalogIndex {
    /// Builds the bytes of the index of a catalog that was referred to as the one of `expected_root_prefix`.
    ///
    /// # Errors
    /// [`CatalogError`] if a row can't be; if the catalog is that of another directory; if rows can't be reached from the
    /// root or can be reached twice; if a directory has the same name twice; if the chunks of a file leave gaps,
    /// overlap or do not sum up to its size; if a nested catalog is mounted at the catalog's own root or at something
    /// that is not a directory of this catalog, or is missing where one should be.
    pub fn build(
        reader: &CatalogReader,
        expected_root_prefix: &RepositoryPath,
    ) -> Result<Vec<u8>, CatalogError> {
        if reader.root_prefix() != expected_root_prefix {
            return Err(CatalogError::WrongRoot {
                expected: expected_root_prefix.to_string(),
                actual: reader.root_prefix().to_string(),
            });
        }
        let drafts = Drafts::collect(reader)?;
        let mut tree = drafts.into_tree()?;
        tree.find_first_links();
        let references = tree.take_references(reader)?;
        tree.assemble(reader, &references)
    }
}

/// The rows as they come. Names lie in their order, everything else is in the form of the index already.
struct Drafts {
    root: Option<Draft>,
    rows: Vec<Draft>,
    names: Vec<u8>,
    texts: Vec<u8>,
    chunks: Vec<ChunkRecord>,
}

struct Draft {
    key: PathKey,
    parent: PathKey,
    record: EntryRecord,
}

impl Drafts {
    fn collect(reader: &CatalogReader) -> Result<Self, CatalogError> {
        let root_key = reader.root_prefix().key();
        let chunk_table = reader.chunk_table()?;
        let mut drafts =
            Self { root: None, rows: Vec::new(), names: Vec::new(), texts: Vec::new(), chunks: Vec::new() };
        reader.for_each_row(|row| {
            let record = drafts.record(row, &chunk_table)?;
            let draft = Draft { key: row.key, parent: row.parent, record };
            if row.key == root_key && drafts.root.is_none() {
                drafts.root = Some(draft);
            } else if row.name.is_empty() {
                return Err(tree_error("an entry has no name", b"/"));
            } else {
                drafts.rows.push(draft);
            }
            Ok(())
        })?;
        Ok(drafts)
    }

    /// The record of a row, but for the numbers of other rows; its variable parts go to the pools.
    fn record(&mut self, row: &Row<'_>, chunk_table: &ChunkTable) -> Result<EntryRecord, CatalogError> {
        let name = append(&mut self.names, row.name)?;
        let content = match row.kind {
            EntryKind::Symlink => append(&mut self.texts, row.target)?,
            EntryKind::File if row.chunked => self.append_chunks(row, chunk_table)?,
            _ => TextRange::default(),
        };
        let traits = Traits {
            kind: row.kind,
            algorithm: row.algorithm,
            compression: row.compression,
            chunked: row.chunked,
            has_digest: row.hash.is_some(),
            external: row.external,
            direct_io: row.direct_io,
            hidden: row.hidden,
            has_nanoseconds: row.metadata.mtime.nanoseconds.is_some(),
        };
        Ok(EntryRecord {
            parent: 0.into(),
            name_offset: name.offset,
            name_length: row.name.len() as u8,
            role: layout::role_code(row.nested),
            permissions: (row.metadata.permissions as u16).into(),
            traits: traits.pack().into(),
            uid: row.metadata.uid.into(),
            gid: row.metadata.gid.into(),
            size: row.size.into(),
            mtime: row.metadata.mtime.seconds.into(),
            nanoseconds: row.metadata.mtime.nanoseconds.unwrap_or(0).into(),
            link_group: row.hard_link.group.into(),
            link_count: row.hard_link.count.into(),
            first_link_or_hidden: 0.into(),
            first: content.offset,
            count: content.length,
            xattrs: append(&mut self.texts, row.xattrs)?,
            digest: row.hash.map_or([0; 20], |hash| *hash.digest()),
        })
    }

    fn append_chunks(&mut self, row: &Row<'_>, chunk_table: &ChunkTable) -> Result<TextRange, CatalogError> {
        let refuse = |problem| Err(CatalogError::Row { name: shown(row.name), problem });
        let first = self.chunks.len();
        let mut end = 0_u64;
        for chunk in chunk_table.of(row) {
            if chunk.offset != end {
                return refuse("its chunks leave a gap or overlap");
            }
            let Some(next) = end.checked_add(chunk.size) else { return refuse("its chunks are too large") };
            end = next;
            self.chunks.push(ChunkRecord {
                offset: chunk.offset.into(),
                size: chunk.size.into(),
                digest: *chunk.hash.digest(),
            });
        }
        if end != row.size {
            return refuse("its chunks do not sum up to its size");
        }
        Ok(TextRange { offset: number(first)?.into(), length: number(self.chunks.len() - first)?.into() })
    }

    /// Numbers the rows breadth first, the children of each directory by name with hidden ones last.
    fn into_tree(mut self) -> Result<Tree, CatalogError> {
        let root = self.root.take().ok_or_else(|| tree_error("it has no row of its root", b"/"))?;
        if kind_of(&root.record) != EntryKind::Directory {
            return Err(tree_error("its root is no directory", b"/"));
        }
        let mut by_parent: Vec<(PathKey, u32)> = Vec::with_capacity(self.rows.len());
        for (index, draft) in self.rows.iter().enumerate() {
            by_parent.push((draft.parent, number(index)?));
        }
        by_parent.sort_unstable();
        let mut tree = Tree {
            records: Vec::with_capacity(self.rows.len() + 1),
            names: Vec::with_capacity(self.names.len()),
            texts: self.texts,
            chunks: self.chunks,
        };
        let old_names = self.names;
        let name_of =
            |draft: &Draft| range_of(&old_names, draft.record.name_offset.get(), draft.record.name_length);
        // What each row has been in the drafts, and how long the path to it is.
        let mut keys = vec![root.key];
        let mut depths = vec![0_u32];
        tree.push(root.record, 0, name_of(&root))?;
        let mut group = Vec::new();
        let mut row = 0;
        while (row as usize) < tree.records.len() {
            let index = row as usize;
            if kind_of(&tree.records[index]) == EntryKind::Directory {
                let start = by_parent.partition_point(|(parent, _)| *parent < keys[index]);
                let end = start + by_parent[start..].partition_point(|(parent, _)| *parent == keys[index]);
                group.clear();
                for (_, draft) in &mut by_parent[start..end] {
                    group.push(*draft);
                    *draft = NUMBERED;
                }
                if group.first() == Some(&NUMBERED) {
                    return Err(tree_error("two directories have the same key", tree.name(row)));
                }
                group.sort_unstable_by(|&left, &right| {
                    name_of(&self.rows[left as usize]).cmp(name_of(&self.rows[right as usize]))
                });
                let twins = group.windows(2).find(|pair| {
                    name_of(&self.rows[pair[0] as usize]) == name_of(&self.rows[pair[1] as usize])
                });
                if let Some(pair) = twins {
                    return Err(tree_error("a name comes twice", name_of(&self.rows[pair[0] as usize])));
                }
                let is_hidden =
                    |draft: u32| Traits::unpack(self.rows[draft as usize].record.traits.get()).hidden;
                group.sort_by_key(|&draft| is_hidden(draft));
                let visible = group.partition_point(|&draft| !is_hidden(draft));
                let record = &mut tree.records[index];
                record.first = number(keys.len())?.into();
                record.count = number(visible)?.into();
                record.first_link_or_hidden = number(group.len() - visible)?.into();
                for &draft in &group {
                    let draft = &self.rows[draft as usize];
                    let depth = depths[index] + 1 + u32::from(draft.record.name_length);
                    if depth > LONGEST_PATH {
                        return Err(tree_error("a path is too long", name_of(draft)));
                    }
                    keys.push(draft.key);
                    depths.push(depth);
                    tree.push(draft.record, row, name_of(draft))?;
                }
            }
            row += 1;
        }
        match by_parent.iter().find(|(_, draft)| *draft != NUMBERED) {
            Some((_, orphan)) => Err(tree_error(
                "an entry can't be reached from the root",
                name_of(&self.rows[*orphan as usize]),
            )),
            None => Ok(tree),
        }
    }
}
