//! What is said to the machine and heard of it, from its first word to the exit code.

use std::io;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use signal_hook::consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2, SIGWINCH};
use signal_hook::iterator::Signals;
use varve_sandbox::errand::{Errand, Failed, FromMachine, Pieces, Stream, ToMachine, VERSION, receive, send};
use varve_sandbox::{Collection, SandboxError};

use super::console::Console;
use super::streams::{self, Streams};
use super::window_size;
use crate::exit_code::ExitCode;
use crate::failure::Failure;
use crate::terminal::RawTerminal;

/// How long a machine may take until its guest says its first word. Emulated ones of a busy host are slow.
const PATIENCE: Duration = Duration::from_secs(300);

/// The channels of a machine that was started.
pub(super) struct Conversation<'a> {
    pub(super) control: UnixStream,
    pub(super) streams: Streams,
    pub(super) console: &'a Console,
    pub(super) collection: Option<Collection>,
}

/// What is said, by several.
#[derive(Clone)]
struct Mouth(Arc<Mutex<UnixStream>>);

impl Mouth {
    fn say(&self, message: &ToMachine) -> io::Result<()> {
        send(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner), message)
    }
}

impl Conversation<'_> {
    /// Has the errand run; the command's exit code.
    pub(super) fn hold(self, errand: Errand) -> Result<u8, Failure> {
        let Self { control, streams, console, collection } = self;
        let failed = |error| Failure::io("talk to", Path::new("the machine"), error);
        let mut heard = control.try_clone().map_err(failed)?;
        let mouth = Mouth(Arc::new(Mutex::new(control)));
        heard.set_read_timeout(Some(PATIENCE)).map_err(failed)?;
        match receive(&mut heard) {
            Ok(Some(FromMachine::Ready { version: VERSION })) => {}
            Ok(Some(FromMachine::Ready { version })) => {
                let message =
                    format!("the guest speaks version {version} of what this program speaks as {VERSION}");
                return Err(Failure::new(ExitCode::NotRun, message).hint(
                    "build or install varve-guest of the same version, or name its file with --guest",
                ));
            }
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {
                return Err(told(console, "the machine did not start in time"));
            }
            _ => return Err(told(console, "the machine ended before the command was started")),
        }
        heard.set_read_timeout(None).map_err(failed)?;
        let raw = match errand.terminal {
            Some(_) => RawTerminal::enter().map_err(failed)?,
            None => None,
        };
        mouth.say(&ToMachine::Start(Box::new(errand))).map_err(failed)?;
        hand_on_signals(mouth.clone()).map_err(failed)?;
        let Streams { input, output, errors, written } = streams;
        streams::give(input).map_err(failed)?;
        let close = |stream| {
            let mouth = mouth.clone();
            // A machine that is gone needs no telling.
            move || drop(mouth.say(&ToMachine::Closed(stream)))
        };
        let output = streams::take(output, io::stdout(), close(Stream::Output)).map_err(failed)?;
        let errors = streams::take(errors, io::stderr(), close(Stream::Errors)).map_err(failed)?;
        let collecting =
            written.zip(collection).map(|(channel, into)| thread::spawn(move || collect(channel, into)));

        let ended = receive(&mut heard);
        if let Ok(Some(FromMachine::Ended { sent: [first, second], .. })) = &ended {
            output.wait_for(*first);
            errors.wait_for(*second);
        }
        drop(raw);
        match ended {
            Ok(Some(FromMachine::Ended { code, .. })) => {
                let collected = collecting.map(|collecting| collecting.join());
                match collected {
                    Some(Ok(collected)) => collected?,
                    Some(Err(_)) => {
                        return Err(Failure::new(ExitCode::NotRun, "what was written was not collected"));
                    }
                    None => {}
                }
                Ok(code)
            }
            Ok(Some(FromMachine::Failed(reason))) => Err(not_run(reason)),
            _ => Err(told(console, "the machine ended before the command")),
        }
    }
}

/// Takes in what was written. The machine must be able to go on, whatever comes of it.
fn collect(channel: UnixStream, into: Collection) -> Result<(), SandboxError> {
    let mut pieces = Pieces::new(channel);
    let received = into.receive(&mut pieces);
    let _ = io::copy(&mut pieces, &mut io::sink());
    received
}

/// Hands on what this process is sent, and the size of its terminal, from now on.
fn hand_on_signals(mouth: Mouth) -> io::Result<()> {
    let mut signals = Signals::new([SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2, SIGWINCH])?;
    thread::spawn(move || {
        for signal in signals.forever() {
            let message = match signal {
                SIGWINCH => ToMachine::Resized(window_size()),
                signal => ToMachine::Signal(signal),
            };
            // A machine that is gone needs no telling.
            let _ = mouth.say(&message);
        }
    });
    Ok(())
}

/// What the machine's console says of it.
fn told(console: &Console, what: &str) -> Failure {
    let said = console.excerpt();
    let message = if said.is_empty() {
        format!("{what}, without a word")
    } else {
        format!("{what}; what it said last:\n  {said}")
    };
    Failure::new(ExitCode::NotRun, message).hint("--verbose shows all that it says")
}

fn not_run(reason: Failed) -> Failure {
    let code = match reason.not_executed.map(io::Error::from_raw_os_error) {
        Some(error) if error.kind() == io::ErrorKind::NotFound => ExitCode::CommandNotFound,
        Some(_) => ExitCode::NotExecutable,
        None => ExitCode::NotRun,
    };
    let failure = Failure::new(code, reason.message);
    match reason.hint {
        Some(hint) => failure.hint(hint),
        None => failure,
    }
}
