//! `varve context keygen`: a key that secrets can be sealed to.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::PathBuf;

use clap::Args;
use varve_context::Identity;

use crate::failure::Failure;
use crate::invocation::Invocation;

/// Make a key that secrets can be sealed to
#[derive(Args, Debug)]
pub(crate) struct Keygen {
    /// The file that the secret half is written to; it must not be there
    #[arg(value_name = "FILE")]
    file: PathBuf,
}

impl Keygen {
    pub(crate) fn run(self, invocation: &Invocation) -> Result<(), Failure> {
        let identity = Identity::generate();
        let failed = |error| Failure::io("write", &self.file, error);
        let mut file =
            OpenOptions::new().write(true).create_new(true).mode(0o600).open(&self.file).map_err(failed)?;
        file.write_all(identity.to_file().as_bytes()).and_then(|()| file.sync_all()).map_err(failed)?;
        invocation.output.line(identity.recipient())
    }
}
