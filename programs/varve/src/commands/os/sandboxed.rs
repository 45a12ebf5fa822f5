//! The parts of `varve os` that run in a sandbox, or with the ids of a tree: the program starts itself there, with its
//! task on standard input and the answer on standard output.

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use clap::Args;
use serde::{Deserialize, Serialize};
use varve_packages::{Privilege, TreeOrder, TreeRecord, build_tree, sandbox};

use crate::exit_code::ExitCode;
use crate::failure::Failure;
use crate::invocation::Invocation;

/// What is to be done there.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Task {
    /// Build a tree.
    Build(TreeOrder),
}

/// Do a task in a sandbox (started by `varve os build`)
#[derive(Args, Debug)]
pub(crate) struct Sandboxed {}

impl Sandboxed {
    pub(crate) fn run(self, invocation: &Invocation) -> Result<(), Failure> {
        let task: Task = serde_json::from_reader(std::io::stdin().lock()).map_err(Failure::usage_error)?;
        let record = match task {
            Task::Build(order) => build_tree(&order)?,
        };
        invocation.output.json(&record)
    }
}

/// Does a task in a sandbox. What goes wrong there is told there.
pub(super) fn run(task: &Task) -> Result<TreeRecord, Failure> {
    let privilege = if rustix::process::geteuid().is_root() { Privilege::Root } else { Privilege::User };
    check(privilege)?;
    let program = std::env::current_exe().map_err(|error| Failure::io("find", Path::new("varve"), error))?;
    let mut command = sandbox(privilege, &program);
    let mut child = command
        .arg("sandboxed")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(|error| not_started(&command, error))?;
    if let Some(mut stdin) = child.stdin.take() {
        let order = serde_json::to_vec(task).map_err(Failure::usage_error)?;
        // A child that is gone already says why itself.
        let _ = stdin.write_all(&order);
    }
    let output = child.wait_with_output().map_err(|error| not_started(&command, error))?;
    if !output.status.success() {
        return Err(Failure::silent(ExitCode::of(output.status)));
    }
    serde_json::from_slice(&output.stdout).map_err(|error| Failure::new(ExitCode::Failure, error))
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
