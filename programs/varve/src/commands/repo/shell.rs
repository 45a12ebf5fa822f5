//! `varve repo shell`: a shell or a command in a writable view, published when it ends well. And the two hidden commands
//! that do it without privileges.
//!
//! ```text
//! shell ──▶ transaction-space: root of a user name space, mounts the view ──▶ transaction-user: the user again ──▶ command
//! ```

use std::ffi::{OsStr, OsString};
use std::io::{IsTerminal as _, Write as _};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use clap::Args;
use serde::{Deserialize, Serialize};
use varve_mount::MountOrder;
use varve_publish::{BeginRequest, PublishError, Transaction};
use varve_repository::{RepositoryName, RepositoryPath};

use super::commit::{CommitOptions, commit};
use super::view::View;
use super::{local, publish};
use crate::failure::Failure;
use crate::invocation::Invocation;
use crate::{exit_code, namespace};

/// The variable that tells a command in a view whose it is.
const TRANSACTION: &str = "VARVE_TRANSACTION";

/// Run a shell or a command in a writable view, and publish what it changed
#[derive(Args, Debug)]
#[command(
    after_help = "A command that succeeds is published; one that fails is not, and what it changed is dropped. After \
                  a shell you are asked. A transaction that is open already is continued, and stays open where \
                  nothing is published. No privileges are needed: without them, the view is mounted in a user \
                  namespace, that nobody else sees. What is there keeps its owner then.\n\nExample:\n  varve repo shell \
                  software.example.org --tag nightly -- make install PREFIX=."
)]
pub(crate) struct Shell {
    /// The repository
    name: RepositoryName,
    /// The directory in it that may be changed, and in which the command begins
    #[arg(value_name = "SUBPATH", default_value = "/", value_parser = publish::path)]
    at: RepositoryPath,
    /// Where to mount the view; by default in the directory of the transaction
    #[arg(long, value_name = "DIRECTORY")]
    view: Option<PathBuf>,
    #[command(flatten)]
    options: CommitOptions,
    /// Print what was done as JSON
    #[arg(long)]
    json: bool,
    /// The command; a shell if there is none
    #[arg(last = true, value_name = "COMMAND")]
    command: Vec<OsString>,
}

/// What becomes of the changes.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Fate {
    Publish,
    Drop,
    Keep,
}

impl Shell {
    pub(crate) fn run(self, invocation: &Invocation) -> Result<(), Failure> {
        let places = invocation.places()?;
        let local = local::repository(invocation, &self.name)?;
        let found = Transaction::find(&local).map_err(PublishError::from)?;
        let continued = found.is_some();
        let transaction = match found {
            Some(found) => found,
            None => {
                let view = self.view.map(|view| {
                    std::path::absolute(&view).map_err(|error| Failure::io("find", &view, error))
                });
                let request = BeginRequest {
                    at: self.at,
                    view: view.transpose()?,
                    private: !namespace::may_mount(),
                    now: invocation.now(),
                };
                Transaction::begin(&local, &request)?
            }
        };
        let held = transaction.hold(&local).map_err(PublishError::from)?;
        if transaction.is_private() {
            // What runs in the view holds it too, should this process be killed.
            rustix::io::fcntl_setfd(&held, rustix::io::FdFlags::empty())
                .map_err(|errno| Failure::io("hold", transaction.view(), errno.into()))?;
        }
        let view = View::of(&transaction);
        let asked = self.command.is_empty();
        let shell = invocation.environment.shell.as_ref().map_or("/bin/sh".into(), OsString::from);
        let command = if asked { vec![shell] } else { self.command };
        let ended = enter(&transaction, &view, || view.base_order(&places, &self.name), command, &self.name);
        let ended = match ended {
            Ok(ended) => ended,
            Err(failure) => {
                if !continued {
                    view.unmount(true)?;
                    transaction.close(&local).map_err(PublishError::from)?;
                }
                return Err(failure);
            }
        };
        let fate = if asked && std::io::stdin().is_terminal() {
            ask(&self.name)
        } else if ended.success() {
            Fate::Publish
        } else if continued {
            Fate::Keep
        } else {
            Fate::Drop
        };
        match fate {
            Fate::Publish => return commit(invocation, &local, transaction, self.options, self.json),
            Fate::Keep => {
                invocation.output.say(format!("the transaction of {} stays open", self.name));
            }
            Fate::Drop => {
                view.unmount(true)?;
                transaction.close(&local).map_err(PublishError::from)?;
                invocation.output.say(format!("the changes to {} are dropped", self.name));
            }
        }
        if asked || ended.success() {
            return Ok(());
        }
        Err(Failure::new(exit_code::ExitCode::Failure, format!("the command did not succeed: {ended}")))
    }
}

