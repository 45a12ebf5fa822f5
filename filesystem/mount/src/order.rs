//! What is to be mounted where, in the form that is handed from process to process.

use std::ffi::OsString;
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use serde::{Deserialize, Serialize};

/// What is to be mounted where.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct MountOrder {
    /// The mount point, absolute.
    pub directory: PathBuf,
    /// What the mount table shows as the source, such as the repository's name.
    pub source: String,
    /// Who may enter.
    pub access: Access,
    /// Whether set-user-id and set-group-id bits count.
    pub set_id: bool,
    /// How the program starts itself anew as supervisor and as worker.
    pub relaunch: Relaunch,
    /// What the program's worker makes its plan of. Opaque here.
    pub settings: serde_json::Value,
    /// Where supervisor and worker write their messages; nowhere without it, unless the mount stays in the foreground.
    pub log: Option<PathBuf>,
    /// Act as on kernels before 6.9, that can't resend requests: a crash then costs the requests in flight.
    #[serde(default)]
    pub without_resend: bool,
    /// Say that there are no extended attributes. An overlay over the mount asks for one of every file that it comes across,
    /// and the kernel doesn't keep the answers.
    #[serde(default)]
    pub without_attributes: bool,
}

/// Who may enter a mount.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Access {
    /// Every user, as the permissions of the files say.
    Everyone,
    /// Only the user that mounted.
    Owner,
}

/// How the program starts itself anew.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Relaunch {
    /// The executable.
    pub program: PathBuf,
    /// The name under which it shows among the processes, instead of its path: systemd lets processes whose name begins with
    /// `@` live on when it ends all others.
    #[serde(default)]
    pub shown_as: Option<OsString>,
    /// Its arguments for becoming a supervisor, which is to call [`crate::supervisor`].
    pub supervisor: Vec<OsString>,
    /// Its arguments for becoming a worker, which is to call [`crate::worker`].
    pub worker: Vec<OsString>,
}

impl Relaunch {
    /// The program with arguments, its standard input being `link`, in the root directory: it outlives the directory that its
    /// caller works in.
    pub(crate) fn command(&self, arguments: &[OsString], link: OwnedFd) -> Command {
        let mut command = Command::new(&self.program);
        if let Some(name) = &self.shown_as {
            command.arg0(name);
        }
        command.args(arguments).current_dir("/").stdin(Stdio::from(link)).stdout(Stdio::null());
        command
    }
}
