//! `varve repo transaction`: a writable view of a repository.

use std::path::PathBuf;

use clap::Args;
use serde::Serialize;
use varve_publish::{BeginRequest, Transaction};
use varve_repository::{RepositoryName, RepositoryPath};

use super::view::View;
use super::{local, publish};
use crate::failure::Failure;
use crate::invocation::Invocation;
use crate::namespace;

/// Open a writable view of a repository, to be published by `commit`
#[derive(Args, Debug)]
#[command(
    after_help = "The view shows the newest revision and can be changed by any means. Nobody else sees that before \
                  `varve repo commit NAME`; `varve repo abort NAME` drops it. It outlives a reboot: the same command \
                  then mounts it again. Mounting needs root; without it, use `varve repo shell`."
)]
pub(crate) struct Open {
    /// The repository
    name: RepositoryName,
    /// The directory in it that may be changed
    #[arg(value_name = "SUBPATH", default_value = "/", value_parser = publish::path)]
    at: RepositoryPath,
    /// Where to mount the view; by default in the directory of the transaction
    #[arg(long, value_name = "DIRECTORY")]
    view: Option<PathBuf>,
    /// Print what was opened as JSON
    #[arg(long)]
    json: bool,
}

/// The transaction, for programs.
#[derive(Serialize)]
struct Report {
    repository: String,
    revision: u64,
    subpath: String,
    view: PathBuf,
    resumed: bool,
}

impl Open {
    pub(crate) fn run(self, invocation: &Invocation) -> Result<(), Failure> {
        let places = invocation.places()?;
        let local = local::repository(invocation, &self.name)?;
        let view = self
            .view
            .map(|view| std::path::absolute(&view).map_err(|error| Failure::io("find", &view, error)));
        let request =
            BeginRequest { at: self.at, view: view.transpose()?, private: false, now: invocation.now() };
        if !namespace::may_mount() {
            return Err(Failure::usage("a view for the whole machine can be mounted by root only")
                .hint("`varve repo shell NAME` opens one that only its own shell sees"));
        }
        let left = Transaction::find(&local).map_err(varve_publish::PublishError::from)?;
        let resumed = left.as_ref().is_some_and(|left| !left.is_private() && !View::of(left).is_mounted());
        let transaction = match left {
            Some(left) if resumed => left,
            // Says that one is open.
            _ => Transaction::begin(&local, &request)?,
        };
        let view = View::of(&transaction);
        let mounted = view.base_order(&places, &self.name).and_then(|base| view.mount(base));
        if let Err(failure) = mounted {
            if !resumed {
                transaction.close(&local).map_err(varve_publish::PublishError::from)?;
            }
            return Err(failure);
        }
        let opened = if resumed { "mounted again" } else { "open" };
        invocation.output.say(format!(
            "the transaction of {} over revision {} is {opened}",
            self.name,
            transaction.revision()
        ));
        if self.json {
            return invocation.output.json(&Report {
                repository: self.name.to_string(),
                revision: transaction.revision(),
                subpath: transaction.at().to_string(),
                view: transaction.view().to_owned(),
                resumed,
            });
        }
        invocation.output.line(transaction.view().display())
    }
}
