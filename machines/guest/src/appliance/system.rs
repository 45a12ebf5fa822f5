//! The machine as the page's requests see it: files below its root directory, and systemd.

use std::fs;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{SystemTime, UNIX_EPOCH};

use axum::http::StatusCode;
use varve_context::Document;

use super::problem::Problem;

/// What a program may say.
const LONGEST_ANSWER: u64 = 4 << 20;

#[derive(Debug)]
pub(super) struct System {
    root: PathBuf,
    systemctl: PathBuf,
    now: fn() -> SystemTime,
}

/// A line of `/etc/passwd`.
#[derive(Debug)]
pub(super) struct Account {
    pub(super) name: String,
    pub(super) uid: u32,
    pub(super) full_name: String,
    pub(super) shell: String,
}

impl System {
    pub(super) fn new(root: PathBuf, systemctl: PathBuf, now: fn() -> SystemTime) -> Self {
        Self { root, systemctl, now }
    }

    pub(super) fn path(&self, below: &str) -> PathBuf {
        self.root.join(below)
    }

    /// A file's text; nothing if there is none.
    pub(super) fn read(&self, below: &str) -> io::Result<String> {
        match fs::read(self.path(below)) {
            Ok(bytes) => Ok(String::from_utf8_lossy(&bytes).into_owned()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(String::new()),
            Err(error) => Err(error),
        }
    }

    pub(super) fn accounts(&self) -> io::Result<Vec<Account>> {
        let text = self.read("etc/passwd")?;
        let accounts = text.lines().filter_map(|line| {
            let fields: Vec<&str> = line.split(':').collect();
            let [name, _, uid, _, comment, _, shell] = fields[..] else { return None };
            Some(Account {
                name: name.to_owned(),
                uid: uid.parse().ok()?,
                full_name: comment.split(',').next().unwrap_or_default().to_owned(),
                shell: shell.to_owned(),
            })
        });
        Ok(accounts.collect())
    }

    /// The groups that name this user as a member.
    pub(super) fn groups_of(&self, user: &str) -> io::Result<Vec<String>> {
        let text = self.read("etc/group")?;
        let groups = text.lines().filter_map(|line| {
            let mut fields = line.split(':');
            let name = fields.next()?;
            fields.nth(2)?.split(',').any(|member| member == user).then(|| name.to_owned())
        });
        Ok(groups.collect())
    }

    /// Makes the machine what a fragment of a document says.
    pub(super) fn become_as(&self, fragment: &Document) -> Result<(), Problem> {
        let days = (self.now)().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs() / 86_400;
        let plan = fragment.plan();
        let report = plan
            .apply(&self.root, u32::try_from(days).unwrap_or_default())
            .map_err(|error| Problem::failed(&error))?;
        let failures: Vec<&str> = report.failures(&plan).map(|(_, why)| why).collect();
        if failures.is_empty() {
            return Ok(());
        }
        Err(Problem::new(StatusCode::INTERNAL_SERVER_ERROR, failures.join("; ")))
    }

    /// Tells systemd something, and returns what it says.
    pub(super) fn systemctl(&self, arguments: &[&str]) -> Result<String, Problem> {
        self.run(Command::new(&self.systemctl).arg("--no-pager").args(arguments))
    }

    /// Runs a program of the operating system.
    pub(super) fn program(&self, below: &str, arguments: &[&str]) -> Result<String, Problem> {
        self.run(Command::new(self.path(below)).args(arguments))
    }

    fn run(&self, command: &mut Command) -> Result<String, Problem> {
        let name = Path::new(command.get_program()).display().to_string();
        let output = command.stdin(Stdio::null()).output().map_err(|error| {
            Problem::new(StatusCode::INTERNAL_SERVER_ERROR, format!("cannot run {name}: {error}"))
        })?;
        if output.status.success() {
            let mut text = Vec::new();
            output.stdout.as_slice().take(LONGEST_ANSWER).read_to_end(&mut text)?;
            return Ok(String::from_utf8_lossy(&text).into_owned());
        }
        let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        Err(Problem::new(StatusCode::CONFLICT, if said.is_empty() { format!("{name} failed") } else { said }))
    }
}
