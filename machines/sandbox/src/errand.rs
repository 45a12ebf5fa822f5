//! An errand: a command that is run in a sandbox in a machine of its own. What this host tells the machine and what comes back;
//! bytes in, values out. Who starts the machine, and what it does, is elsewhere.
//!
//! ```text
//!  channel          carries
//!  varve.control    messages: [`ToMachine`] one way, [`FromMachine`] the other
//!  varve.input      what the command reads; its end is the end of the channel
//!  varve.output     what it writes
//!  varve.errors     what it writes to its standard error
//!  varve.written    an archive of what was written, if that is asked for, in [`Pieces`]
//!  varve.mount.N    the N-th directory of the errand, see `varve_mount::Entrance`
//! ```
//!
//! A message is its length, four bytes with the least significant one first, and so many bytes of JSON.

use std::ffi::OsString;
use std::io::{self, Read, Write};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::error::SandboxError;
use crate::sandbox::Sandbox;

/// The word on the kernel's command line that says that a machine is for an errand.
pub const WORD: &str = "varve.errand";
/// The channel of messages.
pub const CONTROL: &str = "varve.control";
/// The channel of the command's standard input.
pub const INPUT: &str = "varve.input";
/// The channel of its standard output.
pub const OUTPUT: &str = "varve.output";
/// The channel of its standard error.
pub const ERRORS: &str = "varve.errors";
/// The channel of what was written.
pub const WRITTEN: &str = "varve.written";
/// The version of all of this. Guest and program are of the same version, or don't work together.
pub const VERSION: u32 = 1;
/// The longest message to a machine: a command line and variables may be 2 MiB, each byte a number of four characters.
const LONGEST_TO: u32 = 32 << 20;
/// The longest message from a machine, which isn't trusted with more.
const LONGEST_FROM: u32 = 64 << 10;

/// The channel of a mounted directory.
pub fn mount_channel(number: usize) -> String {
    format!("varve.mount.{number}")
}

/// Where the machine mounts a directory of an errand.
pub fn mount_point(number: usize) -> String {
    format!("/mounts/{number}")
}

/// What a machine is told.
#[derive(Debug, Serialize, Deserialize)]
pub enum ToMachine {
    /// The first message.
    Start(Box<Errand>),
    /// The command gets a signal.
    Signal(i32),
    /// The caller's terminal has another size.
    Resized(WindowSize),
    /// Nobody reads a stream any more: what is written to it is to fail.
    Closed(Stream),
}

/// What a command writes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Stream {
    /// Its standard output.
    Output,
    /// Its standard error.
    Errors,
}

/// What a machine tells.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum FromMachine {
    /// The guest listens: the first message.
    Ready {
        /// Its [`VERSION`].
        version: u32,
    },
    /// The command has ended, and all that it wrote is on its way.
    Ended {
        /// Its exit code, or 128 and the number of a signal.
        code: u8,
        /// How many bytes were sent as output, and as errors.
        sent: [u64; 2],
    },
    /// It was not run, or what it wrote could not be collected.
    Failed(Failed),
}

/// Why a command was not run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failed {
    /// Why.
    pub message: String,
    /// What can be done about it.
    pub hint: Option<String>,
    /// The number of the error, if it is the command that can't be executed.
    pub not_executed: Option<i32>,
}

impl From<SandboxError> for Failed {
    fn from(error: SandboxError) -> Self {
        let mut message = error.to_string();
        let mut source = std::error::Error::source(&error);
        while let Some(cause) = source {
            message.push_str(&format!(": {cause}"));
            source = cause.source();
        }
        let not_executed = match &error {
            SandboxError::Command { source, .. } => Some(match source.kind() {
                io::ErrorKind::NotFound => rustix::io::Errno::NOENT.raw_os_error(),
                _ => source.raw_os_error().unwrap_or(rustix::io::Errno::ACCESS.raw_os_error()),
            }),
            _ => None,
        };
        // A channel takes no more.
        message.truncate(message.floor_char_boundary(4096));
        Self { message, hint: error.hint(), not_executed }
    }
}

/// Everything that a machine has to know of a command.
#[derive(Debug, Serialize, Deserialize)]
pub struct Errand {
    /// What the command sees; its paths are those of the machine.
    pub sandbox: Sandbox,
    /// The command.
    pub command: Vec<OsString>,
    /// Directories that this host shows the machine, in the order of their channels.
    pub mounts: Vec<Mount>,
    /// Who starts the sandbox: user and group.
    pub user: (u32, u32),
    /// The most processes and threads.
    pub processes: Option<u64>,
    /// The clock: seconds and nanoseconds since 1970.
    pub time: (i64, u32),
    /// The host's table of names.
    pub hosts: String,
    /// The machine's name.
    pub hostname: String,
    /// The caller's terminal, if the command is to have one.
    pub terminal: Option<Terminal>,
    /// Whether what was written is to be sent.
    pub collect: bool,
}

