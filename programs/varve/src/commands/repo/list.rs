//! `varve repo list`: which repositories lie on this machine, and where.

use std::fs;
use std::io;
use std::path::PathBuf;

use clap::Args;
use serde::Serialize;
use varve_repository::RepositoryName;

use crate::cli::ListingOptions;
use crate::failure::Failure;
use crate::invocation::Invocation;
use crate::output::Row;

/// List the repositories of this machine
#[derive(Args, Debug)]
pub(crate) struct List {
    #[command(flatten)]
    listing: ListingOptions,
}

/// One repository.
#[derive(Serialize)]
struct Listed {
    name: String,
    directory: PathBuf,
}

impl Row for Listed {
    const HEADINGS: &'static [&'static str] = &["NAME", "DIRECTORY"];

    fn cells(&self) -> Vec<String> {
        vec![self.name.clone(), self.directory.display().to_string()]
    }
}

impl List {
    pub(crate) fn run(self, invocation: &Invocation) -> Result<(), Failure> {
        let directory = invocation.places()?.repositories();
        let entries = match fs::read_dir(&directory) {
            Ok(entries) => entries.collect::<Result<Vec<_>, _>>(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
            Err(error) => Err(error),
        }
        .map_err(|error| Failure::io("list", &directory, error))?;
        let mut rows: Vec<Listed> = entries
            .into_iter()
            .filter_map(|entry| {
                let name: RepositoryName = entry.file_name().to_str()?.parse().ok()?;
                Some(Listed { name: name.as_str().to_owned(), directory: entry.path() })
            })
            .collect();
        rows.sort_by(|a, b| a.name.cmp(&b.name));
        invocation.output.listing(self.listing, &rows)
    }
}
