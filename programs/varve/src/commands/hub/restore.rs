//! `varve hub restore`.

use std::fs::File;
use std::io::BufReader;
use std::path::PathBuf;

use clap::Args;
use varve_chassis::db::restore;
use varve_portal::SCHEMA;

use super::place::Place;
use crate::failure::Failure;
use crate::invocation::Invocation;

/// Read a backup into an empty database, of the same kind or another
#[derive(Args, Debug)]
pub(crate) struct Restore {
    /// The backup
    #[arg(value_name = "FILE")]
    file: PathBuf,
    #[command(flatten)]
    place: Place,
}

impl Restore {
    pub(crate) fn run(self, invocation: &Invocation) -> Result<(), Failure> {
        let location = self.place.location(invocation)?;
        let file = File::open(&self.file).map_err(|error| Failure::io("open", &self.file, error))?;
        let rows = restore(&location, &[SCHEMA], &mut BufReader::new(file))?;
        invocation.output.say(format_args!("{rows} rows are in {location}"));
        Ok(())
    }
}
