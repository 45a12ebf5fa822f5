//! `varve os list`: the ready lists of packages.

use clap::Args;
use serde::Serialize;
use varve_packages::{READY_LISTS, ReadyList};

use crate::cli::ListingOptions;
use crate::exit_code::ExitCode;
use crate::failure::Failure;
use crate::invocation::Invocation;
use crate::output::Row;

/// Show the lists of packages that come with Varve
#[derive(Args, Debug)]
#[command(
    after_help = "Examples:\n  varve os lock basic\n  varve os list worker > own.toml   # to begin an own list with"
)]
pub(crate) struct List {
    /// Print this list itself
    list: Option<String>,
    #[command(flatten)]
    listing: ListingOptions,
}

#[derive(Serialize)]
struct Listed {
    name: &'static str,
    purpose: &'static str,
}

impl Row for Listed {
    const HEADINGS: &'static [&'static str] = &["LIST", "PURPOSE"];

    fn cells(&self) -> Vec<String> {
        vec![self.name.to_owned(), self.purpose.to_owned()]
    }
}

impl List {
    pub(crate) fn run(self, invocation: &Invocation) -> Result<(), Failure> {
        let Some(name) = self.list else {
            let rows = READY_LISTS.map(|list| Listed { name: list.name, purpose: list.purpose() });
            return invocation.output.listing(self.listing, &rows);
        };
        match ReadyList::find(&name) {
            Some(list) => invocation.output.write(list.text.as_bytes()),
            None => Err(Failure::new(ExitCode::NotFound, format!("there is no ready list '{name}'"))
                .hint("`varve os list` shows all of them")),
        }
    }
}
