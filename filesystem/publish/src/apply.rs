//! Applies a change list to a revision: base, changes and contents in, root catalog out. Nothing here knows where the
//! changes come from, and nothing is visible to anyone until [`crate::commit`] switches the manifest.

use std::cell::Cell;
use std::num::NonZeroUsize;

use varve_content::{ContentHash, ObjectKind};
use varve_repository::{CatalogProperties, Entry, FileContent, Node};
use varve_store::ObjectStore;

use crate::base_revision::{Base, BaseError};
use crate::catalogs::{self, CatalogConfig, CatalogsError, WrittenCatalogs};
use crate::change::{Change, ChangeSet, DirectoryChange};
use crate::dirtab::{DIRTAB_NAME, Dirtab, DirtabError};
use crate::merge::{self, MergeError};
use crate::nesting::Rules;
use crate::pipeline::{Contents, ObjectError, ObjectWriter};
use crate::settings::Settings;

/// The largest dirtab that is read, in bytes.
const DIRTAB_LIMIT: u64 = 1 << 20;

/// Why a change list can't be applied.
#[derive(Debug, thiserror::Error)]
pub enum ApplyError {
    /// The base revision can't be read.
    #[error(transparent)]
    Base(#[from] BaseError),
    /// The change list does not fit to the base revision.
    #[error(transparent)]
    Merge(#[from] MergeError),
    /// The dirtab can't be understood.
    #[error(transparent)]
    Dirtab(#[from] DirtabError),
    /// The dirtab is too large.
    #[error(".cvmfsdirtab has more than {DIRTAB_LIMIT} bytes")]
    DirtabSize,
    /// The marker's object can't be stored.
    #[error("cannot store the marker of nested catalogs")]
    Marker(#[source] ObjectError),
    /// A catalog can't be written.
    #[error(transparent)]
    Catalogs(#[from] CatalogsError),
}

/// The revision that is made.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Revision {
    pub(crate) number: u64,
    /// Seconds since 1970.
    pub(crate) published: u64,
    /// The root catalog that it follows.
    pub(crate) previous: Option<ContentHash>,
}

/// Applies `changes` and writes the touched catalogs.
pub(crate) fn apply(
    settings: &Settings,
    threads: NonZeroUsize,
    store: &dyn ObjectStore,
    base: &Base<'_>,
    changes: ChangeSet,
    contents: &Contents,
    revision: Revision,
) -> Result<WrittenCatalogs, ApplyError> {
    let (before, after) = dirtabs(base, &changes, contents)?;
    let dirtab = match &after {
        None => Dirtab::default(),
        Some(content) => Dirtab::parse(&base.read(content, DIRTAB_LIMIT)?.ok_or(ApplyError::DirtabSize)?)?,
    };
    let mut objects = ObjectWriter::new(store, settings.algorithm, settings.compression, settings.effort);
    let empty = objects.hash(&[]).map_err(|error| ApplyError::Marker(error.into()))?;
    let mut tree = merge::merge(base, changes.root, contents, before != after)?;
    let empty = (empty, settings.compression);
    let rules = Rules { nesting: settings.nesting, dirtab: &dirtab, empty, marked: Cell::new(false) };
    if rules.apply(&mut tree) {
        // It has to be there before a catalog refers to it.
        objects.write(ObjectKind::File, &[]).map_err(ApplyError::Marker)?;
    }
    let config = catalog_config(settings, threads, revision);
    Ok(catalogs::write(&config, store, base, &tree)?)
}

/// Makes a revision of the same tree as the base revision, nothing but its root catalog being new.
pub(crate) fn repeat(
    settings: &Settings,
    threads: NonZeroUsize,
    store: &dyn ObjectStore,
    base: &Base<'_>,
    revision: Revision,
) -> Result<WrittenCatalogs, ApplyError> {
    let tree = merge::merge(base, DirectoryChange::default(), &Contents::default(), false)?;
    let config = CatalogConfig { always: true, ..catalog_config(settings, threads, revision) };
    Ok(catalogs::write(&config, store, base, &tree)?)
}

fn catalog_config(settings: &Settings, threads: NonZeroUsize, revision: Revision) -> CatalogConfig {
    CatalogConfig {
        algorithm: settings.algorithm,
        effort: settings.effort,
        threads,
        root: CatalogProperties {
            revision: revision.number,
            last_modified: revision.published,
            previous: revision.previous,
            time_to_live: Some(settings.ttl),
            volatile: settings.volatile,
            ..CatalogProperties::default()
        },
        always: false,
    }
}

/// The dirtab of the base revision and that of the new one.
fn dirtabs(
    base: &Base<'_>,
    changes: &ChangeSet,
    contents: &Contents,
) -> Result<(Option<FileContent>, Option<FileContent>), BaseError> {
    let file = |entry: &Entry| match &entry.node {
        Node::File(content) => Some(content.clone()),
        _ => None,
    };
    let root = base.root()?;
    let before = root.as_ref().and_then(|root| root.child(DIRTAB_NAME)).and_then(file);
    let change = changes.root.names.iter().find(|(name, _)| name.as_bytes() == DIRTAB_NAME);
    let after = match change {
        None if changes.root.opaque => None,
        None => before.clone(),
        Some((_, Change::Remove | Change::Directory(_))) => None,
        Some((_, Change::Put(put))) => match put.content {
            None => file(&put.entry),
            Some(ticket) => contents.get(ticket).map(|(_, content)| content.clone()),
        },
    };
    Ok((before, after))
}

#[cfg(test)]
mod fixtures;
#[cfg(test)]
mod tests;