/// A directory that this host shows a machine.
#[derive(Debug, Serialize, Deserialize)]
pub struct Mount {
    /// What it is called in the machine's mount table.
    pub source: String,
    /// Whether the machine may write to it.
    pub writable: bool,
}

/// A terminal, and which of the command's streams it is; input always.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Terminal {
    /// Whether standard output is the terminal.
    pub output: bool,
    /// Whether standard error is.
    pub errors: bool,
    /// Its size.
    pub size: WindowSize,
}

/// The size of a terminal, in characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WindowSize {
    /// Lines.
    pub rows: u16,
    /// Characters of a line.
    pub columns: u16,
}

/// A message that one side sends.
pub trait Message: Serialize + DeserializeOwned {
    /// The most bytes of one.
    const LONGEST: u32;
}

impl Message for ToMachine {
    const LONGEST: u32 = LONGEST_TO;
}

impl Message for FromMachine {
    const LONGEST: u32 = LONGEST_FROM;
}

/// Sends a message.
///
/// # Errors
/// If it is too long, or the channel is broken.
pub fn send<M: Message>(channel: &mut impl Write, message: &M) -> io::Result<()> {
    let text = serde_json::to_vec(message)?;
    let length = u32::try_from(text.len()).ok().filter(|length| *length <= M::LONGEST);
    let length = length.ok_or_else(|| too_long(text.len()))?;
    channel.write_all(&[&length.to_le_bytes()[..], &text].concat())
}

/// Receives a message; `None` at the end of the channel.
///
/// # Errors
/// If it is malformed or too long, or the channel is broken.
pub fn receive<M: Message>(channel: &mut impl Read) -> io::Result<Option<M>> {
    let mut length = [0; 4];
    match channel.read_exact(&mut length) {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        result => result?,
    }
    let length = u32::from_le_bytes(length);
    if length > M::LONGEST {
        return Err(too_long(length as usize));
    }
    // No more is allocated than comes.
    let mut text = Vec::new();
    channel.take(length.into()).read_to_end(&mut text)?;
    if text.len() != length as usize {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(Some(serde_json::from_slice(&text)?))
}

/// A stream of bytes whose end is told: pieces with their length before them, like messages, the last one empty.
#[derive(Debug)]
pub struct Pieces<C> {
    channel: C,
    /// What is left of the present piece; `None` after the last one.
    left: Option<u32>,
}

impl<C> Pieces<C> {
    /// Through this channel.
    pub fn new(channel: C) -> Self {
        Self { channel, left: Some(0) }
    }
}

impl<C: Write> Pieces<C> {
    /// Tells the end.
    ///
    /// # Errors
    /// If the channel is broken.
    pub fn finish(mut self) -> io::Result<()> {
        self.channel.write_all(&[0; 4])
    }
}

impl<C: Write> Write for Pieces<C> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let piece = &bytes[..bytes.len().min(1 << 20)];
        if !piece.is_empty() {
            self.channel.write_all(&(piece.len() as u32).to_le_bytes())?;
            self.channel.write_all(piece)?;
        }
        Ok(piece.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.channel.flush()
    }
}

impl<C: Read> Read for Pieces<C> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let Some(mut left) = self.left else { return Ok(0) };
        if left == 0 {
            let mut length = [0; 4];
            self.channel.read_exact(&mut length)?;
            left = u32::from_le_bytes(length);
            if left == 0 {
                self.left = None;
                return Ok(0);
            }
        }
        let most = buffer.len().min(left as usize);
        let length = self.channel.read(&mut buffer[..most])?;
        if length == 0 && most > 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.left = Some(left - length as u32);
        Ok(length)
    }
}

fn too_long(length: usize) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("a message of {length} bytes is too long"))
}

/// Paths are bytes, whatever JSON thinks of them.
pub(crate) mod path {
    use std::ffi::OsString;
    use std::path::{Path, PathBuf};

    use serde::{Deserialize as _, Deserializer, Serialize as _, Serializer};

