//! Finds every object that the kept revisions need, catalog by catalog, each catalog once.
//!
//! What `bind_mountpoints` names is not followed: those are root catalogs of other revisions, which are kept if they have
//! a tag.

use std::collections::HashSet;
use std::time::Duration;

use varve_content::{ContentHash, ObjectKind, ObjectName, decompress};
use varve_repository::{CatalogError, CatalogReader, FileData, Node};
use varve_store::{Deadline, ObjectStore};

use super::reached::Reached;
use super::{CollectError, CollectProgress};
use crate::check::{metadata_compression, parallel};

/// The most bytes of a catalog, stored or not.
const CATALOG_LIMIT: u64 = 4 << 30;

/// How long one catalog may take to arrive.
const PATIENCE: Duration = Duration::from_secs(600);

/// Catalogs that are handed out to the threads at once.
const ROUND: usize = 256;

/// Adds every object below `roots`; how many catalogs there are.
pub(super) fn mark(
    store: &dyn ObjectStore,
    roots: &HashSet<ContentHash>,
    reached: &Reached,
    threads: usize,
    progress: &dyn CollectProgress,
) -> Result<u64, CollectError> {
    let mut seen = roots.clone();
    let mut open: Vec<ContentHash> = roots.iter().copied().collect();
    while !open.is_empty() {
        let round = open.split_off(open.len().saturating_sub(ROUND));
        for nested in parallel::map(threads, &round, |catalog| visit(store, *catalog, reached, progress)) {
            open.extend(nested?.into_iter().filter(|nested| seen.insert(*nested)));
        }
    }
    Ok(seen.len() as u64)
}

/// Adds a catalog and what it lists; the catalogs nested in it.
fn visit(
    store: &dyn ObjectStore,
    catalog: ContentHash,
    reached: &Reached,
    progress: &dyn CollectProgress,
) -> Result<Vec<ContentHash>, CollectError> {
    let reader = load(store, catalog)?;
    let name = ObjectName::new(catalog, ObjectKind::Catalog);
    let unusable = |source| CollectError::Catalog { name, source };
    reached.insert(&name);
    reader
        .for_each_entry::<CatalogError>(|_, _, entry| {
            let Node::File(file) = &entry.node else { return Ok(()) };
            let add = |hash: &ContentHash, kind| reached.insert(&ObjectName::new(*hash, kind));
            match &file.data {
                FileData::Whole(hash) => add(hash, ObjectKind::File),
                FileData::Chunked { chunks, whole, .. } => {
                    chunks.iter().for_each(|chunk| add(&chunk.hash, ObjectKind::Chunk));
                    whole.iter().for_each(|whole| add(whole, ObjectKind::File));
                }
            }
            Ok(())
        })
        .map_err(unusable)?;
    progress.catalog(reader.root_prefix());
    let nested = reader.nested().map_err(unusable)?;
    Ok(nested.into_iter().map(|reference| reference.hash).collect())
}

/// Opens a catalog.
pub(super) fn load(store: &dyn ObjectStore, catalog: ContentHash) -> Result<CatalogReader, CollectError> {
    let name = ObjectName::new(catalog, ObjectKind::Catalog);
    let stored = store
        .fetch_to_memory(&name, CATALOG_LIMIT, Deadline::after(PATIENCE))
        .map_err(|source| CollectError::Load { name, source })?;
    let plain = decompress(&stored, metadata_compression(&stored), CATALOG_LIMIT as usize)
        .map_err(|source| CollectError::Damaged { name, source })?;
    CatalogReader::from_bytes(plain).map_err(|source| CollectError::Catalog { name, source })
}
