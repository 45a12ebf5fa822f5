//! The subcommands, one file each; nouns with verbs have a directory. To add one: its file, its line in [`Command`], its
//! arm in `run`, and the snapshot of its help (`INSTA_UPDATE=always cargo test -p varve help`).

mod bench;
mod completions;
mod config;
mod context;
mod demo;
mod env;
mod fork;
mod hub;
mod image;
mod man;
mod mount;
mod os;
mod replicate;
mod repo;
mod run;
mod serve;
mod status;
mod umount;
mod vm;

use clap::Subcommand;

use crate::failure::Failure;
use crate::invocation::Invocation;

/// What `varve` can do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Demo(demo::Demo),
    Repo(repo::Repo),
    Image(image::Image),
    Serve(serve::Serve),
    Replicate(replicate::Replicate),
    Run(Box<run::Run>),
    Fork(fork::Fork),
    Mount(mount::Mount),
    Umount(umount::Umount),
    Status(status::Status),
    Os(os::Os),
    Env(env::Env),
    Config(config::Config),
    Context(context::Context),
    Vm(vm::Vm),
    Hub(hub::Hub),
    #[command(hide = true)]
    MountSupervisor(mount::MountSupervisor),
    #[command(hide = true)]
    MountWorker(mount::MountWorker),
    #[command(hide = true)]
    SandboxHolder(run::holder::SandboxHolder),
    #[command(hide = true)]
    SandboxFiller(run::filler::SandboxFiller),
    #[command(hide = true)]
    Sandboxed(os::sandboxed::Sandboxed),
    #[command(hide = true)]
    TransactionSpace(repo::shell::TransactionSpace),
    #[command(hide = true)]
    TransactionUser(repo::shell::TransactionUser),
    Bench(bench::Bench),
    Completions(completions::Completions),
    Man(man::Man),
}

impl Command {
    /// Does it.
    pub(crate) fn run(self, invocation: &Invocation) -> Result<(), Failure> {
        match self {
            Self::Demo(command) => command.run(invocation),
            Self::Bench(command) => command.run(invocation),
            Self::Repo(command) => command.run(invocation),
            Self::Image(command) => command.run(invocation),
            Self::Serve(command) => command.run(invocation),
            Self::Replicate(command) => command.run(invocation),
            Self::Run(command) => command.run(invocation),
            Self::Fork(command) => command.run(invocation),
            Self::SandboxHolder(command) => command.run(invocation),
            Self::SandboxFiller(command) => command.run(invocation),
            Self::Mount(command) => command.run(invocation),
            Self::Umount(command) => command.run(invocation),
            Self::Status(command) => command.run(invocation),
            Self::Os(command) => command.run(invocation),
            Self::Env(command) => command.run(invocation),
            Self::Sandboxed(command) => command.run(invocation),
            Self::Config(command) => command.run(invocation),
            Self::Context(command) => command.run(invocation),
            Self::Vm(command) => command.run(invocation),
            Self::Hub(command) => command.run(invocation),
            Self::MountSupervisor(command) => command.run(invocation),
            Self::MountWorker(command) => command.run(invocation),
            Self::TransactionSpace(command) => command.run(invocation),
            Self::TransactionUser(command) => command.run(invocation),
            Self::Completions(command) => command.run(invocation),
            Self::Man(command) => command.run(invocation),
        }
    }
}
