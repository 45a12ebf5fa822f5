//! `varve env remove`: forgets an environment, or one of its names.

use clap::Args;
use varve_environment::EnvironmentName;

use crate::copies::Copies;
use crate::environments::Environments;
use crate::failure::Failure;
use crate::invocation::Invocation;

/// Forget an environment, and remove what was kept for it alone
#[derive(Args, Debug)]
pub(crate) struct Remove {
    /// The environment: a name, an id or the beginning of one
    #[arg(value_name = "ENV")]
    environment: String,
    /// Forget this name of it alone
    #[arg(long)]
    name_only: bool,
}

impl Remove {
    pub(crate) fn run(self, invocation: &Invocation) -> Result<(), Failure> {
        let places = invocation.places()?;
        let environments = Environments::of(&places);
        let id = environments.id_of(&self.environment)?;
        if self.name_only {
            let name: EnvironmentName = self.environment.parse().map_err(Failure::usage_error)?;
            if !environments.names()?.iter().any(|(known, _)| *known == name) {
                return Err(Failure::usage(format!("'{name}' is no name of an environment")));
            }
            return environments.forget(&name);
        }
        environments.remove(id)?;
        let mut unreadable = 0;
        let left = environments.list(&mut |failure| {
            unreadable += 1;
            failure.report(&invocation.output);
        })?;
        if unreadable > 0 {
            // What they need is not known.
            return Ok(());
        }
        let left: Vec<_> = left.into_iter().map(|kept| kept.environment).collect();
        Copies::of(&places).retain(&left)
    }
}
