//! The caller's terminal. The command inherits it; a shell that runs inside makes itself its foreground, and can't give that back
//! to processes which it doesn't see.

use nix::sys::signal::{SigSet, Signal};
use rustix::process::Pid;

/// The terminal of this process, if it is in its foreground.
#[derive(Debug)]
pub(crate) struct Terminal {
    group: Option<Pid>,
}

impl Terminal {
    /// That of the standard input.
    pub(crate) fn of_input() -> Self {
        let group = rustix::termios::tcgetpgrp(std::io::stdin()).ok();
        let own = rustix::process::getpgrp();
        Self { group: group.filter(|group| *group == own) }
    }

    /// Makes this process its foreground again.
    pub(crate) fn take_back(&self) {
        let Some(group) = self.group else { return };
        let input = std::io::stdin();
        if rustix::termios::tcgetpgrp(&input).is_ok_and(|now| now == group) {
            return;
        }
        // Who isn't in the foreground is stopped for this, unless it doesn't listen.
        let mut mask = SigSet::empty();
        mask.add(Signal::SIGTTOU);
        let before = mask.thread_swap_mask(nix::sys::signal::SigmaskHow::SIG_BLOCK);
        let _ = rustix::termios::tcsetpgrp(&input, group);
        if let Ok(before) = before {
            let _ = before.thread_set_mask();
        }
    }
}