/// Runs the command in the view and waits for its end.
fn enter(
    transaction: &Transaction,
    view: &View,
    base: impl FnOnce() -> Result<MountOrder, Failure>,
    command: Vec<OsString>,
    name: &RepositoryName,
) -> Result<ExitStatus, Failure> {
    let mut process = if transaction.is_private() {
        let space = Space {
            view: view.clone(),
            base: base()?,
            user: rustix::process::getuid().as_raw(),
            group: rustix::process::getgid().as_raw(),
        };
        let mut process = itself()?;
        let space = serde_json::to_string(&space).map_err(Failure::usage_error)?;
        process.arg("transaction-space").arg(space).arg("--").args(command);
        process
    } else {
        if !view.is_mounted() {
            view.mount(base()?)?;
        }
        in_directory(&command, &view.writable())
    };
    wait(process.env(TRANSACTION, name.as_str()))
}

/// What is to be done with the changes of a shell: its last command's success says little.
fn ask(name: &RepositoryName) -> Fate {
    let mut words = std::io::stderr();
    loop {
        let question = format!("publish the changes to {name}? yes, no (drop them), or keep (for later): ");
        let asked = words.write_all(question.as_bytes()).and_then(|()| words.flush());
        let mut answer = String::new();
        if asked.is_err() || !std::io::stdin().read_line(&mut answer).is_ok_and(|length| length > 0) {
            return Fate::Keep;
        }
        match answer.trim() {
            "y" | "yes" => return Fate::Publish,
            "n" | "no" => return Fate::Drop,
            "k" | "keep" => return Fate::Keep,
            _ => {}
        }
    }
}

/// What a process needs for mounting a view in a name space of its own.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Space {
    view: View,
    base: MountOrder,
    user: u32,
    group: u32,
}

/// Mount a view in a user namespace and run a command in it (started by `varve repo shell`)
#[derive(Args, Debug)]
pub(crate) struct TransactionSpace {
    space: String,
    #[arg(last = true)]
    command: Vec<OsString>,
}

impl TransactionSpace {
    pub(crate) fn run(self, _: &Invocation) -> Result<(), Failure> {
        let Space { view, base, user, group } =
            serde_json::from_str(&self.space).map_err(Failure::usage_error)?;
        namespace::become_root().map_err(|error| {
            Failure::new(exit_code::ExitCode::Failure, format!("cannot make a user namespace: {error}"))
                .hint("user namespaces are switched off on this machine; root needs none")
        })?;
        view.mount(base)?;
        let mut process = itself()?;
        process.arg("transaction-user").args([user.to_string(), group.to_string()]);
        process.arg(view.writable()).arg("--").args(self.command);
        let ended = wait(&mut process);
        view.unmount(true)?;
        // What follows is for the caller, who sees this process' end as the command's.
        std::process::exit(ended?.code().unwrap_or(1))
    }
}

/// Become a user again and run a command (started by `varve repo shell`)
#[derive(Args, Debug)]
pub(crate) struct TransactionUser {
    user: u32,
    group: u32,
    directory: PathBuf,
    #[arg(last = true)]
    command: Vec<OsString>,
}

impl TransactionUser {
    pub(crate) fn run(self, _: &Invocation) -> Result<(), Failure> {
        namespace::become_user(self.user, self.group)
            .map_err(|error| Failure::io("enter", &self.directory, error))?;
        let error = in_directory(&self.command, &self.directory).exec();
        Err(not_started(&self.command[0], error))
    }
}

fn itself() -> Result<Command, Failure> {
    let program = std::env::current_exe().map_err(|error| Failure::io("find", Path::new("varve"), error))?;
    Ok(Command::new(program))
}

fn in_directory(command: &[OsString], directory: &Path) -> Command {
    let (program, arguments) = command.split_first().expect("because a command has a program");
    let mut process = Command::new(program);
    process.args(arguments).current_dir(directory);
    process
}

/// Waits for a child that has the terminal: an interrupt is meant for it.
fn wait(process: &mut Command) -> Result<ExitStatus, Failure> {
    for signal in [signal_hook::consts::SIGINT, signal_hook::consts::SIGQUIT] {
        signal_hook::flag::register(signal, Arc::new(AtomicBool::new(false)))
            .map_err(|error| Failure::io("watch", Path::new("signals"), error))?;
    }
    let program = process.get_program().to_owned();
    process.status().map_err(|error| not_started(&program, error))
}

fn not_started(program: &OsStr, error: std::io::Error) -> Failure {
    Failure::io("run", Path::new(program), error)
}
