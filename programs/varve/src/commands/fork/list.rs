//! `varve fork list`.

use clap::Args;
use serde::Serialize;

use crate::cli::ListingOptions;
use crate::environments::Environments;
use crate::failure::Failure;
use crate::forks::Fork;
use crate::invocation::Invocation;
use crate::output::Row;

/// List forks
#[derive(Args, Debug)]
#[command(visible_alias = "ls")]
pub(crate) struct List {
    #[command(flatten)]
    listing: ListingOptions,
}

/// A fork.
#[derive(Serialize)]
struct Listed {
    name: String,
    environment: String,
    running: bool,
    /// Seconds since 1970.
    made: Option<u64>,
}

impl Row for Listed {
    const HEADINGS: &'static [&'static str] = &["NAME", "ENVIRONMENT", "RUNS", "MADE"];

    fn cells(&self) -> Vec<String> {
        let made = self.made.and_then(|made| jiff::Timestamp::from_second(i64::try_from(made).ok()?).ok());
        vec![
            self.name.clone(),
            self.environment.clone(),
            if self.running { "yes" } else { "no" }.to_owned(),
            made.map_or_else(|| "-".to_owned(), |made| made.to_string()),
        ]
    }
}

impl List {
    pub(crate) fn run(self, invocation: &Invocation) -> Result<(), Failure> {
        let places = invocation.places()?;
        let mut rows = vec![];
        for fork in Fork::all(&places)? {
            let environment = Environments::of(&places).find(&fork.document().to_string_lossy())?;
            let made = fork.made().and_then(|made| made.duration_since(std::time::UNIX_EPOCH).ok());
            rows.push(Listed {
                name: fork.name.as_str().to_owned(),
                environment: environment.id().short(),
                running: fork.is_running(),
                made: made.map(|made| made.as_secs()),
            });
        }
        invocation.output.listing(self.listing, &rows)
    }
}
