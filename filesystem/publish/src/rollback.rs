//! Goes back to an earlier revision: its tree is published once more, as a new and higher revision.

use std::num::NonZeroUsize;
use std::time::SystemTime;

use varve_repository::{CatalogReference, PREVIOUS_HEAD, PublishedRoot, RepositoryPath, Tag};

use crate::apply::{Revision, repeat};
use crate::base_revision::Base;
use crate::error::PublishError;
use crate::head::{Expiry, NewHead, Publisher, publish_time};
use crate::local::LocalRepository;
use crate::tag::unknown;

/// What a roll-back did.
#[derive(Clone, Debug)]
pub struct RolledBack {
    /// The new revision.
    pub revision: u64,
    /// Its root catalog.
    pub root_catalog: varve_content::ContentHash,
    /// The tag that names it now.
    pub tag: String,
    /// The tags of later revisions, which are gone.
    pub removed: Vec<Tag>,
}

/// Goes back to the revision with the tag `to`, or to the one before the newest.
///
/// # Errors
/// [`PublishError::History`] if there is no such tag, [`PublishError::AlreadyThere`] and [`PublishError::Branch`]; any
/// other [`PublishError`].
pub fn roll_back(
    local: &LocalRepository,
    to: Option<&str>,
    now: SystemTime,
) -> Result<RolledBack, PublishError> {
    let publisher = Publisher::open(local, Expiry::Refused, now)?;
    local.refuse_in_transaction()?;
    let head = &publisher.head;
    let to = to.unwrap_or(PREVIOUS_HEAD);
    let target = head.history.tag(to).ok_or_else(|| unknown(to))?;
    if !target.branch.is_empty() {
        return Err(PublishError::Branch { tag: to.to_owned(), branch: target.branch.clone() });
    }
    if target.root_catalog == head.manifest.root_catalog {
        return Err(PublishError::AlreadyThere { tag: to.to_owned() });
    }
    let reference = CatalogReference {
        path: RepositoryPath::ROOT,
        hash: target.root_catalog,
        size: Some(target.root_catalog_size).filter(|size| *size > 0),
    };
    let revision = Revision {
        number: head.manifest.revision + 1,
        published: publish_time(now, head.manifest.published),
        previous: Some(head.manifest.root_catalog),
    };
    let base = Base::new(&*head.store, Some(reference));
    let catalogs = repeat(&head.settings, NonZeroUsize::MIN, &*head.store, &base, revision)?;
    let root = PublishedRoot {
        root_catalog: catalogs.root.hash,
        root_catalog_size: catalogs.root.size.unwrap_or(0),
        revision: revision.number,
        published: revision.published,
    };
    let mut history = head.history.clone();
    let removed = history.roll_back(to, &root)?;
    let new = NewHead { root, history, meta_info: head.manifest.meta_info };
    publisher.commit(new, || Ok(()))?;
    Ok(RolledBack { revision: root.revision, root_catalog: root.root_catalog, tag: to.to_owned(), removed })
}
