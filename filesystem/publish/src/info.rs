//! What a local repository is: its newest revision, how much it holds, how long its whitelist lasts.

use std::time::SystemTime;

use varve_content::ContentHash;
use varve_repository::{RepositoryName, TreeCounters};

use crate::base_revision::Base;
use crate::error::PublishError;
use crate::head::{Expiry, Head};
use crate::local::LocalRepository;
use crate::settings::Settings;

/// A repository at a glance.
#[derive(Clone, Debug)]
pub struct RepositoryInfo {
    /// Its name.
    pub name: RepositoryName,
    /// The newest revision.
    pub revision: u64,
    /// When it was published, in seconds since 1970.
    pub published: u64,
    /// Its root catalog.
    pub root_catalog: ContentHash,
    /// How much is in it.
    pub counters: TreeCounters,
    /// How many tags there are.
    pub tags: u64,
    /// When the whitelist ends, for people.
    pub whitelist_expiry: String,
    /// Whether it has ended: then nobody can mount the repository.
    pub whitelist_expired: bool,
    /// How it is published.
    pub settings: Settings,
}

/// Looks at a repository.
///
/// # Errors
/// Any [`PublishError`].
pub fn info(local: &LocalRepository, now: SystemTime) -> Result<RepositoryInfo, PublishError> {
    let head = Head::open(local, Expiry::Ignored, now)?;
    let counters = Base::new(&*head.store, Some(head.root())).counters(&head.root())?.total();
    Ok(RepositoryInfo {
        name: local.name.clone(),
        revision: head.manifest.revision,
        published: head.manifest.published,
        root_catalog: head.manifest.root_catalog,
        counters,
        tags: head.history.tags().len() as u64,
        whitelist_expiry: head.whitelist.expiry_text(),
        whitelist_expired: head.whitelist.has_expired(now),
        settings: head.settings,
    })
}
