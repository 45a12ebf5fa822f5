//! The environment variables of a run.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};

use clap::Args;
use varve_sandbox::Account;

use crate::invocation::Invocation;

/// Which variables the command gets.
#[derive(Args, Debug)]
pub(crate) struct VariableOptions {
    /// Set an environment variable; may be repeated
    #[arg(long = "set", value_name = "NAME=VALUE", value_parser = assignment)]
    set: Vec<(String, String)>,
    /// Hand on a variable of the caller's to an environment, or all whose names begin so with NAME*;
    /// may be repeated
    #[arg(long = "pass", value_name = "NAME")]
    pass: Vec<String>,
    /// Hand on none of the caller's variables, also without an environment
    #[arg(long)]
    clean: bool,
}

/// Where programs are in every system.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// What belongs to the caller's terminal, wherever the command runs.
const OF_TERMINALS: [&str; 2] = ["TERM", "COLORTERM"];

impl VariableOptions {
    /// In an environment a few of its own, the document's, and what is asked for; else the caller's, unless they are unwanted.
    pub(super) fn all(
        &self,
        account: &Account,
        in_environment: bool,
        of_document: BTreeMap<String, String>,
    ) -> BTreeMap<OsString, OsString> {
        let callers = || std::env::vars_os();
        let mut all: BTreeMap<OsString, OsString> = if in_environment || self.clean {
            let own = [
                ("PATH", OsString::from(PATH)),
                ("HOME", account.home.clone().into_os_string()),
                ("USER", OsString::from(&account.name)),
                ("LOGNAME", OsString::from(&account.name)),
            ];
            let handed_on = |name: &OsStr| {
                self.pass.iter().any(|passed| covers(passed, name))
                    || OF_TERMINALS.iter().any(|of_terminal| name == *of_terminal)
            };
            own.into_iter()
                .map(|(name, value)| (name.into(), value))
                .chain(callers().filter(|(name, _)| handed_on(name)))
                .collect()
        } else {
            callers().collect()
        };
        all.extend(of_document.into_iter().map(|(name, value)| (name.into(), value.into())));
        all.extend(self.set.iter().map(|(name, value)| (name.into(), value.into())));
        all
    }

    /// What is run where nothing is said.
    pub(super) fn shell(&self, invocation: &Invocation, in_environment: bool) -> OsString {
        let shell = invocation.environment.shell.as_ref().filter(|_| !in_environment && !self.clean);
        shell.map_or_else(|| "/bin/sh".into(), OsString::from)
    }
}

/// Whether a variable is one of those that `--pass` names.
fn covers(passed: &str, name: &OsStr) -> bool {
    match passed.strip_suffix('*') {
        Some(beginning) => name.as_encoded_bytes().starts_with(beginning.as_bytes()),
        None => name == passed,
    }
}

fn assignment(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err("expected NAME=VALUE".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_are_handed_on_by_name_and_by_beginning() {
        let covered = |passed: &str| {
            ["SLURM_PROCID", "SLURM", "PATH", "*"]
                .into_iter()
                .filter(|name| covers(passed, OsStr::new(name)))
                .count()
        };
        assert_eq!(
            [covered("SLURM_*"), covered("SLURM*"), covered("PATH"), covered("PA"), covered("*")],
            [1, 2, 1, 0, 4]
        );
    }
}
