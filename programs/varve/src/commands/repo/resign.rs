//! `varve repo resign`: a new whitelist before the old one expires.

use std::time::Duration;

use clap::Args;
use varve_publish::resign;
use varve_repository::RepositoryName;

use super::local;
use crate::failure::Failure;
use crate::invocation::Invocation;

/// Sign whitelist and manifest again, before the whitelist expires
#[derive(Args, Debug)]
#[command(after_help = "The master key must be on this machine.")]
pub(crate) struct Resign {
    /// The repository
    name: RepositoryName,
    /// How long the new whitelist lasts
    #[arg(long, value_name = "DAYS", default_value_t = 30, value_parser = clap::value_parser!(u64).range(1..=36_500))]
    days: u64,
}

impl Resign {
    pub(crate) fn run(self, invocation: &Invocation) -> Result<(), Failure> {
        let local = local::repository(invocation, &self.name)?;
        let validity = Duration::from_secs(self.days * 24 * 3600);
        let signed = resign(&local, Some(validity), invocation.now())?;
        invocation.output.say(format!("the whitelist of {} lasts until {}", self.name, signed.expiry));
        Ok(())
    }
}
