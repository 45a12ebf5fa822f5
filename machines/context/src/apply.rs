//! Doing a plan: beneath a root directory, in order, without running anything. An action that fails is reported, and the
//! next ones are done all the same, since a machine that boots in part is better than one that doesn't.

mod accounts;
mod files;
mod password;
mod root;
mod units;

use std::io;
use std::path::Path;

use serde::Serialize;

use self::accounts::Accounts;
use self::root::Root;
use crate::plan::{Action, Plan, Step};

/// Why nothing could be done at all.
#[derive(Debug, thiserror::Error)]
pub enum ApplyError {
    /// The root directory can't be opened, or what was written there not be made last.
    #[error("cannot use the root directory {path}")]
    Root {
        /// Its path.
        path: String,
        /// Why.
        #[source]
        source: io::Error,
    },
}

/// What became of one action.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "outcome", rename_all = "kebab-case")]
pub enum Outcome {
    /// Something was changed.
    Changed,
    /// Everything was so already.
    Unchanged,
    /// Nothing was done, for a reason that is no fault.
    Skipped {
        /// The reason.
        why: String,
    },
    /// It could not be done.
    Failed {
        /// Why.
        why: String,
    },
}

/// What became of a plan: an outcome for each step, in order.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Report {
    /// The outcomes.
    pub outcomes: Vec<Outcome>,
}

impl Report {
    /// How many steps ended so.
    pub fn count(&self, wanted: fn(&Outcome) -> bool) -> usize {
        self.outcomes.iter().filter(|outcome| wanted(outcome)).count()
    }

    /// How many steps changed something.
    pub fn changed(&self) -> usize {
        self.count(|outcome| *outcome == Outcome::Changed)
    }

    /// The steps of `plan` that failed, and why.
    pub fn failures<'a>(&'a self, plan: &'a Plan) -> impl Iterator<Item = (&'a Step, &'a str)> {
        plan.steps.iter().zip(&self.outcomes).filter_map(|(step, outcome)| match outcome {
            Outcome::Failed { why } => Some((step, why.as_str())),
            _ => None,
        })
    }
}

/// Why one action could not be done.
#[derive(Debug, thiserror::Error)]
enum ActionError {
    #[error("cannot {what} {path}: {source}")]
    Io { what: &'static str, path: String, source: io::Error },
    #[error("{0}")]
    Refused(String),
    /// Not a fault.
    #[error("{0}")]
    Skipped(String),
}

impl Plan {
    /// Does everything in the directory `root`, with the rights of the caller. `days` since 1970 is what a changed password
    /// is dated by.
    pub fn apply(&self, root: &Path, days: u32) -> Result<Report, ApplyError> {
        let failed = |source| ApplyError::Root { path: root.display().to_string(), source };
        let root = Root::open(root).map_err(failed)?;
        let outcomes = self.steps.iter().map(|step| match act(&root, &step.action, days) {
            Ok(true) => Outcome::Changed,
            Ok(false) => Outcome::Unchanged,
            Err(ActionError::Skipped(why)) => Outcome::Skipped { why },
            Err(error) => Outcome::Failed { why: error.to_string() },
        });
        let outcomes = outcomes.collect();
        root.sync().map_err(failed)?;
        Ok(Report { outcomes })
    }
}

/// Does one action; whether anything changed.
fn act(root: &Root, action: &Action, days: u32) -> Result<bool, ActionError> {
    match action {
        Action::Group(group) => Accounts::read(root)?.group(group),
        Action::User(user) => accounts::user(root, user, days),
        Action::Password { user, password, expire, locked } => {
            password::set(root, user, password, *locked, if *expire { 0 } else { days })
        }
        Action::AuthorizedKeys { user, keys } => accounts::authorized_keys(root, user, keys),
        Action::Directory { path, mode, owner } => files::directory(root, path, *mode, owner),
        Action::File(file) => files::file(root, file),
        Action::Lines { path, replace, lines } => files::lines(root, path, replace.as_deref(), lines),
        Action::Link { path, target } => root.link(path, target),
        Action::Remove { path } => root.remove(path),
        Action::Unit { name, state, optional } => units::set(root, name, *state, *optional),
    }
}
