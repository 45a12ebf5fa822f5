//! The command's standard streams: pipes between it and the channels, and a terminal where the caller has one.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::fs::chown;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};

use rustix::pipe::{PipeFlags, pipe_with};
use rustix::pty::{OpenptFlags, openpt, ptsname, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};
use varve_sandbox::errand::{ERRORS, INPUT, OUTPUT, Terminal, WindowSize};

use super::channels::Channels;
use crate::error::GuestError;

/// How much is handed on at a time.
const PIECE: usize = 64 << 10;

/// The channels of the streams.
pub(super) struct Ends {
    input: File,
    output: File,
    errors: File,
}

impl Ends {
    /// To be opened before the host is told that it may begin: what it then ends is no more to be told from what isn't there.
    pub(super) fn open(channels: &Channels) -> Result<Self, GuestError> {
        let [input, output, errors] = [INPUT, OUTPUT, ERRORS].map(|name| channels.open(name));
        Ok(Self { input: input?, output: output?, errors: errors? })
    }
}

/// The machine's side of the streams.
pub(super) struct Streams {
    terminal: Option<(Terminal, File)>,
    /// Open until the command has it.
    slave: Option<File>,
    /// Whether nobody reads output, and errors, any more.
    closed: [Arc<AtomicBool>; 2],
}

impl Streams {
    /// Makes a terminal, if there is to be one.
    pub(super) fn open(terminal: Option<&Terminal>, owner: (u32, u32)) -> Result<Self, GuestError> {
        let Some(terminal) = terminal else { return Ok(Self::of(None)) };
        let failed = |errno: rustix::io::Errno| GuestError::io("make", Path::new("a terminal"))(errno.into());
        let master =
            openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).map_err(failed)?;
        unlockpt(&master).map_err(failed)?;
        let name = ptsname(&master, Vec::new()).map_err(failed)?;
        let path = PathBuf::from(name.to_string_lossy().into_owned());
        chown(&path, Some(owner.0), Some(owner.1)).map_err(GuestError::io("hand over", &path))?;
        let slave = File::options().read(true).write(true).open(&path);
        let slave = slave.map_err(GuestError::io("open", &path))?;
        let master = File::from(master);
        resize(&master, terminal.size);
        Ok(Self { slave: Some(slave), ..Self::of(Some((*terminal, master))) })
    }

    fn of(terminal: Option<(Terminal, File)>) -> Self {
        Self { terminal, slave: None, closed: Default::default() }
    }

    /// The terminal's own end.
    pub(super) fn terminal(&self) -> Option<File> {
        self.terminal.as_ref().and_then(|(_, master)| master.try_clone().ok())
    }

    /// By which it is told that nobody reads output, or errors, any more.
    pub(super) fn closed(&self) -> [Arc<AtomicBool>; 2] {
        self.closed.clone()
    }

    /// Gives the command its streams, and hands on what goes through them. The second part counts what was sent as output and
    /// as errors.
    pub(super) fn attach(
        mut self,
        command: &mut Command,
        Ends { input, output, errors }: Ends,
    ) -> Result<(Self, Vec<JoinHandle<u64>>), GuestError> {
        let failed = |source| GuestError::io("make", Path::new("a pipe"))(source);
        let slave = self.slave.take();
        let of_terminal = |wanted: bool| -> Result<Option<Stdio>, GuestError> {
            let slave = slave.as_ref().filter(|_| wanted);
            slave.map(|slave| slave.try_clone().map(Stdio::from)).transpose().map_err(failed)
        };
        let (shown, master) = match &self.terminal {
            Some((terminal, master)) => (Some(*terminal), Some(master.try_clone().map_err(failed)?)),
            None => (None, None),
        };
        let end = |is_terminal: bool, from_command: bool| -> Result<(Stdio, Option<File>), GuestError> {
            if let Some(slave) = of_terminal(is_terminal)? {
                return Ok((slave, None));
            }
            let (read, write) = pipe_with(PipeFlags::CLOEXEC).map_err(|errno| failed(errno.into()))?;
            let (theirs, ours): (OwnedFd, OwnedFd) = if from_command { (write, read) } else { (read, write) };
            Ok((Stdio::from(theirs), Some(File::from(ours))))
        };
        let (theirs, to_command) = end(shown.is_some(), false)?;
        command.stdin(theirs);
        let (theirs, from_output) = end(shown.is_some_and(|terminal| terminal.output), true)?;
        command.stdout(theirs);
        let (theirs, from_errors) = end(shown.is_some_and(|terminal| terminal.errors), true)?;
        command.stderr(theirs);

        let copy = |file: &Option<File>| file.as_ref().map(File::try_clone).transpose().map_err(failed);
        let (typed, said) = (copy(&master)?, copy(&master)?);
        if let Some(to) = to_command.or(typed) {
            let never = AtomicBool::new(false);
            thread::spawn(move || hand_on(input, to, &never));
        }
        let says_output = shown.is_some_and(|terminal| terminal.output);
        let (said_output, said_errors) = if says_output { (said, None) } else { (None, said) };
        let pump = |from: Option<File>, to: File, closed: &Arc<AtomicBool>| {
            let closed = Arc::clone(closed);
            thread::spawn(move || from.map_or(0, |from| hand_on(from, to, &closed)))
        };
        let pumps = vec![
            pump(from_output.or(said_output), output, &self.closed[0]),
            pump(from_errors.or(said_errors), errors, &self.closed[1]),
        ];
        Ok((self, pumps))
    }

    /// The command has ended: nothing more is typed.
    pub(super) fn end(&mut self) {
        self.slave = None;
    }
}

/// Gives a terminal another size.
pub(super) fn resize(terminal: &File, size: WindowSize) {
    let size = Winsize { ws_row: size.rows, ws_col: size.columns, ws_xpixel: 0, ws_ypixel: 0 };
    // A terminal that is gone has no size.
    let _ = tcsetwinsize(terminal, size);
}

/// Hands on bytes until one side has ended; how many. A terminal whose last user is gone says so with an error.
fn hand_on(mut from: impl Read, mut to: impl Write, closed: &AtomicBool) -> u64 {
    let mut piece = vec![0; PIECE];
    let mut count = 0;
    loop {
        match from.read(&mut piece) {
            Ok(0) => return count,
            Ok(_) if closed.load(Ordering::Relaxed) => return count,
            Ok(length) => match to.write_all(&piece[..length]) {
                Ok(()) => count += length as u64,
                Err(_) => return count,
            },
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(_) => return count,
        }
    }
}
