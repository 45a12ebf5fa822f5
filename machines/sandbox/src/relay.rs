//! Signals on their way to the command: taken from a descriptor, and passed on unless the command has got them itself.

use std::io;

use std::os::fd::BorrowedFd;

use nix::libc;
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::process::Pid;

/// What is passed on.
const PASSED_ON: [Signal; 7] = [
    Signal::SIGHUP,
    Signal::SIGINT,
    Signal::SIGQUIT,
    Signal::SIGTERM,
    Signal::SIGUSR1,
    Signal::SIGUSR2,
    Signal::SIGWINCH,
];

/// What a terminal sends to all processes in its foreground: to the command too.
const OF_TERMINALS: [Signal; 3] = [Signal::SIGINT, Signal::SIGQUIT, Signal::SIGWINCH];

/// Signals that wait in a descriptor instead of ending this process.
#[derive(Debug)]
pub(crate) struct Relay {
    signals: SignalFd,
}

impl Relay {
    /// From now on no signal of those is lost, and none ends this process.
    pub(crate) fn begin() -> io::Result<Self> {
        let mut mask: SigSet = PASSED_ON.into_iter().collect();
        mask.add(Signal::SIGCHLD);
        mask.thread_block()?;
        let signals = SignalFd::with_flags(&mask, SfdFlags::SFD_CLOEXEC)?;
        Ok(Self { signals })
    }

    /// Takes signals until `look`, which is asked at first and after each end of a child, has an answer; all others go to `to`.
    /// `None` if the other side of a lifeline closes it before.
    pub(crate) fn until<T>(
        &self,
        mut look: impl FnMut() -> io::Result<Option<T>>,
        to: Pid,
        lifelines: &[BorrowedFd<'_>],
    ) -> io::Result<Option<T>> {
        loop {
            if let Some(answer) = look()? {
                return Ok(Some(answer));
            }
            loop {
                if !lifelines.is_empty() && !self.wait_beside(lifelines)? {
                    return Ok(None);
                }
                let Some(info) = read(&self.signals)? else { continue };
                let Ok(signal) = Signal::try_from(info.ssi_signo as i32) else { continue };
                if signal == Signal::SIGCHLD {
                    break;
                }
                let by_terminal = info.ssi_code == libc::SI_KERNEL && OF_TERMINALS.contains(&signal);
                if !by_terminal && let Some(signal) = rustix::process::Signal::from_named_raw(signal as i32) {
                    // It may have ended just now.
                    let _ = rustix::process::kill_process(to, signal);
                }
            }
        }
    }

    /// Waits for a signal. Returns false if a lifeline is closed.
    fn wait_beside(&self, lifelines: &[BorrowedFd<'_>]) -> io::Result<bool> {
        let mut polled = vec![PollFd::new(&self.signals, PollFlags::IN)];
        polled.extend(lifelines.iter().map(|lifeline| PollFd::from_borrowed_fd(*lifeline, PollFlags::IN)));
        match poll(&mut polled, None) {
            Ok(_) => {}
            Err(rustix::io::Errno::INTR) => return Ok(true),
            Err(errno) => return Err(errno.into()),
        }
        Ok(polled[1..].iter().all(|lifeline| lifeline.revents().is_empty()))
    }
}

fn read(signals: &SignalFd) -> io::Result<Option<nix::sys::signalfd::siginfo>> {
    match signals.read_signal() {
        Err(nix::Error::EINTR) => Ok(None),
        result => Ok(result?),
    }
}
