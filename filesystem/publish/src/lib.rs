//! A tree becomes a new revision of a repository.
//!
//! ```text
//!  walk ─▶ ChangeSet ─▶ merge ─▶ nesting ─▶ catalogs ─▶ head (history, reflog, manifest)
//!    └─▶ pipeline ─▶ contents ─┘                          each step needs only what the one before left
//! ```
//!
//! Entry points: [`create`], [`publish`], [`ingest`], [`ingest_container`], [`Transaction`], [`add_tag`], [`roll_back`], [`resign`], [`info`], [`check`],
//! [`diff`], [`collect`].
//!
//! Invariants:
//! - The manifest is switched last, in one rename, after a sync. Killed before that, the old revision is the valid one, and
//!   the next publish goes on from there.
//! - The cost follows the change: what is not changed is neither read nor written, down to nested catalogs.
//! - The same tree at the same time over the same revision gives the same root hash, whatever the threads do.
//! - No clock, environment or terminal: the time is passed in, progress goes to a trait.

mod apply;
mod base_revision;
mod catalogs;
mod change;
mod check;
mod collect;
mod conclude;
mod container;
mod create;
mod diff;
mod dirtab;
mod error;
mod head;
mod info;
mod ingest;
mod local;
mod lock;
mod merge;
mod nesting;
mod pipeline;
mod progress;
mod publish;
mod resign;
mod rollback;
mod settings;
mod source;
mod state;
mod tag;
mod transaction;
mod walk;

pub use apply::ApplyError;
pub use base_revision::BaseError;
pub use catalogs::CatalogsError;
pub use check::{CheckOptions, CheckProgress, CheckReport, Finding, FindingKind, NoProgress, check};
pub use collect::{
    Amount, CollectError, CollectProgress, CollectRequest, Collected, Keep, collect, collect_replica,
};
pub use container::{
    ConfigurationError, DOCUMENT_LIMIT, Digest, ImageConfiguration, ImageName, ImageNameError,
};
pub use create::{CreateRequest, create};
pub use diff::{Aspect, Change, Difference, diff};
pub use dirtab::DirtabError;
pub use error::PublishError;
pub use info::{RepositoryInfo, info};
pub use ingest::{
    ArchiveError, ArchiveProblem, ContainerError, ContainerRequest, IngestError, IngestRequest, Platform,
    ingest, ingest_container,
};
pub use local::LocalRepository;
pub use lock::{LockError, RepositoryLock};
pub use merge::MergeError;
pub use pipeline::{ObjectError, ObjectTally, PipelineError};
pub use progress::{Phase, Progress, Silent};
pub use publish::{MEMORY_BUDGET, PublishRequest, Published, Statistics, publish};
pub use resign::{Resigned, resign};
pub use rollback::{RolledBack, roll_back};
pub use settings::{
    ChunkFile, Nesting, NestingFile, S3File, S3Storage, Settings, SettingsError, SettingsFile, Storage,
    StorageFile,
};
pub use state::StateError;
pub use tag::{add_tag, list_tags, move_tag, remove_tags};
pub use transaction::{BeginRequest, CommitRequest, Transaction, TransactionError};
pub use walk::{LayerProblem, WalkError, Warning};

#[cfg(test)]
mod failing;
#[cfg(test)]
mod trial;
