//! Walking over the rows of an index: children, parents, search by name. Works on an index and on one in the making.

use std::cmp::Ordering;
use std::ops::Range;

use super::layout::{EntryRecord, Traits};
use crate::EntryKind;

/// The rows with their names. Every access is checked: damaged numbers lead to nothing, never out of bounds.
#[derive(Clone, Copy)]
pub(super) struct Rows<'a> {
    pub(super) records: &'a [EntryRecord],
    pub(super) names: &'a [u8],
}

impl<'a> Rows<'a> {
    pub(super) fn record(&self, row: u32) -> Option<&'a EntryRecord> {
        self.records.get(row as usize)
    }

    pub(super) fn name(&self, record: &EntryRecord) -> &'a [u8] {
        let start = record.name_offset.get() as usize;
        self.names.get(start..start + usize::from(record.name_length)).unwrap_or_default()
    }

    /// The directory that a row is in; `None` for the root. A parent's number is smaller: every walk up ends.
    pub(super) fn parent(&self, row: u32) -> Option<u32> {
        self.record(row).map(|record| record.parent.get()).filter(|&parent| parent < row)
    }

    /// The rows of the visible and of the hidden children of a directory; `None` for anything else.
    pub(super) fn children(&self, row: u32) -> Option<(Range<u32>, Range<u32>)> {
        let record = self.record(row)?;
        if Traits::unpack(record.traits.get()).kind != EntryKind::Directory {
            return None;
        }
        let first = record.first.get();
        let end = first.checked_add(record.count.get())?;
        let end_of_hidden = end.checked_add(record.first_link_or_hidden.get())?;
        (end_of_hidden as usize <= self.records.len()).then_some((first..end, end..end_of_hidden))
    }

    /// The child of that name, hidden or not.
    pub(super) fn find(&self, row: u32, name: &[u8]) -> Option<u32> {
        let (children, hidden) = self.children(row)?;
        self.search(children, name).or_else(|| self.search(hidden, name))
    }

    /// The row at a path below the root: empty, or a `/` before every name.
    pub(super) fn find_path(&self, path: &[u8]) -> Option<u32> {
        if path.is_empty() {
            return Some(0);
        }
        path.strip_prefix(b"/")?.split(|&byte| byte == b'/').try_fold(0, |row, name| self.find(row, name))
    }

    fn search(&self, rows: Range<u32>, name: &[u8]) -> Option<u32> {
        let records = self.records.get(rows.start as usize..rows.end as usize)?;
        let found = records.binary_search_by(|record| {
            let start = record.name_offset.get() as usize;
            self.names
                .get(start..start + usize::from(record.name_length))
                .map_or(Ordering::Less, |other| other.cmp(name))
        });
        found.ok().map(|position| rows.start + position as u32)
    }
}
