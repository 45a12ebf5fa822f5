//! The user data that a verb is about, and the keys that open their secrets.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use clap::Args;
use varve_context::{Context, Identity, Notice, read};

use crate::exit_code::ExitCode;
use crate::failure::Failure;
use crate::invocation::Invocation;

/// More is no user data; the reader refuses it again, and says so.
const MAX_BYTES: u64 = 64 << 20;

/// User data.
#[derive(Args, Debug)]
pub(super) struct Input {
    /// The user data, in any form; - for standard input
    #[arg(value_name = "FILE")]
    file: PathBuf,
}

impl Input {
    /// Reads them, and makes of them what can be made.
    pub(super) fn read(&self) -> Result<Context, Failure> {
        Ok(read(&bytes(&self.file)?))
    }

    /// What a message calls them.
    pub(super) fn name(&self) -> String {
        if self.file == Path::new("-") {
            "standard input".to_owned()
        } else {
            self.file.display().to_string()
        }
    }

    /// Says what was found, the errors last said by the exit code.
    pub(super) fn report(&self, invocation: &Invocation, notices: &[Notice]) {
        for notice in notices {
            invocation.output.say(format_args!("{}: {notice}", self.name()));
        }
    }

    /// The failure of user data that have errors.
    pub(super) fn wrong(&self, errors: usize) -> Failure {
        let problems = if errors == 1 { "one error" } else { "errors" };
        Failure::new(ExitCode::Usage, format!("{problems} in {}", self.name()))
    }
}

/// A file's bytes, or those of standard input, as far as they could be user data.
pub(super) fn bytes(file: &Path) -> Result<Vec<u8>, Failure> {
    let mut bytes = Vec::new();
    let read = if file == Path::new("-") {
        io::stdin().take(MAX_BYTES).read_to_end(&mut bytes)
    } else {
        File::open(file).and_then(|file| file.take(MAX_BYTES).read_to_end(&mut bytes))
    };
    read.map(|_| bytes).map_err(|error| Failure::io("read", file, error))
}

/// The keys in files, by which secrets are opened.
pub(super) fn identities(files: &[PathBuf]) -> Result<Vec<Identity>, Failure> {
    let mut identities = Vec::new();
    for file in files {
        let text = String::from_utf8_lossy(&bytes(file)?).into_owned();
        identities.extend(Identity::parse_file(&text).map_err(Failure::usage_error)?);
    }
    Ok(identities)
}
