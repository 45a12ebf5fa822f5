//! Which revisions are kept, and which automatic tags go.
//!
//! Kept are: the newest revision; every revision with a tag, unless all its tags are automatic; what [`Keep`] says. The
//! automatic tags of the others go with them.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::num::NonZeroU64;

use jiff::civil::DateTime;
use varve_content::{ContentHash, ObjectKind};
use varve_repository::{Reflog, Tag, TagName};
use varve_store::StoreError;

use super::mark::load;
use super::{CollectError, CollectRequest};
use crate::check::parallel;
use crate::error::PublishError;
use crate::head::Head;

/// Which revisions are kept beside those with tags.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keep {
    /// The newest so many, counted by their numbers.
    Revisions(NonZeroU64),
    /// Those that were the newest at this time, in seconds since 1970, or later: whoever has looked for a new revision
    /// since then finds everything that he still reads.
    Since(u64),
}

/// What stays and what goes.
pub(super) struct Retention {
    /// The root catalogs that are kept.
    pub(super) roots: HashSet<ContentHash>,
    /// How many others are in the log.
    pub(super) dropped: u64,
    /// The automatic tags of those.
    pub(super) pruned: Vec<TagName>,
    /// Histories and descriptions that were logged before are not needed any more, in seconds since 1970.
    pub(super) since: u64,
}

/// A root catalog of the log.
#[derive(Clone, Copy)]
struct Known {
    root: ContentHash,
    revision: u64,
    logged: u64,
}

pub(super) fn decide(
    head: &Head,
    reflog: &Reflog,
    request: &CollectRequest,
) -> Result<Retention, PublishError> {
    let known = read_revisions(head, reflog, request.threads.get())?;
    let newest = head.manifest.revision;
    let (window, since) = match request.keep {
        Keep::Revisions(number) => {
            let first = newest.saturating_sub(number.get() - 1);
            let window: Vec<Known> = known.iter().filter(|known| known.revision >= first).copied().collect();
            let since = window.iter().map(|known| known.logged).min();
            (window, since.unwrap_or(head.manifest.published))
        }
        Keep::Since(time) => (newest_since(&known, time), time),
    };
    let mut roots: HashSet<ContentHash> = window.iter().map(|known| known.root).collect();
    roots.insert(head.manifest.root_catalog);
    let (automatic, named): (Vec<&Tag>, Vec<&Tag>) =
        head.history.tags().iter().partition(|tag| is_automatic(tag));
    roots.extend(named.iter().map(|tag| tag.root_catalog));
    let pruned = automatic.into_iter().filter(|tag| !roots.contains(&tag.root_catalog));
    let pruned = pruned.map(|tag| tag.name.clone()).collect();
    let dropped = catalogs(reflog).filter(|(root, _)| !roots.contains(root)).count() as u64;
    Ok(Retention { roots, dropped, pruned, since })
}

fn catalogs(reflog: &Reflog) -> impl Iterator<Item = (ContentHash, u64)> {
    let catalogs = reflog.objects().iter().filter(|object| object.name.kind == ObjectKind::Catalog);
    catalogs.map(|object| (object.name.hash, object.logged))
}

/// The revisions of the log that were published and are stored still. The log doesn't tell their numbers: tags do, or the
/// catalog itself.
fn read_revisions(head: &Head, reflog: &Reflog, threads: usize) -> Result<Vec<Known>, CollectError> {
    let mut numbers: HashMap<ContentHash, u64> =
        head.history.tags().iter().map(|tag| (tag.root_catalog, tag.revision)).collect();
    numbers.insert(head.manifest.root_catalog, head.manifest.revision);
    let logged: Vec<(ContentHash, u64)> = catalogs(reflog).collect();
    let read = parallel::map(threads, &logged, |&(root, logged)| {
        let revision = match numbers.get(&root) {
            Some(revision) => *revision,
            None => match load(&*head.store, root) {
                Ok(catalog) => catalog.properties().revision,
                // Nothing is left of it to be kept.
                Err(CollectError::Load { source: StoreError::NotFound { .. }, .. }) => return Ok(None),
                Err(error) => return Err(error),
            },
        };
        // One with a number that is yet to come was written by a publish that was killed.
        Ok(Some(Known { root, revision, logged }).filter(|known| known.revision <= head.manifest.revision))
    });
    Ok(read.into_iter().collect::<Result<Vec<_>, _>>()?.into_iter().flatten().collect())
}

/// The revisions that were not followed by another one before `time`.
fn newest_since(known: &[Known], time: u64) -> Vec<Known> {
    let mut logged: BTreeMap<u64, u64> = BTreeMap::new();
    for known in known {
        let latest = logged.entry(known.revision).or_default();
        *latest = known.logged.max(*latest);
    }
    let is_kept = |known: &&Known| {
        let next = logged.range(known.revision + 1..).next();
        next.is_none_or(|(_, followed)| *followed >= time)
    };
    known.iter().filter(is_kept).copied().collect()
}

/// Whether a publish has made the tag by itself: `generic-2026-11-21T00:36:09Z`, with something behind it where that was
/// taken, and without a description.
fn is_automatic(tag: &Tag) -> bool {
    let time = |name: &str| {
        let (time, rest) = name.strip_prefix("generic-")?.split_once('Z')?;
        let time = time.split_once('.').map_or(time, |(seconds, _)| seconds);
        (rest.is_empty() || rest.starts_with('_')).then(|| time.parse::<DateTime>().ok())?
    };
    tag.branch.is_empty() && tag.description.is_empty() && time(tag.name.as_str()).is_some()
}

#[cfg(test)]
mod tests {
    use varve_content::Algorithm;

    use super::*;

    #[test]
    fn a_revision_is_kept_for_as_long_as_somebody_may_still_read_it() {
        let known =
            |revision: u64, logged| Known { root: Algorithm::Sha1.hash(&[revision as u8]), revision, logged };
        let all = [known(3, 100), known(1, 10), known(7, 200), known(4, 150)];
        let kept = |time| {
            let mut kept: Vec<u64> = newest_since(&all, time).iter().map(|known| known.revision).collect();
            kept.sort_unstable();
            kept
        };
        assert_eq!(kept(0), [1, 3, 4, 7]);
        assert_eq!(kept(100), [1, 3, 4, 7]);
        assert_eq!(kept(101), [3, 4, 7]);
        assert_eq!(kept(200), [4, 7]);
        assert_eq!(kept(201), [7]);
        assert_eq!(kept(u64::MAX), [7]);
    }

    #[test]
    fn automatic_tags_are_told_from_those_that_people_make() {
        let tag = |name: &str, description: &str, branch: &str| Tag {
            name: name.parse().expect("a tag"),
            root_catalog: Algorithm::Sha1.hash(b""),
            root_catalog_size: 0,
            revision: 1,
            published: 0,
            description: description.to_owned(),
            branch: branch.to_owned(),
        };
        for name in [
            "generic-2026-11-21T00:36:09Z",
            "generic-2026-11-21T00:36:09Z_2",
            "generic-2026-11-21T00:36:09.123Z",
        ] {
            assert!(is_automatic(&tag(name, "", "")), "{name}");
            assert!(!is_automatic(&tag(name, "of mine", "")));
            assert!(!is_automatic(&tag(name, "", "branch")));
        }
        for name in [
            "v1",
            "trunk",
            "trunk-previous",
            "generic-v1",
            "generic-2026-11-21",
            "generic-2026-11-21T00:36:09Zulu",
        ] {
            assert!(!is_automatic(&tag(name, "", "")), "{name}");
        }
    }
}
