//! What can go wrong with a machine, for whatever back end.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::hypervisor::PowerState;
use crate::image_format::ImageError;
use crate::spec::{MachineName, SnapshotName, SpecError};

/// Why something was not done to a machine.
#[derive(Debug, thiserror::Error)]
pub enum HypervisorError {
    /// A machine that can't be.
    #[error(transparent)]
    Spec(#[from] SpecError),
    /// An image that can't be used.
    #[error(transparent)]
    Image(#[from] ImageError),
    /// No machine has this name.
    #[error("there is no machine {name}")]
    Unknown {
        /// The name.
        name: MachineName,
    },
    /// A machine has this name already.
    #[error("there is a machine {name} already")]
    Exists {
        /// The name.
        name: MachineName,
    },
    /// Somebody else changes it.
    #[error("machine {name} is being worked on by another process")]
    Busy {
        /// The name.
        name: MachineName,
    },
    /// Somebody else is at its console.
    #[error("the console of machine {name} is in use")]
    ConsoleBusy {
        /// The name.
        name: MachineName,
    },
    /// It is not in a state for that.
    #[error("machine {name} is {state}")]
    State {
        /// The name.
        name: MachineName,
        /// How it is.
        state: PowerState,
        /// What can be done.
        hint: &'static str,
    },
    /// No snapshot has this name, or one has it already.
    #[error("machine {name} has {} snapshot {snapshot}", if *.there { "already a" } else { "no" })]
    Snapshot {
        /// The machine.
        name: MachineName,
        /// The name asked for.
        snapshot: SnapshotName,
        /// Whether it is there.
        there: bool,
    },
    /// A program that isn't installed.
    #[error("{program} is not installed")]
    Missing {
        /// Its name.
        program: String,
        /// What brings it on Debian.
        package: &'static str,
    },
    /// A file of the firmware that isn't installed.
    #[error("no {firmware} firmware for machines was found in {places}")]
    NoFirmware {
        /// Which.
        firmware: &'static str,
        /// Where it was looked for.
        places: String,
        /// What brings it on Debian.
        package: &'static str,
    },
    /// What this back end can't do.
    #[error("{back_end} {what}")]
    Unsupported {
        /// The back end.
        back_end: &'static str,
        /// What it doesn't do, as a verb.
        what: String,
    },
    /// An accelerator that was demanded and doesn't work.
    #[error("KVM was asked for, but {why}")]
    NoAccelerator {
        /// Why not.
        why: String,
    },
    /// A program that failed, in its own words.
    #[error("{program} could not {action} machine {name}: {said}")]
    Program {
        /// The program.
        program: String,
        /// What it was to do.
        action: &'static str,
        /// For which machine.
        name: String,
        /// What it said.
        said: String,
    },
    /// A monitor that refused, or said nothing sensible.
    #[error("the monitor of machine {name} failed at {command}: {said}")]
    Monitor {
        /// The machine.
        name: String,
        /// The command.
        command: String,
        /// Its answer.
        said: String,
    },
    /// What didn't happen in time.
    #[error("machine {name} {what} within {} s", .limit.as_secs())]
    Late {
        /// The machine.
        name: String,
        /// What it didn't do.
        what: &'static str,
        /// How long it had.
        limit: Duration,
        /// What can be done.
        hint: &'static str,
    },
    /// A file whose contents are not ours.
    #[error("{path} is damaged")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// Where.
        #[source]
        source: serde_json::Error,
    },
    /// A file or directory.
    #[error("cannot {action} {path}")]
    Io {
        /// What was to be done.
        action: &'static str,
        /// To which.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
}

impl HypervisorError {
    /// For `map_err`: what was being done to which file.
    pub(crate) fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self + use<> {
        let path = path.to_owned();
        move |source| Self::Io { action, path, source }
    }

    /// What a person can do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Image(error) => error.hint(),
            Self::Unknown { .. } => Some("`varve vm list` shows all machines".to_owned()),
            Self::Exists { .. } => {
                Some("give another --name, or remove the old one with `varve vm delete`".to_owned())
            }
            Self::State { hint, .. } | Self::Late { hint, .. } => {
                (!hint.is_empty()).then(|| (*hint).to_owned())
            }
            Self::Missing { package, .. } | Self::NoFirmware { package, .. } => {
                Some(format!("install it; on Debian: apt install {package}"))
            }
            Self::ConsoleBusy { .. } => {
                Some("`varve vm console --log --follow` shows what it writes as well".to_owned())
            }
            Self::NoAccelerator { .. } => {
                Some("without --accelerator kvm the machine runs in emulation, slower".to_owned())
            }
            _ => None,
        }
    }
}
