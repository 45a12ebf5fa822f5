//! Child processes that don't outlive their test.

use std::io;
use std::process::{Child, Command, ExitStatus};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

/// A child process that is killed, by its number, and waited for when this is dropped.
pub struct ProcessGuard(Child);

impl ProcessGuard {
    /// Starts `command`.
    ///
    /// # Errors
    /// If it can't be started.
    pub fn start(command: &mut Command) -> io::Result<Self> {
        command.spawn().map(Self)
    }

    /// The number of the process.
    pub fn id(&self) -> u32 {
        self.0.id()
    }

    /// The child, for its pipes.
    pub fn child(&mut self) -> &mut Child {
        &mut self.0
    }

    /// Sends a signal. Nothing happens if the process has ended and been waited for.
    ///
    /// # Errors
    /// What the system says.
    pub fn signal(&mut self, signal: Signal) -> io::Result<()> {
        if self.0.try_wait()?.is_some() {
            return Ok(());
        }
        let pid = Pid::from_child(&self.0);
        kill_process(pid, signal).map_err(io::Error::from)
    }

    /// Waits for the end, at most for `limit`; `None` if the process still runs then.
    ///
    /// # Errors
    /// What the system says.
    pub fn wait(&mut self, limit: Duration) -> io::Result<Option<ExitStatus>> {
        let end = Instant::now() + limit;
        loop {
            let status = self.0.try_wait()?;
            if status.is_some() || Instant::now() >= end {
                return Ok(status);
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Asks it to end (SIGTERM) and waits as [`Self::wait`].
    ///
    /// # Errors
    /// What the system says.
    pub fn terminate(&mut self, limit: Duration) -> io::Result<Option<ExitStatus>> {
        self.signal(Signal::TERM)?;
        self.wait(limit)
    }

    /// Ends it at once (SIGKILL).
    ///
    /// # Errors
    /// What the system says.
    pub fn kill(&mut self) -> io::Result<ExitStatus> {
        self.0.kill()?;
        self.0.wait()
    }
}

impl Drop for ProcessGuard {
    fn drop(&mut self) {
        // It may have ended by itself, which is as good.
        let _ended = self.kill();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_ends_with_its_guard() {
        let guard = ProcessGuard::start(Command::new("sleep").arg("1000")).expect("because sleep exists");
        let entry = std::path::PathBuf::from(format!("/proc/{}", guard.id()));
        assert!(entry.exists());
        drop(guard);
        assert!(!entry.exists());
    }

    #[test]
    fn a_process_is_asked_to_end() {
        let mut guard = ProcessGuard::start(Command::new("sleep").arg("1000")).expect("because sleep exists");
        assert_eq!(guard.wait(Duration::ZERO).expect("because it is our child"), None);
        let status = guard.terminate(Duration::from_secs(60)).expect("because it is our child");
        assert!(!status.expect("because sleep ends on SIGTERM").success());
        guard.signal(Signal::TERM).expect("because nothing happens any more");
    }
}
