//! `varve repo commit`: what a transaction has changed becomes the next revision.

use std::num::NonZeroUsize;

use clap::Args;
use varve_publish::{
    CommitRequest, LocalRepository, MEMORY_BUDGET, PublishError, Transaction, TransactionError,
};
use varve_repository::{RepositoryName, TagName};
use varve_store::ByteSize;

use super::local::{self, PublishProgress};
use super::publish::tell;
use super::view::View;
use crate::failure::Failure;
use crate::invocation::Invocation;

/// Publish what the open transaction has changed, as the next revision
#[derive(Args, Debug)]
#[command(
    after_help = "Reads what was changed and nothing else. The view goes away with it. If it fails, the \
                        transaction stays open, and its view can be written to again."
)]
pub(crate) struct Commit {
    /// The repository
    name: RepositoryName,
    #[command(flatten)]
    options: CommitOptions,
    /// Print what was done as JSON
    #[arg(long)]
    json: bool,
}

/// How a transaction is published.
#[derive(Args, Debug)]
pub(super) struct CommitOptions {
    /// A name for the revision
    #[arg(long, short, value_name = "TAG")]
    tag: Option<TagName>,
    /// A description of the tag
    #[arg(long, short, value_name = "TEXT", requires = "tag", default_value = "", hide_default_value = true)]
    message: String,
    /// Threads; one per core if not given
    #[arg(long, value_name = "NUMBER")]
    threads: Option<NonZeroUsize>,
    /// The most memory for contents that wait to be stored
    #[arg(long, value_name = "SIZE", default_value_t = ByteSize::bytes(MEMORY_BUDGET))]
    memory: ByteSize,
}

impl Commit {
    pub(crate) fn run(self, invocation: &Invocation) -> Result<(), Failure> {
        let local = local::repository(invocation, &self.name)?;
        let transaction = find(&local)?;
        let _held = transaction.hold(&local).map_err(PublishError::from)?;
        commit(invocation, &local, transaction, self.options, self.json)
    }
}

/// Publishes what was changed, and ends the transaction.
pub(super) fn commit(
    invocation: &Invocation,
    local: &LocalRepository,
    transaction: Transaction,
    options: CommitOptions,
    json: bool,
) -> Result<(), Failure> {
    let threads = options.threads.or_else(|| std::thread::available_parallelism().ok());
    let request = CommitRequest {
        tag: options.tag.map(|tag| (tag, options.message)),
        threads: threads.unwrap_or(NonZeroUsize::MIN),
        memory: options.memory.get(),
        now: invocation.now(),
    };
    let view = View::of(&transaction);
    let was_mounted = view.is_mounted();
    if was_mounted {
        view.set_writable(false).map_err(|failure| {
            failure.hint("a file in the view is still open for writing: end the program that has it")
        })?;
    }
    let progress = PublishProgress::start(invocation);
    let published = match transaction.commit(local, &request, &progress) {
        Ok(published) => published,
        Err(error) => {
            if was_mounted {
                view.set_writable(true)?;
            }
            return Err(error.into());
        }
    };
    progress.finish();
    view.unmount(true)?;
    transaction.close(local).map_err(PublishError::from)?;
    tell(invocation, &local.name, &published, json)
}

/// The open transaction.
pub(super) fn find(local: &LocalRepository) -> Result<Transaction, Failure> {
    let found = Transaction::find(local).map_err(PublishError::from)?;
    found.ok_or_else(|| PublishError::from(TransactionError::None { name: local.name.clone() }).into())
}
