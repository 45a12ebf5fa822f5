//! `varve env remove`: forgets an environment, or one of its names.

use clap::Args;
use varve_environment::EnvironmentName;

use crate::copies::Copies;
use crate::environments::Environments;
use crate::failure::Failure;
use crate::forks::Fork;
use crate::invocation::Invocation;

/// Forget an environment, and remove what was kept for it alone
///
/// Refused while a command runs that reads from what would be removed. Forks of it stay as they are.
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
        let mut unreadable = 0;
        let mut report = |failure: Failure| {
            unreadable += 1;
            failure.report(&invocation.output);
        };
        let kept = environments.list(&mut report)?;
        let mut left: Vec<_> =
            kept.into_iter().filter(|kept| kept.id != id).map(|kept| kept.environment).collect();
        for fork in Fork::all(&places)? {
            match environments.find(&fork.document().to_string_lossy()) {
                Ok(environment) => left.push(environment),
                Err(failure) => report(failure),
            }
        }
        let copies = Copies::of(&places);
        // What is needed by those that can't be read is not known.
        if unreadable > 0 {
            return environments.remove(id);
        }
        copies.check_unused_but_by(&left)?;
        environments.remove(id)?;
        copies.retain(&left)
    }
}
