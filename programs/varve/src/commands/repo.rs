//! `varve repo`: repositories that lie on this machine. One file per verb in `repo/`.

mod abort;
mod check;
mod commit;
mod create;
mod diff;
pub(crate) mod gc;
mod info;
mod ingest;
mod list;
pub(crate) mod local;
mod publish;
mod resign;
mod rollback;
pub(crate) mod shell;
pub(crate) mod storage;
mod tag;
mod transaction;
mod view;

use clap::{Args, Subcommand};

use crate::failure::Failure;
use crate::invocation::Invocation;

/// Work with the repositories of this machine
#[derive(Args, Debug)]
pub(crate) struct Repo {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    Create(create::Create),
    Publish(publish::Publish),
    Ingest(ingest::Ingest),
    Transaction(transaction::Open),
    Commit(commit::Commit),
    Abort(abort::Abort),
    Shell(shell::Shell),
    Tag(tag::Tags),
    Diff(diff::Diff),
    List(list::List),
    Info(info::Info),
    Check(check::Check),
    Rollback(rollback::Rollback),
    Resign(resign::Resign),
    Gc(gc::Gc),
}

impl Repo {
    pub(crate) fn run(self, invocation: &Invocation) -> Result<(), Failure> {
        match self.verb {
            Verb::Create(verb) => verb.run(invocation),
            Verb::Publish(verb) => verb.run(invocation),
            Verb::Ingest(verb) => verb.run(invocation),
            Verb::Transaction(verb) => verb.run(invocation),
            Verb::Commit(verb) => verb.run(invocation),
            Verb::Abort(verb) => verb.run(invocation),
            Verb::Shell(verb) => verb.run(invocation),
            Verb::Tag(verb) => verb.run(invocation),
            Verb::Diff(verb) => verb.run(invocation),
            Verb::List(verb) => verb.run(invocation),
            Verb::Info(verb) => verb.run(invocation),
            Verb::Check(verb) => verb.run(invocation),
            Verb::Rollback(verb) => verb.run(invocation),
            Verb::Resign(verb) => verb.run(invocation),
            Verb::Gc(verb) => verb.run(invocation),
        }
    }
}
