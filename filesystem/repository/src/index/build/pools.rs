//! Numbers of 32 bits and the ranges of variable parts, bounded.

use crate::EntryKind;
use crate::catalog::{CatalogError, shown};
use crate::index::layout::{EntryRecord, TextRange, Traits};

/// Never a row: takes the place of a draft's index once it has one.
pub(super) const NUMBERED: u32 = u32::MAX;

pub(super) fn kind_of(record: &EntryRecord) -> EntryKind {
    Traits::unpack(record.traits.get()).kind
}

pub(super) fn range_of(pool: &[u8], offset: u32, length: u8) -> &[u8] {
    pool.get(offset as usize..offset as usize + usize::from(length)).unwrap_or_default()
}

/// Appends to a pool; nothing is recorded of nothing.
pub(super) fn append(pool: &mut Vec<u8>, bytes: &[u8]) -> Result<TextRange, CatalogError> {
    if bytes.is_empty() {
        return Ok(TextRange::default());
    }
    let range = TextRange { offset: number(pool.len())?.into(), length: number(bytes.len())?.into() };
    pool.extend_from_slice(bytes);
    Ok(range)
}

/// Numbers of an index have 32 bits. A catalog of the size that is opened stays below; the check makes it certain.
pub(super) fn number(value: usize) -> Result<u32, CatalogError> {
    u32::try_from(value)
        .ok()
        .filter(|&number| number != NUMBERED)
        .ok_or(CatalogError::Index { problem: "it is too large" })
}

pub(super) fn tree_error(problem: &str, name: &[u8]) -> CatalogError {
    CatalogError::Tree { problem: format!("{problem} ('{}')", shown(name)) }
}
