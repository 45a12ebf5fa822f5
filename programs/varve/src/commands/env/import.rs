//! `varve env import`: a document from elsewhere becomes an environment of this user.

use std::path::PathBuf;

use clap::Args;
use varve_environment::EnvironmentName;

use crate::environments::{self, Environments};
use crate::failure::Failure;
use crate::invocation::Invocation;

/// Keep an environment that comes from elsewhere
#[derive(Args, Debug)]
pub(crate) struct Import {
    /// The document
    file: PathBuf,
    /// What it is called here; by default what the document calls it
    #[arg(long, value_name = "NAME")]
    name: Option<EnvironmentName>,
    /// Let the name lead to this environment, if it leads to another one
    #[arg(long)]
    replace: bool,
}

impl Import {
    pub(crate) fn run(self, invocation: &Invocation) -> Result<(), Failure> {
        let environment = environments::read(&self.file)?;
        let name = self.name.as_ref().or(environment.hints.name.as_ref());
        Environments::of(&invocation.places()?).put(&environment, name, self.replace)?;
        invocation.output.line(environment.id())
    }
}
