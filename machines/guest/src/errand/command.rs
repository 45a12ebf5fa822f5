//! The hidden command that becomes the sandbox: a process with a single thread, of the user who is to run the command.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::Path;

use serde::{Deserialize, Serialize};
use varve_sandbox::Place;
use varve_sandbox::errand::{Errand, Failed, Pieces};

use super::{ORDER, OUTCOME, SCAFFOLD};

/// What came of it.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Outcome {
    /// It has ended with this code.
    Ended(u8),
    /// It was not run.
    Failed(Failed),
}

/// Runs the command that the order says; an archive of what it wrote goes to the device `written`.
///
/// # Errors
/// If not even that can be told.
pub fn run(written: Option<&Path>) -> io::Result<()> {
    let mut outcome = File::options().write(true).open(OUTCOME)?;
    let said = match attempt(written) {
        Ok(said) => said,
        Err(failed) => Outcome::Failed(failed),
    };
    outcome.write_all(&serde_json::to_vec(&said)?)
}

fn attempt(written: Option<&Path>) -> Result<Outcome, Failed> {
    let errand: Errand = fs::read(ORDER)
        .and_then(|text| Ok(serde_json::from_slice(&text)?))
        .map_err(failed("read the order"))?;
    if errand.terminal.is_some() {
        rustix::process::setsid().map_err(failed("make a session"))?;
        rustix::process::ioctl_tiocsctty(io::stdin()).map_err(failed("take the terminal"))?;
    }
    let place = Place { scaffold: SCAFFOLD.into(), namespaces: None };
    let mut running = errand.sandbox.start(&errand.command, &place, None, None)?;
    let exit = running.wait(None, None)?;
    if let Some(device) = written {
        let channel = File::options().write(true).open(device).map_err(failed("send what was written"))?;
        let mut pieces = Pieces::new(channel);
        running.send_written(&mut pieces)?;
        pieces.finish().map_err(failed("send what was written"))?;
    }
    Ok(Outcome::Ended(exit.code))
}

fn failed<E: Into<io::Error>>(action: &'static str) -> impl FnOnce(E) -> Failed {
    move |error| Failed {
        message: format!("in the machine: cannot {action}: {}", error.into()),
        hint: None,
        not_executed: None,
    }
}
