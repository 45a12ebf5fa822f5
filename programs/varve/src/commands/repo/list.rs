//! `varve repo list`: which repositories lie on this machine, how far they are, and where.

use std::fs;
use std::io;

use clap::Args;
use indicatif::{HumanBytes, HumanCount};
use serde::Serialize;
use varve_publish::info;
use varve_repository::RepositoryName;

use super::{local, tag};
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

/// One repository. Of one that can't be read only name and directory are known.
#[derive(Serialize)]
struct Listed {
    name: String,
    revision: Option<u64>,
    published: Option<String>,
    tags: Option<u64>,
    files: Option<u64>,
    bytes: Option<u64>,
    directory: String,
}

impl Row for Listed {
    const HEADINGS: &'static [&'static str] =
        &["NAME", "REVISION", "PUBLISHED", "TAGS", "FILES", "SIZE", "DIRECTORY"];
    const NUMBERS: &'static [usize] = &[1, 3, 4, 5];

    fn cells(&self) -> Vec<String> {
        let count = |number: Option<u64>| or_dash(number.map(|number| HumanCount(number).to_string()));
        vec![
            self.name.clone(),
            count(self.revision),
            or_dash(self.published.clone()),
            count(self.tags),
            count(self.files),
            or_dash(self.bytes.map(|bytes| HumanBytes(bytes).to_string())),
            self.directory.clone(),
        ]
    }
}

fn or_dash(text: Option<String>) -> String {
    text.unwrap_or_else(|| "-".to_owned())
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
        let mut names: Vec<RepositoryName> =
            entries.into_iter().filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect();
        names.sort();
        let rows = names.iter().map(|name| look(invocation, name)).collect::<Result<Vec<_>, _>>()?;
        invocation.output.listing(self.listing, &rows)
    }
}

/// What the manifest, the history and the root catalog say; a warning if they can't be read.
fn look(invocation: &Invocation, name: &RepositoryName) -> Result<Listed, Failure> {
    let local = local::repository(invocation, name)?;
    let info = info(&local, invocation.now())
        .inspect_err(|error| invocation.output.warn(format!("{name}: {error}")))
        .ok();
    let info = info.as_ref();
    Ok(Listed {
        name: name.to_string(),
        revision: info.map(|info| info.revision),
        published: info.map(|info| tag::time(info.published)),
        tags: info.map(|info| info.tags),
        files: info.map(|info| info.counters.regular_files),
        bytes: info.map(|info| info.counters.file_bytes),
        directory: info
            .map_or_else(|| local.directory.display().to_string(), |info| local.place(&info.settings)),
    })
}
