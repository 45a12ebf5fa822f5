//! `varve env list`: the kept environments.

use clap::Args;
use serde::Serialize;

use crate::cli::ListingOptions;
use crate::environments::{Environments, Kept};
use crate::failure::Failure;
use crate::invocation::Invocation;
use crate::output::Row;

/// List the environments that are kept here
#[derive(Args, Debug)]
pub(crate) struct List {
    #[command(flatten)]
    listing: ListingOptions,
}

#[derive(Serialize)]
struct Listed {
    id: String,
    names: Vec<String>,
    architecture: String,
    system: Option<String>,
    software: Vec<String>,
    description: Option<String>,
    #[serde(skip)]
    short: String,
}

impl Row for Listed {
    const HEADINGS: &'static [&'static str] = &["NAME", "ID", "SYSTEM", "SOFTWARE"];

    fn cells(&self) -> Vec<String> {
        let system = self.system.clone().unwrap_or_else(|| "the host's".to_owned());
        vec![self.names.join(", "), self.short.clone(), system, self.software.join(", ")]
    }
}

impl From<Kept> for Listed {
    fn from(kept: Kept) -> Self {
        let environment = &kept.environment;
        Self {
            id: kept.id.to_string(),
            short: kept.id.short(),
            names: kept.names.iter().map(ToString::to_string).collect(),
            architecture: environment.architecture.to_string(),
            system: environment.system.as_ref().map(super::show::target),
            software: environment.software.iter().map(super::show::target).collect(),
            description: environment.hints.description.clone(),
        }
    }
}

impl List {
    pub(crate) fn run(self, invocation: &Invocation) -> Result<(), Failure> {
        let environments = Environments::of(&invocation.places()?);
        let kept = environments.list(&mut |failure| failure.report(&invocation.output))?;
        let rows: Vec<Listed> = kept.into_iter().map(Listed::from).collect();
        invocation.output.listing(self.listing, &rows)
    }
}
