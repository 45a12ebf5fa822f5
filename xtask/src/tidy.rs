//! `cargo xtask tidy`: the rules of the code base that compilers don't know. One file per rule.
//!
//! A rule is a function from the [`Tree`] to its [`Finding`]s. It says what is wrong and where, and never mends.

use std::fmt;
use std::path::Path;

use anyhow::{Result, bail};

use tree::Tree;

mod edges;
mod environment;
mod heads;
mod lengths;
mod lints;
mod map;
mod names;
mod places;
mod rust_code;
mod tree;
mod unfinished;
mod workplace;

/// A place where a rule is broken.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Finding {
    path: String,
    /// Counted from 1; 0 for the whole file.
    line: usize,
    message: String,
}

impl Finding {
    fn new(path: &str, line: usize, message: impl Into<String>) -> Self {
        Self { path: path.to_owned(), line, message: message.into() }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            0 => write!(f, "{}: {}", self.path, self.message),
            line => write!(f, "{}:{line}: {}", self.path, self.message),
        }
    }
}

/// Applies every rule to the files of the workspace at `root`.
pub(crate) fn run(root: &Path) -> Result<()> {
    let findings = findings(&Tree::read(root)?);
    for finding in &findings {
        println!("{finding}");
    }
    match findings.len() {
        0 => Ok(()),
        1 => bail!("one rule of the code base is broken"),
        count => bail!("rules of the code base are broken in {count} places"),
    }
}

fn findings(tree: &Tree) -> Vec<Finding> {
    let rules = [
        edges::check,
        environment::check,
        heads::check,
        lengths::check,
        lints::check,
        map::check,
        names::check,
        places::check,
        unfinished::check,
        workplace::check,
    ];
    let mut findings: Vec<Finding> = rules.iter().flat_map(|rule| rule(tree)).collect();
    findings.sort();
    findings
}
