//! `varve repo abort`: what a transaction has changed is dropped.

use clap::Args;
use varve_publish::PublishError;
use varve_repository::RepositoryName;

use super::commit::find;
use super::local;
use super::view::View;
use crate::failure::Failure;
use crate::invocation::Invocation;

/// Drop what the open transaction has changed
#[derive(Args, Debug)]
pub(crate) struct Abort {
    /// The repository
    name: RepositoryName,
    /// Also while something uses the view
    #[arg(long, short)]
    force: bool,
}

impl Abort {
    pub(crate) fn run(self, invocation: &Invocation) -> Result<(), Failure> {
        let local = local::repository(invocation, &self.name)?;
        let transaction = find(&local)?;
        let _held = transaction.hold(&local).map_err(PublishError::from)?;
        let view = View::of(&transaction);
        view.unmount(self.force)
            .map_err(|failure| failure.hint("leave the view, or drop it with --force"))?;
        transaction.close(&local).map_err(PublishError::from)?;
        invocation.output.say(format!("the transaction of {} is dropped", self.name));
        Ok(())
    }
}
