//! The forks of this user: named copies of environments, each with what was written in it.
//!
//! ```text
//! forks/NAME/environment.toml   the environment, as it was when the fork was made
//! forks/NAME/written/           what was written: an overlay's upper and work directories; locked while a command runs
//! forks/NAME/process            the number of the process that runs a command
//! ```
//!
//! The document comes last, and goes first: a directory without it is no fork.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use rustix::fs::{FlockOperation, Mode, OFlags};
use rustix::process::{Pid, Signal, kill_process};
use varve_environment::{Environment, EnvironmentName};

use crate::exit_code::ExitCode;
use crate::failure::Failure;
use crate::places::Places;

const DOCUMENT: &str = "environment.toml";
/// How long a command may take to end before it is killed.
const PATIENCE: Duration = Duration::from_secs(10);
const STEP: Duration = Duration::from_millis(20);

/// One fork.
#[derive(Clone, Debug)]
pub(crate) struct Fork {
    pub(crate) name: EnvironmentName,
    directory: PathBuf,
}

impl Fork {
    /// The fork of this name, whether it exists or not.
    pub(crate) fn of(places: &Places, name: EnvironmentName) -> Self {
        Self { directory: places.forks().join(name.as_str()), name }
    }

    /// All that exist, by name.
    pub(crate) fn all(places: &Places) -> Result<Vec<Self>, Failure> {
        let entries = match fs::read_dir(places.forks()) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(vec![]),
            result => result.map_err(|error| Failure::io("list", places.forks(), error))?,
        };
        let name = |entry: fs::DirEntry| entry.file_name().to_str()?.parse().ok();
        let mut forks: Vec<Self> = entries
            .flatten()
            .filter_map(name)
            .map(|name| Self::of(places, name))
            .filter(Self::exists)
            .collect();
        forks.sort_by(|one, other| one.name.as_str().cmp(other.name.as_str()));
        Ok(forks)
    }

    pub(crate) fn exists(&self) -> bool {
        self.document().is_file()
    }

    /// The same, if it exists.
    pub(crate) fn existing(self) -> Result<Self, Failure> {
        if self.exists() {
            return Ok(self);
        }
        Err(Failure::new(ExitCode::NotFound, format!("there is no fork '{}'", self.name.as_str()))
            .hint("`varve fork list` shows all; `varve fork NAME --env ENV` makes one"))
    }

    /// Makes it.
    pub(crate) fn create(&self, environment: &Environment) -> Result<(), Failure> {
        let written = self.written();
        fs::create_dir_all(&written).map_err(|error| Failure::io("create", &written, error))?;
        let beside = self.directory.join("environment.new");
        fs::write(&beside, environment.to_text())
            .and_then(|()| fs::rename(&beside, self.document()))
            .map_err(|error| Failure::io("write", &self.document(), error))
    }

    /// Its environment's document.
    pub(crate) fn document(&self) -> PathBuf {
        self.directory.join(DOCUMENT)
    }

    /// The directory of what was written.
    pub(crate) fn written(&self) -> PathBuf {
        self.directory.join("written")
    }

    /// When it was made.
    pub(crate) fn made(&self) -> Option<SystemTime> {
        fs::metadata(self.document()).and_then(|status| status.modified()).ok()
    }

    /// Notes that this process runs its command.
    pub(crate) fn note_process(&self) -> Result<(), Failure> {
        let path = self.directory.join("process");
        fs::write(&path, std::process::id().to_string()).map_err(|error| Failure::io("write", &path, error))
    }

    /// Whether a command runs in it.
    pub(crate) fn is_running(&self) -> bool {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let Ok(written) = rustix::fs::open(self.written(), flags, Mode::empty()) else { return false };
        rustix::fs::flock(&written, FlockOperation::NonBlockingLockExclusive)
            == Err(rustix::io::Errno::WOULDBLOCK)
    }

    /// Ends its command: asks, and kills it some seconds later. Returns whether there was one.
    pub(crate) fn stop(&self) -> Result<bool, Failure> {
        if !self.is_running() {
            return Ok(false);
        }
        for signal in [Signal::TERM, Signal::KILL] {
            let noted = fs::read_to_string(self.directory.join("process")).ok();
            let process = noted.and_then(|number| Pid::from_raw(number.trim().parse().ok()?));
            if let (Some(process), true) = (process, self.is_running()) {
                // It may have ended just now.
                let _ = kill_process(process, signal);
            }
            for _ in 0..PATIENCE.as_millis() / STEP.as_millis() {
                if !self.is_running() {
                    return Ok(true);
                }
                std::thread::sleep(STEP);
            }
        }
        let what = format!("the command in the fork '{}' does not end", self.name.as_str());
        Err(Failure::new(ExitCode::Busy, what))
    }

    /// Removes it and all that was written.
    pub(crate) fn destroy(&self) -> Result<(), Failure> {
        let failed = |error| Failure::io("remove", &self.directory, error);
        match fs::remove_file(self.document()) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed(error)),
            _ => {}
        }
        open_all(&self.directory);
        fs::remove_dir_all(&self.directory).map_err(failed)
    }
}

/// Lets this user into every directory, whatever was made of it inside.
fn open_all(directory: &Path) {
    // What fails here is told by the removal.
    let _ = fs::set_permissions(directory, fs::Permissions::from_mode(0o700));
    for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            open_all(&entry.path());
        }
    }
}
