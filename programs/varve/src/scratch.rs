//! A throw-away installation for `varve demo` and `varve bench`: own directories, own server, own mounts, all gone at the end.
//!
//! It runs the program itself with the commands that a user would type; it knows nothing of what they do.

use std::fs::File;
use std::io::{self, Read as _, Seek as _};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::environment;

/// How often a running command and the interrupt flag are looked at.
const POLL: Duration = Duration::from_millis(5);

/// The longest that anything is waited for.
const PATIENCE: Duration = Duration::from_secs(60);

/// A temporary home of the program. Dropping it unmounts, stops the server and removes everything.
pub(crate) struct Scratch {
    directory: tempfile::TempDir,
    program: PathBuf,
    server: Option<Server>,
    mounts: Vec<PathBuf>,
    interrupted: Arc<AtomicBool>,
}

struct Server {
    child: Child,
    port: u16,
}

/// Whether a command's talk (standard error) is shown while it runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Talk {
    /// On this program's standard error.
    Shown,
    /// Only if the command fails.
    Kept,
}

/// What a finished command printed and took.
#[derive(Debug)]
pub(crate) struct Finished {
    /// Standard output.
    pub(crate) stdout: String,
    /// Wall-clock time.
    pub(crate) elapsed: Duration,
    /// The most memory that it was seen to have at a time, in bytes.
    pub(crate) peak_memory: u64,
}

impl Finished {
    /// The standard output as JSON.
    pub(crate) fn json(&self) -> Result<serde_json::Value, ScratchError> {
        serde_json::from_str(&self.stdout).map_err(|source| ScratchError::Json { source })
    }
}

impl Scratch {
    /// An empty installation below `parent`, which should be on a real disk.
    pub(crate) fn new(parent: &Path) -> Result<Self, ScratchError> {
        let action = format!("create a directory in {}", parent.display());
        let directory =
            tempfile::Builder::new().prefix("varve-").tempdir_in(parent).map_err(io_error(action))?;
        let interrupted = Arc::new(AtomicBool::new(false));
        for signal in [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM, signal_hook::consts::SIGHUP]
        {
            signal_hook::flag::register(signal, Arc::clone(&interrupted))
                .map_err(io_error("watch for signals"))?;
        }
        let program = std::env::current_exe().map_err(io_error("find this program"))?;
        Ok(Self { directory, program, server: None, mounts: vec![], interrupted })
    }

    /// A path inside the installation.
    pub(crate) fn path(&self, relative: &str) -> PathBuf {
        self.directory.path().join(relative)
    }

    /// A directory inside the installation, made if it isn't there.
    pub(crate) fn create_directory(&self, relative: &str) -> Result<PathBuf, ScratchError> {
        let path = self.path(relative);
        std::fs::create_dir_all(&path).map_err(io_error(format!("create {}", path.display())))?;
        Ok(path)
    }

    /// Fails once somebody has asked the program to stop.
    pub(crate) fn check_interrupted(&self) -> Result<(), ScratchError> {
        if self.interrupted.load(Ordering::Relaxed) { Err(ScratchError::Interrupted) } else { Ok(()) }
    }

    /// A command of this program in this installation; arguments are still to be added.
    pub(crate) fn varve(&self, words: &str) -> Command {
        let mut command = Command::new(&self.program);
        command.args(words.split(' ')).env(environment::VARVE_HOME.name, self.path("home"));
        command
    }

