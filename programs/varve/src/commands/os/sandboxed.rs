//! The parts of `varve os` that run in a sandbox, or with the ids of a tree: the program starts itself there, with its
//! task on standard input and the answer on standard output.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use clap::Args;
use serde::{Deserialize, Serialize};
use varve_packages::{Privilege, TreeOrder, TreeRecord, build_tree, sandbox, with_ids_of_trees};

use super::publish::PublishOrder;

use crate::exit_code::ExitCode;
use crate::failure::Failure;
use crate::invocation::Invocation;

/// What is to be done there.
#[derive(Debug, Serialize, Deserialize)]
enum Task {
    /// Build a tree, and answer with its record.
    Build(Box<TreeOrder>),
    /// Publish a tree.
    Publish(Box<PublishOrder>),
}

/// Do a task in a sandbox (started by `varve os build` and `varve os publish`)
#[derive(Args, Debug)]
pub(crate) struct Sandboxed {}

impl Sandboxed {
    pub(crate) fn run(self, invocation: &Invocation) -> Result<(), Failure> {
        match serde_json::from_reader(std::io::stdin().lock()).map_err(Failure::usage_error)? {
            Task::Build(order) => invocation.output.json(&build_tree(&order)?),
            Task::Publish(order) => order.publish(invocation),
        }
    }
}

/// Whose sandboxes this process can have.
pub(super) fn privilege() -> Privilege {
    if rustix::process::geteuid().is_root() { Privilege::Root } else { Privilege::User }
}

/// Builds a tree in a sandbox. What goes wrong there is told there.
pub(super) fn build(order: TreeOrder) -> Result<TreeRecord, Failure> {
    let privilege = privilege();
    check(privilege)?;
    let mut command = sandbox(privilege, &itself()?);
    let answer = hand_over(command.stdout(Stdio::piped()), &Task::Build(Box::new(order)))?;
    serde_json::from_slice(&answer).map_err(|error| Failure::new(ExitCode::Failure, error))
}

/// Publishes a tree that this user, who is not root, has built.
pub(super) fn publish(order: PublishOrder) -> Result<(), Failure> {
    check(Privilege::User)?;
    let mut command = with_ids_of_trees(Privilege::User, &itself()?);
    hand_over(&mut command, &Task::Publish(Box::new(order))).map(drop)
}

/// Starts the command with a task and waits for its end.
fn hand_over(command: &mut Command, task: &Task) -> Result<Vec<u8>, Failure> {
    let order = serde_json::to_vec(task).map_err(Failure::usage_error)?;
    command.arg("sandboxed").stdin(Stdio::piped());
    let mut child = command.spawn().map_err(|error| not_started(command, error))?;
    if let Some(mut stdin) = child.stdin.take() {
        // A child that is gone already says why itself.
        let _ = stdin.write_all(&order);
    }
    let output = child.wait_with_output().map_err(|error| not_started(command, error))?;
    if output.status.success() {
        Ok(output.stdout)
    } else {
        Err(Failure::silent(ExitCode::of(output.status)))
    }
}

fn itself() -> Result<PathBuf, Failure> {
    std::env::current_exe().map_err(|error| Failure::io("find", Path::new("varve"), error))
}

/// Whether a sandbox can be had at all.
fn check(privilege: Privilege) -> Result<(), Failure> {
    let mut command = sandbox(privilege, Path::new("true"));
    let output = command.stdin(Stdio::null()).output().map_err(|error| not_started(&command, error))?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr).trim().replace('\n', " | ");
    let hint = match privilege {
        Privilege::Root => "the container or machine does not allow namespaces to be made",
        Privilege::User => {
            "a user needs subordinate ids in /etc/subuid and /etc/subgid (`usermod --add-subuids 100000-165535 \
             --add-subgids 100000-165535 USER`) and newuidmap (Debian: uidmap); root needs neither"
        }
    };
    Err(Failure::new(ExitCode::Failure, format!("cannot make a sandbox: {said}")).hint(hint))
}

fn not_started(command: &Command, error: std::io::Error) -> Failure {
    Failure::io("run", Path::new(command.get_program()), error)
}
