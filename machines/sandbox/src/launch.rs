//! Starts a command in a sandbox and waits for its end.
//!
//! ```text
//! caller ──clone──▶ init (first process of the sandbox) ──fork──▶ command
//!   │  joins the holder's      │ puts the tree together, enters         │ filter, exec
//!   │  namespaces              │ the command's user namespace,          │
//!   │ ◀── Entered ─────────────│ gives up all privileges                │
//!   │ ─── Go (numbers given) ─▶│                                        │
//!   │ ◀── Listener ────────────┼────────────────────────────────────────│
//!   │ ◀── end of the channel: the command runs; or Failed                │
//!   │ signals ────────────────▶│ signals ──────────────────────────────▶│
//! ```
//!
//! When the caller ends, however it does, init is killed with it; with init, the kernel ends all that is inside.

use std::ffi::OsString;
use std::io;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::path::PathBuf;

use nix::sched::{CloneFlags, setns};
use rustix::fs::{FlockOperation, Mode, OFlags};
use rustix::process::{Pid, WaitOptions};
use serde::{Deserialize, Serialize};

use crate::bare::{self, Doubled};
use crate::channel::Channel;
use crate::collect::{self, Collection};
use crate::error::SandboxError;
use crate::holder::Kept;
use crate::init;
use crate::limits::Group;
use crate::namespaces::{self, Numbers};
use crate::relay::Relay;
use crate::sandbox::{Identity, Network, Sandbox, Writes};
use crate::support::Obstacle;
use crate::terminal::Terminal;

/// Where sandboxes are put together.
#[derive(Debug)]
pub struct Place {
    /// An existing directory, hidden in the sandbox' own namespace only.
    pub scaffold: PathBuf,
    /// Namespaces to do it in, in which things are mounted that the sandbox shows; own ones without.
    pub namespaces: Option<Namespaces>,
}

/// Namespaces that another process of this user made.
#[derive(Debug)]
pub struct Namespaces {
    /// The user namespace, in which this user is root; none for root.
    pub user: Option<OwnedFd>,
    /// The mount namespace.
    pub mounts: OwnedFd,
}

/// Hands what a command's calls are received from to whoever answers them.
pub type Watch<'a> = &'a dyn Fn(OwnedFd) -> io::Result<()>;

/// A command that runs.
#[derive(Debug)]
pub struct Running {
    init: Pid,
    relay: Relay,
    terminal: Terminal,
    /// The directory of what is written over a tree.
    upper: Option<OwnedFd>,
    /// Whose that is, where only one user has a number.
    owner: Option<(u32, u32)>,
    group: Option<Group>,
    /// Of the directory that keeps what is written. Init has it too.
    _lock: Option<OwnedFd>,
}

/// How a command ended: its exit code, or 128 and the number of the signal that ended it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Exit {
    /// As a shell would have it.
    pub code: u8,
}

/// What init and the command tell the caller.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Word {
    /// The tree is there and a new user namespace entered; with the directory of what is written, if there is one.
    Entered,
    /// The answer: it has its numbers.
    Go,
    /// With the listener of a filter.
    Listener,
    /// It doesn't go on.
    Failed { message: String, obstacle: Option<Obstacle> },
    /// The command could not be executed.
    NotExecuted { error: i32 },
}