    /// Runs a command to its end; one that fails is an error with what it said.
    pub(crate) fn run(&self, command: &mut Command, talk: Talk) -> Result<Finished, ScratchError> {
        self.check_interrupted()?;
        let file = || tempfile::tempfile().map_err(io_error("create a temporary file"));
        let (out, err) = (file()?, file()?);
        let copy = |file: &File| file.try_clone().map_err(io_error("use a temporary file"));
        command.stdin(Stdio::null()).stdout(copy(&out)?);
        if talk == Talk::Kept {
            command.stderr(copy(&err)?);
        }
        let begun = Instant::now();
        let mut child =
            command.spawn().map_err(|source| ScratchError::Start { command: shown(command), source })?;
        let mut peak_memory = 0;
        let status = loop {
            peak_memory = peak_memory.max(peak_memory_of(child.id()));
            if let Some(status) = child.try_wait().map_err(io_error("wait for a command"))? {
                break status;
            }
            if let Err(interrupted) = self.check_interrupted() {
                stop(&mut child);
                return Err(interrupted);
            }
            std::thread::sleep(POLL.min(begun.elapsed() / 20));
        };
        let elapsed = begun.elapsed();
        let stdout = contents(out)?;
        if status.success() {
            return Ok(Finished { stdout, elapsed, peak_memory });
        }
        self.check_interrupted()?;
        let said = format!("{}{}", contents(err)?, stdout).trim().to_owned();
        Err(ScratchError::Failed { command: shown(command), status, said })
    }

    /// Starts `varve serve` on a free port of the loopback interface, and waits until it answers.
    pub(crate) fn start_server(&mut self) -> Result<(), ScratchError> {
        self.start_server_with(&[])
    }

    /// Likewise, with more arguments.
    pub(crate) fn start_server_with(&mut self, arguments: &[&str]) -> Result<(), ScratchError> {
        let port = TcpListener::bind("127.0.0.1:0")
            .and_then(|listener| listener.local_addr())
            .map_err(io_error("find a free port"))?
            .port();
        let log = File::create(self.path("serve.log")).map_err(io_error("create the server's log"))?;
        let mut command = self.varve("serve --listen");
        command.arg(format!("127.0.0.1:{port}")).args(arguments);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        let child =
            command.spawn().map_err(|source| ScratchError::Start { command: shown(&command), source })?;
        self.server = Some(Server { child, port });
        self.wait_for("the server", || TcpStream::connect(("127.0.0.1", port)).is_ok())
    }

    /// Stops the server.
    pub(crate) fn stop_server(&mut self) {
        if let Some(mut server) = self.server.take() {
            stop(&mut server.child);
        }
    }

    /// The base address of the server.
    pub(crate) fn address(&self) -> Result<String, ScratchError> {
        let server = self.server.as_ref().ok_or(ScratchError::NoServer)?;
        Ok(format!("http://127.0.0.1:{}", server.port))
    }

    /// The command that mounts `repository` (behind `@` perhaps a tag) on a directory, with an own cache.
    pub(crate) fn mount_command(
        &self,
        repository: &str,
        at: &Path,
        cache: &str,
    ) -> Result<Command, ScratchError> {
        let name = repository.split('@').next().unwrap_or(repository);
        let mut command = self.varve("mount");
        command.arg(repository).arg(at);
        command.arg("--server").arg(format!("{}/cvmfs/{name}", self.address()?));
        command.arg("--key").arg(self.path("home/keys").join(format!("{name}.pub")));
        command.arg("--cache").arg(self.path(cache));
        Ok(command)
    }

    /// Mounts as [`Self::mount_command`] does and returns where, and how long it took.
    pub(crate) fn mount(
        &mut self,
        repository: &str,
        at: &str,
        cache: &str,
    ) -> Result<(PathBuf, Duration), ScratchError> {
        let directory = self.create_directory(at)?;
        let mut command = self.mount_command(repository, &directory, cache)?;
        // From here on there may be a mount, whatever the command says.
        self.mounts.push(directory.clone());
        let finished = self.run(&mut command, Talk::Kept)?;
        Ok((directory, finished.elapsed))
    }

    /// Unmounts what [`Self::mount`] mounted.
    pub(crate) fn unmount(&mut self, directory: &Path) -> Result<(), ScratchError> {
        self.run(self.varve("umount").arg(directory), Talk::Kept)?;
        self.mounts.retain(|mounted| mounted != directory);
        Ok(())
    }

