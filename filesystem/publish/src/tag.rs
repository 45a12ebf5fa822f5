//! Tags: names for revisions, added, removed and listed. The tree of the repository stays as it is.

use std::time::SystemTime;

use varve_repository::{HistoryError, PublishedRoot, Tag, TagName};

use crate::error::PublishError;
use crate::head::{Expiry, Head, NewHead, Publisher};
use crate::local::LocalRepository;

/// All tags, the newest first.
///
/// # Errors
/// Any [`PublishError`].
pub fn list_tags(local: &LocalRepository, now: SystemTime) -> Result<Vec<Tag>, PublishError> {
    let head = Head::open(local, Expiry::Ignored, now)?;
    Ok(head.history.newest_first().into_iter().cloned().collect())
}

/// Names the revision that has the tag `of`, or the newest one.
///
/// # Errors
/// [`PublishError::History`] if the name is taken or reserved, or there is no such revision; any other
/// [`PublishError`].
pub fn add_tag(
    local: &LocalRepository,
    name: &TagName,
    description: &str,
    of: Option<&str>,
    now: SystemTime,
) -> Result<Tag, PublishError> {
    let publisher = Publisher::open(local, Expiry::Refused, now)?;
    let mut history = publisher.head.history.clone();
    let revision = match of {
        None => publisher.head.published(),
        Some(tag) => {
            let tag = history.tag(tag).ok_or_else(|| unknown(tag))?;
            PublishedRoot {
                root_catalog: tag.root_catalog,
                root_catalog_size: tag.root_catalog_size,
                revision: tag.revision,
                published: tag.published,
            }
        }
    };
    let tag = revision.tag(name.clone(), description);
    history.insert(tag.clone())?;
    commit(&publisher, history)?;
    Ok(tag)
}

/// Makes a tag name the revision that the tag `of` names, whatever it has named before.
///
/// # Errors
/// [`PublishError::History`] if the name is reserved, or there is no such revision; any other [`PublishError`].
pub fn move_tag(
    local: &LocalRepository,
    name: &TagName,
    description: &str,
    of: &TagName,
    now: SystemTime,
) -> Result<Tag, PublishError> {
    let publisher = Publisher::open(local, Expiry::Refused, now)?;
    let mut history = publisher.head.history.clone();
    let mut tag = history.tag(of.as_str()).ok_or_else(|| unknown(of.as_str()))?.clone();
    tag.name = name.clone();
    tag.description = description.to_owned();
    if ![varve_repository::HEAD, varve_repository::PREVIOUS_HEAD].contains(&name.as_str()) {
        history.remove(name.as_str());
    }
    history.insert(tag.clone())?;
    commit(&publisher, history)?;
    Ok(tag)
}

/// Removes tags: all of them or, if one is missing or reserved, none.
///
/// # Errors
/// [`PublishError::History`] for the first that can't be removed; any other [`PublishError`].
pub fn remove_tags(
    local: &LocalRepository,
    names: &[TagName],
    now: SystemTime,
) -> Result<Vec<Tag>, PublishError> {
    let publisher = Publisher::open(local, Expiry::Refused, now)?;
    let mut history = publisher.head.history.clone();
    let mut removed = Vec::new();
    for name in names {
        if [varve_repository::HEAD, varve_repository::PREVIOUS_HEAD].contains(&name.as_str()) {
            return Err(HistoryError::Reserved { name: name.clone() }.into());
        }
        removed.push(history.remove(name.as_str()).ok_or_else(|| unknown(name.as_str()))?);
    }
    commit(&publisher, history)?;
    Ok(removed)
}

/// The same revision with other tags.
fn commit(publisher: &Publisher, history: varve_repository::History) -> Result<(), PublishError> {
    let head = &publisher.head;
    let new = NewHead { root: head.published(), history, meta_info: head.manifest.meta_info };
    publisher.commit(new, || Ok(()))?;
    Ok(())
}

pub(crate) fn unknown(tag: &str) -> HistoryError {
    HistoryError::Unknown { name: tag.chars().take(60).collect() }
}
