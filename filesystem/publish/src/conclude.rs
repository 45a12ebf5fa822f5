//! The end of every publish: changes and contents become catalogs, history, tags and at last the manifest.

use std::num::NonZeroUsize;
use std::time::{Duration, Instant, SystemTime};

use varve_content::{ContentHash, ObjectKind};
use varve_repository::{HistoryError, PublishedRoot, TagName};

use crate::apply::{Revision, apply};
use crate::base_revision::Base;
use crate::change::ChangeSet;
use crate::error::PublishError;
use crate::head::{NewHead, Publisher, publish_time};
use crate::pipeline::{Contents, PipelineConfig};
use crate::progress::{Phase, Progress};
use crate::publish::{Published, Statistics};
use crate::walk::Warning;

/// A repository that is about to get a new revision.
pub(crate) struct Revising<'a> {
    pub(crate) publisher: &'a Publisher,
    /// A name for the revision, with a description.
    pub(crate) tag: Option<&'a (TagName, String)>,
    pub(crate) threads: NonZeroUsize,
    /// The time of the revision.
    pub(crate) now: SystemTime,
}

impl Revising<'_> {
    /// Refuses a tag that is there, before any work is done for it.
    pub(crate) fn check_tag(&self) -> Result<(), PublishError> {
        match self.tag {
            Some((name, _)) if self.publisher.head.history.tag(name.as_str()).is_some() => {
                Err(HistoryError::Exists { name: name.clone() }.into())
            }
            _ => Ok(()),
        }
    }

    /// How contents are stored, of which `memory` bytes may wait.
    pub(crate) fn pipeline(&self, memory: u64) -> PipelineConfig {
        let settings = &self.publisher.head.settings;
        PipelineConfig {
            algorithm: settings.algorithm,
            compression: settings.compression,
            effort: settings.effort,
            chunks: settings.chunks,
            threads: self.threads,
            budget: memory,
        }
    }
}

/// Makes the revision, unless nothing differs. `remember` is called with the root catalog before the manifest is switched
/// to it: it keeps what this machine has to know of the publish afterwards.
pub(crate) fn conclude(
    revising: &Revising<'_>,
    base: &Base<'_>,
    (changes, contents): (ChangeSet, &Contents),
    remember: impl FnOnce(&ContentHash) -> Result<(), PublishError>,
    progress: &dyn Progress,
    (mut statistics, warnings): (Statistics, Vec<Warning>),
) -> Result<Published, PublishError> {
    let head = &revising.publisher.head;
    let settings = &head.settings;
    let mut clock = Stopwatch(Instant::now());
    if statistics.objects.new > 0 {
        head.store.begin_sync();
    }

    progress.phase(Phase::Catalogs);
    let revision = Revision {
        number: head.manifest.revision + 1,
        published: publish_time(revising.now, head.manifest.published),
        previous: Some(head.manifest.root_catalog),
    };
    let catalogs = apply(settings, revising.threads, &*head.store, base, changes, contents, revision)?;
    statistics.catalogs_written = catalogs.written;
    statistics.catalogs_kept = catalogs.kept;
    statistics.catalog_objects = catalogs.objects;
    statistics.catalogs_time = clock.lap();

    progress.phase(Phase::Commit);
    let mut history = head.history.clone();
    let root = if catalogs.unchanged {
        head.published()
    } else {
        let root = PublishedRoot {
            root_catalog: catalogs.root.hash,
            root_catalog_size: catalogs.root.size.unwrap_or(0),
            revision: revision.number,
            published: revision.published,
        };
        history.advance(&root);
        root
    };
    if let Some((name, description)) = revising.tag {
        history.insert(root.tag(name.clone(), description))?;
    } else if settings.auto_tags && !catalogs.unchanged {
        history.insert(root.tag(history.automatic_name(root.published), ""))?;
    }
    if catalogs.unchanged && revising.tag.is_none() {
        if statistics.objects.new > 0 {
            // Else a store that acknowledges late would have failed unheard.
            head.store.sync()?;
        }
        remember(&catalogs.root.hash)?;
    } else {
        let new = NewHead { root, history, meta_info: head.manifest.meta_info };
        revising.publisher.commit(new, || remember(&catalogs.root.hash))?;
    }
    for kind in [ObjectKind::File, ObjectKind::Chunk] {
        statistics.objects.found(head.store.repeated(kind));
    }
    statistics.catalog_objects.found(head.store.repeated(ObjectKind::Catalog));
    statistics.commit_time = clock.lap();
    Ok(Published {
        revision: root.revision,
        root_catalog: root.root_catalog,
        is_new: !catalogs.unchanged,
        statistics,
        warnings,
    })
}

/// Measures one part after the other.
pub(crate) struct Stopwatch(pub(crate) Instant);

impl Stopwatch {
    pub(crate) fn lap(&mut self) -> Duration {
        let now = Instant::now();
        now - std::mem::replace(&mut self.0, now)
    }
}