    /// What `varve status` says of the repository mounted on a directory; null if it says nothing.
    pub(crate) fn status(&self, directory: &Path) -> Result<serde_json::Value, ScratchError> {
        let mut listed = self.run(&mut self.varve("status --json"), Talk::Kept)?.json()?;
        let here = |mount: &&mut serde_json::Value| {
            mount.get("directory").and_then(serde_json::Value::as_str).map(Path::new) == Some(directory)
        };
        let found = listed.as_array_mut().and_then(|mounts| mounts.iter_mut().find(here));
        Ok(found.map(serde_json::Value::take).unwrap_or_default())
    }

    /// Waits until `condition` holds.
    pub(crate) fn wait_for(
        &self,
        what: &'static str,
        mut condition: impl FnMut() -> bool,
    ) -> Result<(), ScratchError> {
        let end = Instant::now() + PATIENCE;
        while !condition() {
            self.check_interrupted()?;
            if Instant::now() > end {
                return Err(ScratchError::Late { what });
            }
            std::thread::sleep(POLL);
        }
        Ok(())
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        for directory in std::mem::take(&mut self.mounts) {
            let mut command = self.varve("umount --lazy");
            command.arg(&directory).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
            if !command.status().is_ok_and(|status| status.success()) {
                tracing::debug!("{} was not mounted any more", directory.display());
            }
        }
        self.stop_server();
    }
}

/// Why a step in a throw-away installation failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ScratchError {
    /// A file or process operation.
    #[error("cannot {action}")]
    Io {
        action: String,
        #[source]
        source: io::Error,
    },
    /// A program that isn't there, or can't run.
    #[error("cannot start '{command}'")]
    Start {
        command: String,
        #[source]
        source: io::Error,
    },
    /// A command ended with an error.
    #[error("'{command}' failed ({status}): {said}")]
    Failed { command: String, status: ExitStatus, said: String },
    /// Data that should have been JSON.
    #[error("a command did not print JSON")]
    Json {
        #[source]
        source: serde_json::Error,
    },
    /// A step that needs the server came before it was started, or behind its end.
    #[error("the server is not running")]
    NoServer,
    /// Something that should happen did not.
    #[error("{what} did not come in time")]
    Late { what: &'static str },
    /// Somebody pressed Ctrl-C.
    #[error("interrupted; everything has been cleaned up")]
    Interrupted,
}

/// For `map_err`: what was being done when the operating system refused.
pub(crate) fn io_error(action: impl Into<String>) -> impl FnOnce(io::Error) -> ScratchError {
    |source| ScratchError::Io { action: action.into(), source }
}

/// Ends a child of ours: asked first, then forced.
fn stop(child: &mut Child) {
    let id = rustix::process::Pid::from_child(child);
    if rustix::process::kill_process(id, rustix::process::Signal::TERM).is_ok() {
        let end = Instant::now() + Duration::from_secs(3);
        while Instant::now() < end {
            if matches!(child.try_wait(), Ok(Some(_)) | Err(_)) {
                return;
            }
            std::thread::sleep(POLL);
        }
    }
    if child.kill().is_ok() {
        let _gone = child.wait();
    }
}

/// The most memory that a process has had so far, in bytes; 0 once it is gone.
fn peak_memory_of(process: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kibibytes: Option<u64> = line.and_then(|line| line.trim().trim_end_matches(" kB").parse().ok());
    kibibytes.unwrap_or(0) * 1024
}

fn contents(mut file: File) -> Result<String, ScratchError> {
    let mut bytes = vec![];
    file.rewind()
        .and_then(|()| file.read_to_end(&mut bytes))
        .map_err(io_error("read what a command printed"))?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// A command as a person would type it.
fn shown(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words.map(|word| word.to_string_lossy().into_owned()).collect::<Vec<_>>().join(" ")
}
