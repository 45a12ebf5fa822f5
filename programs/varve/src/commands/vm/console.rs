//! `varve vm console`: the serial console of a machine, on this terminal.

use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::os::fd::AsFd as _;

use clap::Args;
use rustix::event::{PollFd, PollFlags, poll};
use varve_hypervisor::{Escape, Keys, MachineName};

use super::follow;
use crate::exit_code::ExitCode;
use crate::failure::Failure;
use crate::invocation::Invocation;
use crate::terminal::RawTerminal;

/// Open the serial console of a machine
#[derive(Args, Debug)]
#[command(after_help = "Ctrl-] and then . leaves the console; the machine goes on.")]
pub(crate) struct Console {
    /// The machine
    name: MachineName,
    /// Print what the machine has written so far instead, of all its starts
    #[arg(long)]
    log: bool,
    /// With --log: and what it writes from now on, until it ends
    #[arg(long, requires = "log")]
    follow: bool,
}

impl Console {
    pub(crate) fn run(self, invocation: &Invocation) -> Result<(), Failure> {
        let machines = super::machines(invocation)?;
        if self.follow {
            return follow::follow(invocation, &machines, &self.name, 0);
        }
        if self.log {
            let mut log = machines.console_log(&self.name)?;
            let mut piece = vec![0; 1 << 16];
            loop {
                match log.read(&mut piece).map_err(failed)? {
                    0 => return Ok(()),
                    count => invocation.output.write(&piece[..count])?,
                }
            }
        }
        let mut console = machines.console(&self.name)?;
        let raw = RawTerminal::enter().map_err(failed)?;
        if raw.is_some() {
            invocation.output.say(format!("connected to {}; Ctrl-] and then . leaves\r", self.name));
        }
        let ended = converse(invocation, &mut console.line);
        drop(raw);
        ended
    }
}

/// Passes on what is typed and what the machine writes, until one of them ends.
fn converse(invocation: &Invocation, stream: &mut File) -> Result<(), Failure> {
    let input = io::stdin();
    let mut keys = Keys::default();
    let mut listening = true;
    let mut piece = [0; 4096];
    loop {
        let mut ready = vec![PollFd::new(&*stream, PollFlags::IN)];
        if listening {
            ready.push(PollFd::from_borrowed_fd(input.as_fd(), PollFlags::IN));
        }
        match poll(&mut ready, None) {
            Ok(_) => {}
            Err(rustix::io::Errno::INTR) => continue,
            Err(error) => return Err(failed(error.into())),
        }
        let from_machine = !ready[0].revents().is_empty();
        let from_user = ready.get(1).is_some_and(|input| !input.revents().is_empty());
        if from_machine {
            match stream.read(&mut piece) {
                Ok(0) => return Ok(()),
                Ok(count) => invocation.output.write(&piece[..count])?,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::ConnectionReset => return Ok(()),
                Err(error) => return Err(failed(error)),
            }
        }
        if from_user {
            let count = rustix::io::read(&input, &mut piece).map_err(|error| failed(error.into()))?;
            // At the end of a pipe, what the machine answers is still shown.
            listening = count > 0;
            let typed = keys.take(&piece[..count]);
            stream.write_all(&typed.bytes).map_err(failed)?;
            if typed.escape == Escape::Leave {
                return Ok(());
            }
        }
    }
}

fn failed(error: io::Error) -> Failure {
    Failure::new(ExitCode::Failure, error)
}