    pub(crate) fn serialize<S: Serializer>(path: &Path, serializer: S) -> Result<S::Ok, S::Error> {
        path.as_os_str().serialize(serializer)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<PathBuf, D::Error> {
        OsString::deserialize(deserializer).map(PathBuf::from)
    }
}

/// Variables as pairs: a name that is no text can't be a key.
pub(crate) mod variables {
    use std::collections::BTreeMap;
    use std::ffi::OsString;

    use serde::{Deserialize as _, Deserializer, Serializer};

    pub(crate) fn serialize<S: Serializer>(
        variables: &BTreeMap<OsString, OsString>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(variables)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<BTreeMap<OsString, OsString>, D::Error> {
        Vec::<(OsString, OsString)>::deserialize(deserializer).map(|pairs| pairs.into_iter().collect())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::os::unix::ffi::OsStringExt as _;
    use std::path::PathBuf;

    use super::*;
    use crate::sandbox::{Access, Account, Bind, Identity, Limits, Network, Root, Writes};

    fn errand() -> Errand {
        let odd = || OsString::from_vec(vec![b'a', 0xff, b'\n', b'"']);
        Errand {
            sandbox: Sandbox {
                root: Root::Tree("/mounts/0".into()),
                writes: Writes::Discard,
                binds: vec![Bind {
                    source: "/mounts/1".into(),
                    destination: PathBuf::from(odd()),
                    access: Access::ReadOnly,
                }],
                directory: PathBuf::from(odd()),
                variables: BTreeMap::from([(odd(), odd())]),
                identity: Identity::Own,
                account: Some(Account { user: 7, group: 8, name: "u".to_owned(), home: odd().into() }),
                network: Network::None,
                limits: Limits::default(),
                hostname: None,
            },
            command: vec!["true".into(), odd()],
            mounts: vec![Mount { source: "a.b".to_owned(), writable: false }],
            user: (7, 8),
            processes: None,
            time: (1, 2),
            hosts: String::new(),
            hostname: "h".to_owned(),
            terminal: Some(Terminal {
                output: true,
                errors: false,
                size: WindowSize { rows: 24, columns: 80 },
            }),
            collect: true,
        }
    }

    #[test]
    fn bytes_that_are_no_text_arrive() {
        let mut sent = Vec::new();
        send(&mut sent, &ToMachine::Start(Box::new(errand()))).unwrap();
        send(&mut sent, &ToMachine::Signal(15)).unwrap();
        let mut channel = &sent[..];
        let Some(ToMachine::Start(got)) = receive(&mut channel).unwrap() else { panic!("no order") };
        assert_eq!(format!("{got:?}"), format!("{:?}", errand()));
        assert!(matches!(receive(&mut channel).unwrap(), Some(ToMachine::Signal(15))));
        assert!(receive::<ToMachine>(&mut channel).unwrap().is_none());
    }

    #[test]
    fn pieces_have_an_end() {
        let bytes: Vec<u8> = (0..3_000_000).map(|number| number as u8).collect();
        let mut sent = Vec::new();
        let mut pieces = Pieces::new(&mut sent);
        pieces.write_all(&bytes).unwrap();
        pieces.write_all(b"").unwrap();
        pieces.write_all(b"end").unwrap();
        pieces.finish().unwrap();
        let mut got = Vec::new();
        Pieces::new(&sent[..]).read_to_end(&mut got).unwrap();
        assert_eq!(got, [&bytes[..], b"end"].concat());
        for cut in [0, 3, 4, 100, sent.len() - 1] {
            assert!(Pieces::new(&sent[..cut]).read_to_end(&mut Vec::new()).is_err(), "{cut}");
        }
    }

    #[test]
    fn a_machine_can_say_little_and_nothing_malformed() {
        let long = Failed { message: "x".repeat(70_000), hint: None, not_executed: None };
        assert!(send(&mut Vec::new(), &FromMachine::Failed(long)).is_err());
        for wrong in [
            &b"\xff\xff\xff\xff"[..],
            b"\x01\x00\x01\x00",
            b"\x05\x00\x00\x00{",
            b"\x02\x00\x00\x00{}",
            b"\x02",
        ] {
            let got = receive::<FromMachine>(&mut &wrong[..]);
            assert!(got.is_err() || matches!(got, Ok(None)) && wrong.len() < 4, "{wrong:?}");
        }
        let ended = FromMachine::Ended { code: 3, sent: [1, 2] };
        let mut sent = Vec::new();
        send(&mut sent, &ended).unwrap();
        assert_eq!(receive(&mut &sent[..]).unwrap(), Some(ended));
    }
}
