//! Bundles: neighbouring small files of a catalog that are fetched and kept together, since each by itself costs a request
//! and a file. Which rows belong together follows from the catalog alone; nobody publishes or stores a list of bundles.
//!
//! A bundle ends behind a file whose hash says so (one in 32), or before it would grow too large. So a changed file
//! changes its own bundle and, at most, those up to the next such file: all others keep their keys, and stay in caches,
//! over revisions.

use std::ops::Range;

use varve_content::{Algorithm, ContentHash, Hasher, ObjectKind, ObjectName};
use varve_store::{Batch, ObjectRequest, PlainSize};

use crate::index::{CatalogIndex, ContentView, EntryView};

/// Larger files are not bundled.
const LARGEST_MEMBER: u64 = 256 << 10;

/// A bundle ends behind a file whose digest's last byte has none of these bits: after 32 files on average.
const END_MASK: u8 = 31;

/// Where the bundles of a catalog begin.
pub struct Bundles {
    /// The first row of each, ascending; the last element is the number of rows.
    starts: Box<[u32]>,
}

/// One bundle: its key in caches and its files, in the order of their rows.
pub struct Bundle {
    /// Of the files' hashes, sizes and forms, so that equal files elsewhere make the same bundle.
    pub key: ContentHash,
    /// What to ask the store for, in the order of the rows.
    pub requests: Vec<ObjectRequest>,
    rows: Vec<u32>,
}

impl Bundles {
    /// Looks through all rows.
    pub fn of(index: &CatalogIndex) -> Self {
        let mut starts = vec![0];
        let (mut count, mut bytes, mut algorithm) = (0, 0, None::<Algorithm>);
        for row in 0..index.len() {
            let Some((hash, entry)) = index.entry(row).and_then(|entry| Some((member(&entry)?, entry)))
            else {
                continue;
            };
            let is_full = count == Batch::MOST_OBJECTS || bytes + entry.size() > Bundle::MOST_BYTES;
            if count > 0 && (is_full || algorithm != Some(hash.algorithm())) {
                starts.push(row);
                (count, bytes) = (0, 0);
            }
            count += 1;
            bytes += entry.size();
            algorithm = Some(hash.algorithm());
            if hash.digest().last().is_some_and(|last| last & END_MASK == 0) {
                starts.push(row + 1);
                (count, bytes) = (0, 0);
            }
        }
        if starts.last() != Some(&index.len()) {
            starts.push(index.len());
        }
        Self { starts: starts.into() }
    }

    /// The rows of the bundle that a row lies in, whether or not it is one of its files.
    pub fn around(&self, row: u32) -> Option<Range<u32>> {
        let behind = self.starts.partition_point(|start| *start <= row);
        Some(*self.starts.get(behind.checked_sub(1)?)?..*self.starts.get(behind)?)
    }
}

impl Bundle {
    /// The most bytes of content in a bundle.
    pub const MOST_BYTES: u64 = 2 << 20;

    /// Whether an entry is one of the files that bundles are made of.
    pub fn may_hold(entry: &EntryView<'_>) -> bool {
        member(entry).is_some()
    }

    /// The bundle of these rows; `None` if fewer than two files are in it, which gain nothing by it.
    pub fn of(index: &CatalogIndex, rows: Range<u32>) -> Option<Self> {
        let mut hasher = Hasher::new(Algorithm::Sha1);
        let (mut rows_of_files, mut requests) = (Vec::new(), Vec::new());
        for row in rows {
            let Some((hash, entry)) = index.entry(row).and_then(|entry| Some((member(&entry)?, entry)))
            else {
                continue;
            };
            hasher.update(hash.algorithm().suffix().as_bytes());
            hasher.update(hash.digest());
            hasher.update(&entry.size().to_le_bytes());
            hasher.update(&entry.compression().catalog_code().to_le_bytes());
            rows_of_files.push(row);
            requests.push(ObjectRequest {
                name: ObjectName::new(hash, ObjectKind::File),
                compression: entry.compression(),
                size: PlainSize::Exact(entry.size()),
            });
        }
        let rows = rows_of_files;
        (rows.len() > 1).then(|| Self { key: hasher.finish(), requests, rows })
    }

    /// The place of a row's file among the requests; `None` if it is not in the bundle.
    pub fn position(&self, row: u32) -> Option<usize> {
        self.rows.binary_search(&row).ok()
    }

    /// The files' rows, ascending.
    pub fn rows(&self) -> &[u32] {
        &self.rows
    }
}

/// The hash of a row that is bundled: a small file in one object, under its first name.
fn member(entry: &EntryView<'_>) -> Option<ContentHash> {
    let fits = (1..=LARGEST_MEMBER).contains(&entry.size());
    if !fits || entry.is_external() || entry.first_link_row() != entry.row() {
        return None;
    }
    match entry.content()? {
        ContentView::Whole(hash) => Some(hash),
        ContentView::Chunks(_) => None,
    }
}
