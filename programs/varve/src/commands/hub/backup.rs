//! `varve hub backup`.

use std::fs::{self, OpenOptions};
use std::io::{BufWriter, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::PathBuf;

use clap::Args;
use varve_chassis::db::dump;
use varve_portal::SCHEMA;

use super::place::Place;
use crate::failure::Failure;
use crate::invocation::Invocation;

/// Write all that the hub knows into a file, while it may be running
///
/// The file holds hashes of passwords and the contents of contexts: keep it as you keep the database.
#[derive(Args, Debug)]
pub(crate) struct Backup {
    /// The file; it must not be there yet
    #[arg(value_name = "FILE")]
    file: PathBuf,
    #[command(flatten)]
    place: Place,
}

impl Backup {
    pub(crate) fn run(self, invocation: &Invocation) -> Result<(), Failure> {
        let location = self.place.location(invocation)?;
        let failed = |action| {
            let file = self.file.clone();
            move |error| Failure::io(action, &file, error)
        };
        let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&self.file);
        let mut out = BufWriter::new(file.map_err(failed("create"))?);
        let written = dump(&location, &[SCHEMA], &mut out);
        let rows = written.inspect_err(|_| {
            // What is there is no backup.
            let _ = fs::remove_file(&self.file);
        })?;
        out.flush().map_err(failed("write"))?;
        out.get_ref().sync_all().map_err(failed("write"))?;
        invocation.output.say(format_args!("{rows} rows of {location} are in {}", self.file.display()));
        Ok(())
    }
}
