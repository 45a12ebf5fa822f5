//! `varve hub`: the hub, until told to stop; its backups. One file per verb in `hub/`.

mod backup;
mod place;
mod restore;
mod start;

use clap::{Args, Subcommand};

use crate::failure::Failure;
use crate::invocation::Invocation;

/// Run the hub: contexts for machines, pairing, accounts, in a browser and for programs
///
/// Everything is in one file of SQLite unless --database says otherwise; with PostgreSQL any number of hubs can run over one database.
/// The first start prints a code: whoever makes an account with it is the administrator.
#[derive(Args, Debug)]
#[command(
    args_conflicts_with_subcommands = true,
    after_help = "SIGTERM and Ctrl-C let requests end first, the second time stop at once. See docs/operate/hub.md."
)]
pub(crate) struct Hub {
    #[command(flatten)]
    start: start::Start,
    #[command(subcommand)]
    verb: Option<Verb>,
}

#[derive(Debug, Subcommand)]
enum Verb {
    Backup(backup::Backup),
    Restore(restore::Restore),
}

impl Hub {
    pub(crate) fn run(self, invocation: &Invocation) -> Result<(), Failure> {
        match self.verb {
            None => self.start.run(invocation),
            Some(Verb::Backup(verb)) => verb.run(invocation),
            Some(Verb::Restore(verb)) => verb.run(invocation),
        }
    }
}
