//! `varve repo rollback`: an earlier tree becomes the newest revision.

use clap::Args;
use varve_publish::roll_back;
use varve_repository::{RepositoryName, TagName};

use super::local;
use crate::failure::Failure;
use crate::invocation::Invocation;

/// Publish an earlier revision's tree again, as a new revision
#[derive(Args, Debug)]
#[command(after_help = "Tags of the revisions after it disappear.")]
pub(crate) struct Rollback {
    /// The repository
    name: RepositoryName,
    /// The tag of the revision to go back to; the revision before the newest if not given
    tag: Option<TagName>,
}

impl Rollback {
    pub(crate) fn run(self, invocation: &Invocation) -> Result<(), Failure> {
        let local = local::repository(invocation, &self.name)?;
        let rolled = roll_back(&local, self.tag.as_ref().map(TagName::as_str), invocation.now())?;
        for tag in &rolled.removed {
            invocation.output.say(format!("removed the tag {} of revision {}", tag.name, tag.revision));
        }
        let (name, revision) = (&self.name, rolled.revision);
        invocation.output.line(format!("{name} is at revision {revision}, which is {} again", rolled.tag))
    }
}