impl Sandbox {
    /// Starts a command. `watch` gets what its calls are received from, before the first one has to be answered; without it, it
    /// isn't watched. `kept` cleans up after this process, should that be killed.
    ///
    /// This process, which must have a single thread, changes its namespaces and blocks the signals that the command is to get.
    ///
    /// # Errors
    /// [`SandboxError`]; then nothing is left of it.
    pub fn start(
        &self,
        command: &[OsString],
        place: &Place,
        watch: Option<Watch<'_>>,
        kept: Option<&Kept>,
    ) -> Result<Running, SandboxError> {
        let lock = self.lock_writes()?;
        let group = Group::of(&self.limits)?;
        if let (Some(group), Some(kept)) = (&group, kept) {
            kept.remove_at_end(group.path())?;
        }
        let own = (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
        let terminal = Terminal::of_input();
        let in_user_namespace = enter(place)?;
        let relay = Relay::begin().map_err(|source| SandboxError::Namespaces { obstacle: None, source })?;
        let (ours, theirs) =
            Channel::pair().map_err(|source| SandboxError::Namespaces { obstacle: None, source })?;
        let mut flags = CloneFlags::CLONE_NEWNS
            | CloneFlags::CLONE_NEWPID
            | CloneFlags::CLONE_NEWIPC
            | CloneFlags::CLONE_NEWUTS
            | CloneFlags::CLONE_NEWCGROUP;
        flags.set(CloneFlags::CLONE_NEWNET, self.network == Network::None);
        let init = match bare::double(flags.bits()) {
            Ok(Doubled::Parent(init)) => init,
            Ok(Doubled::Child) => {
                drop(ours);
                init::run(self, command, place, watch.is_some(), in_user_namespace, theirs)
            }
            Err(source) => {
                return Err(SandboxError::Namespaces { obstacle: Obstacle::to_namespaces(), source });
            }
        };
        drop(theirs);
        let inside = if self.identity == Identity::Root { (0, 0) } else { own };
        let owner = in_user_namespace.then_some(inside);
        let mut running = Running { init, relay, terminal, upper: None, owner, group, _lock: lock };
        let numbers =
            if in_user_namespace { Ok(Numbers::of_user(self.identity, own)) } else { Numbers::unchanged() };
        match numbers
            .map_err(SandboxError::io("read", "/proc/self/uid_map".as_ref()))
            .and_then(|numbers| running.follow_start(&ours, &numbers, command, watch))
        {
            Ok(()) => Ok(running),
            Err(error) => {
                drop(ours);
                running.kill();
                Err(error)
            }
        }
    }
}

impl Sandbox {
    /// Locks the directory that keeps what is written, if there is one.
    fn lock_writes(&self) -> Result<Option<OwnedFd>, SandboxError> {
        let Writes::Keep(kept) = &self.writes else { return Ok(None) };
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let lock = rustix::fs::open(kept, flags, Mode::empty()).map_err(SandboxError::io("open", kept))?;
        match rustix::fs::flock(&lock, FlockOperation::NonBlockingLockExclusive) {
            Err(rustix::io::Errno::WOULDBLOCK) => Err(SandboxError::InUse { path: kept.clone() }),
            result => result.map(|()| Some(lock)).map_err(SandboxError::io("lock", kept)),
        }
    }
}

/// Goes where the tree is to be put together. Returns whether this process is root only there.
fn enter(place: &Place) -> Result<bool, SandboxError> {
    let Some(namespaces) = &place.namespaces else { return namespaces::make_own() };
    let joined = |errno: nix::Error| SandboxError::Holder { action: "join", source: errno.into() };
    if let Some(user) = &namespaces.user {
        setns(user.as_fd(), CloneFlags::CLONE_NEWUSER).map_err(joined)?;
    }
    setns(namespaces.mounts.as_fd(), CloneFlags::CLONE_NEWNS).map_err(joined)?;
    Ok(namespaces.user.is_some())
}

impl Running {
    /// Waits until the command runs.
    fn follow_start(
        &mut self,
        channel: &Channel,
        numbers: &Numbers,
        command: &[OsString],
        watch: Option<Watch<'_>>,
    ) -> Result<(), SandboxError> {
        let lost = |source| SandboxError::Holder { action: "hear of", source };
        let mut entered = false;
        while let Some((word, descriptors)) = channel.receive::<Word>().map_err(lost)? {
            let descriptor = descriptors.into_iter().next();
            match word {
                Word::Entered => {
                    entered = true;
                    self.upper = descriptor;
                    self.group.as_ref().map_or(Ok(()), |group| group.take(self.init))?;
                    numbers.give(self.init).map_err(|source| SandboxError::Namespaces {
                        obstacle: Obstacle::to_namespaces(),
                        source,
                    })?;
                    // An init that is gone shows as the end of the channel.
                    let _ = channel.send(&Word::Go, &[]);
                }
                Word::Listener => {
                    if let (Some(watch), Some(listener)) = (watch, descriptor) {
                        let gone = |source| SandboxError::Holder { action: "hand calls to", source };
                        watch(listener).map_err(gone)?;
                    }
                }
                Word::Failed { message, obstacle } => {
                    return Err(SandboxError::Inside { message, obstacle });
                }
                Word::NotExecuted { error } => {
                    let program = command.first().cloned().unwrap_or_default();
                    let source = io::Error::from_raw_os_error(error);
                    return Err(SandboxError::Command { program, source });
                }
                Word::Go => {}
            }
        }
        if entered { Ok(()) } else { Err(SandboxError::Vanished) }
    }

    /// Waits for the end of the command, and hands it the signals that this process gets meanwhile.
    ///
    /// # Errors
    /// [`SandboxError::Lost`] if the holder of what the sandbox shows ends before: then the command is ended too.
    /// [`SandboxError::Io`] if the system doesn't let this process wait.
    pub fn wait(
        &mut self,
        kept: Option<&Kept>,
        others: Option<BorrowedFd<'_>>,
    ) -> Result<Exit, SandboxError> {
        let init = self.init;
        let lifelines: Vec<_> = kept.map(Kept::as_fd).into_iter().chain(others).collect();
        let look = || Ok(ended(rustix::process::waitpid(Some(init), WaitOptions::NOHANG)?));
        let code = self
            .relay
            .until(look, init, &lifelines)
            .map_err(SandboxError::io("wait for", "the command".as_ref()))?;
        if code.is_none() {
            self.kill();
        }
        self.terminal.take_back();
        match (code, kept) {
            (Some(code), _) => Ok(Exit { code }),
            (None, kept) => {
                kept.inspect(|kept| kept.clear());
                Err(SandboxError::Lost)
            }
        }
    }

    /// Collects what was written over a tree. To be called after the end of the command.
    ///
    /// # Errors
    /// [`SandboxError::Io`].
    pub fn collect(&self, into: Collection) -> Result<(), SandboxError> {
        self.upper.as_ref().map_or(Ok(()), |upper| into.take(upper, self.owner))
    }

    /// Writes an archive of what was written over a tree. To be called after the end of the command.
    ///
    /// # Errors
    /// [`SandboxError::Io`].
    pub fn send_written(&self, to: impl io::Write) -> Result<(), SandboxError> {
        let Some(upper) = &self.upper else { return Ok(()) };
        collect::send(upper, self.owner, to).map_err(SandboxError::io("send", "what was written".as_ref()))
    }

    fn kill(&self) {
        // It may be gone already.
        let _ = rustix::process::kill_process(self.init, rustix::process::Signal::KILL);
        let _ = rustix::process::waitpid(Some(self.init), WaitOptions::empty());
    }
}

/// The code of a process that has ended.
pub(crate) fn ended(waited: Option<(Pid, rustix::process::WaitStatus)>) -> Option<u8> {
    let (_, status) = waited?;
    match (status.exit_status(), status.terminating_signal()) {
        (Some(code), _) => Some(code as u8),
        (None, Some(signal)) => Some(128u8.saturating_add(signal as u8)),
        _ => None,
    }
}
