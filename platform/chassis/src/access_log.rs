//! The access log: one line per request in the common or the combined format of web servers, written by a thread of its
//! own. A disk that can't keep up costs lines (which are counted), never time.

use std::fmt::Write as _;
use std::fs::File;
use std::io::{self, BufWriter, Write as _};
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::mpsc::{Receiver, SyncSender, TryRecvError, sync_channel};
use std::thread;
use std::time::SystemTime;

use http::request::Parts;
use http::{HeaderMap, HeaderName, Method, StatusCode, Uri, Version, header};
use jiff::Timestamp;

/// Lines that may wait for the disk.
const QUEUE: usize = 16 * 1024;

/// What a line holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AccessLogFormat {
    /// Address, time, request, status, bytes.
    Common,
    /// The same with referrer and user agent.
    #[default]
    Combined,
}

impl FromStr for AccessLogFormat {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "common" => Ok(Self::Common),
            "combined" => Ok(Self::Combined),
            _ => Err(format!("'{text}' is not an access log format (common or combined)")),
        }
    }
}

/// The way to the log. Clones write to the same one; the file is closed, complete, when the last is gone and
/// [`AccessLog::finish`] returned.
#[derive(Debug)]
pub struct AccessLog {
    queue: SyncSender<Message>,
    writer: thread::JoinHandle<()>,
}

/// The part that requests hold.
#[derive(Clone, Debug)]
pub(crate) struct AccessLogQueue(SyncSender<Message>);

#[derive(Debug)]
enum Message {
    Line(Box<Record>),
    Reopen,
}

/// What is known of a request when it begins, and what became of it.
#[derive(Debug)]
pub(crate) struct Record {
    pub(crate) peer: IpAddr,
    pub(crate) method: Method,
    pub(crate) uri: Uri,
    pub(crate) version: Version,
    pub(crate) referrer: Option<String>,
    pub(crate) agent: Option<String>,
    pub(crate) time: SystemTime,
    pub(crate) status: StatusCode,
    pub(crate) sent: u64,
}

impl Record {
    /// Of a request that begins now.
    pub(crate) fn new(peer: IpAddr, request: &Parts, time: SystemTime) -> Self {
        Self {
            peer,
            method: request.method.clone(),
            uri: request.uri.clone(),
            version: request.version,
            referrer: text(&request.headers, &header::REFERER),
            agent: text(&request.headers, &header::USER_AGENT),
            time,
            status: StatusCode::OK,
            sent: 0,
        }
    }
}

impl AccessLog {
    /// Appends to the file at `path`, or writes to standard output for `-`.
    ///
    /// # Errors
    /// [`AccessLogError`] if the file can't be opened.
    pub fn start(path: &Path, format: AccessLogFormat) -> Result<Self, AccessLogError> {
        let destination = Destination::open(path)?;
        let (queue, messages) = sync_channel(QUEUE);
        let writer = thread::Builder::new()
            .name("access-log".into())
            .spawn(move || write(destination, format, &messages))
            .map_err(|source| AccessLogError { path: path.to_owned(), source })?;
        Ok(Self { queue, writer })
    }

    /// Returns when every line is written. The server must be gone.
    pub fn finish(self) {
        drop(self.queue);
        // A writer that panicked has said so itself.
        let _ = self.writer.join();
    }

    pub(crate) fn queue(&self) -> AccessLogQueue {
        AccessLogQueue(self.queue.clone())
    }
}

impl AccessLogQueue {
    /// Hands over a line; `false` if it is lost.
    pub(crate) fn push(&self, record: Box<Record>) -> bool {
        self.0.try_send(Message::Line(record)).is_ok()
    }

    /// The file was moved away: go on in a new one under the old name.
    pub(crate) fn reopen(&self) -> bool {
        self.0.try_send(Message::Reopen).is_ok()
    }
}

/// The log could not be opened.
#[derive(Debug, thiserror::Error)]
#[error("cannot open the access log {}", path.display())]
pub struct AccessLogError {
    path: PathBuf,
    #[source]
    source: io::Error,
}

enum Destination {
    Stdout(io::Stdout),
    File(PathBuf, BufWriter<File>),
}

impl Destination {
    fn open(path: &Path) -> Result<Self, AccessLogError> {
        if path == Path::new("-") {
            return Ok(Self::Stdout(io::stdout()));
        }
        let file = File::options()
            .append(true)
            .create(true)
            .open(path)
            .map_err(|source| AccessLogError { path: path.to_owned(), source })?;
        Ok(Self::File(path.to_owned(), BufWriter::with_capacity(64 * 1024, file)))
    }

    fn write(&mut self, line: &str) -> io::Result<()> {
        match self {
            Self::Stdout(stdout) => stdout.write_all(line.as_bytes()),
            Self::File(_, file) => file.write_all(line.as_bytes()),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Stdout(stdout) => stdout.flush(),
            Self::File(_, file) => file.flush(),
        }
    }
}

fn write(mut destination: Destination, format: AccessLogFormat, messages: &Receiver<Message>) {
    let mut line = String::new();
    let mut failing = false;
    loop {
        let message = match messages.try_recv() {
            Ok(message) => message,
            Err(TryRecvError::Disconnected) => break,
            Err(TryRecvError::Empty) => {
                report(&mut failing, destination.flush());
                let Ok(message) = messages.recv() else { break };
                message
            }
        };
        match message {
            Message::Line(record) => {
                line.clear();
                render(&mut line, &record, format);
                report(&mut failing, destination.write(&line));
            }
            Message::Reopen => {
                report(&mut failing, destination.flush());
                if let Destination::File(path, _) = &destination {
                    match Destination::open(path) {
                        Ok(opened) => destination = opened,
                        Err(error) => tracing::error!(error = %error.source, "{error}"),
                    }
                }
            }
        }
    }
    report(&mut failing, destination.flush());
}

/// Says once that the log can't be written, and once that it can again.
fn report(failing: &mut bool, result: io::Result<()>) {
    match result {
        Ok(()) => *failing = false,
        Err(error) if !*failing => {
            *failing = true;
            tracing::error!(%error, "cannot write the access log");
        }
        Err(_) => {}
    }
}

fn render(line: &mut String, record: &Record, format: AccessLogFormat) {
    let time = Timestamp::try_from(record.time).unwrap_or_default().strftime("%d/%b/%Y:%H:%M:%S +0000");
    // Writing to a string does not fail.
    let _ = write!(line, "{} - - [{time}] \"{} ", record.peer.to_canonical(), record.method);
    // HTTP/2 knows the whole address; what matters is the part that HTTP/1.1 sends.
    escape(line, record.uri.path_and_query().map_or("*", |path| path.as_str()));
    let _ = write!(line, " {:?}\" {} {}", record.version, record.status.as_u16(), record.sent);
    if format == AccessLogFormat::Combined {
        for value in [&record.referrer, &record.agent] {
            line.push_str(" \"");
            escape(line, value.as_deref().unwrap_or("-"));
            line.push('"');
        }
    }
    line.push('\n');
}

/// So that no client can forge a line or end a quotation.
fn escape(line: &mut String, text: &str) {
    for byte in text.bytes() {
        match byte {
            b'"' | b'\\' => line.extend(['\\', byte as char]),
            b' '..=b'~' => line.push(byte as char),
            _ => {
                let _ = write!(line, "\\x{byte:02x}");
            }
        }
    }
}

fn text(headers: &HeaderMap, name: &HeaderName) -> Option<String> {
    headers.get(name).map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned())
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use super::*;

    fn record() -> Record {
        Record {
            peer: "192.0.2.7".parse().expect("an address"),
            method: Method::GET,
            uri: Uri::from_static("/cvmfs/x/.cvmfspublished?a"),
            version: Version::HTTP_11,
            referrer: None,
            agent: Some("a \"b\"\n".into()),
            time: UNIX_EPOCH + Duration::from_secs(971_211_336),
            status: StatusCode::NOT_FOUND,
            sent: 2326,
        }
    }

    #[test]
    fn both_formats() {
        let mut line = String::new();
        render(&mut line, &record(), AccessLogFormat::Common);
        let common = "192.0.2.7 - - [10/Oct/2000:20:55:36 +0000] \
                      \"GET /cvmfs/x/.cvmfspublished?a HTTP/1.1\" 404 2326";
        assert_eq!(line, format!("{common}\n"));
        line.clear();
        render(&mut line, &record(), AccessLogFormat::Combined);
        assert_eq!(line, format!("{common} \"-\" \"a \\\"b\\\"\\x0a\"\n"));
    }

    #[test]
    fn lines_go_on_in_a_new_file_after_it_was_moved() {
        let directory = tempfile::tempdir().expect("a directory");
        let (path, moved) = (directory.path().join("log"), directory.path().join("log.1"));
        let log = AccessLog::start(&path, AccessLogFormat::Common).expect("opened");
        let queue = log.queue();
        assert!(queue.push(Box::new(record())));
        std::fs::rename(&path, &moved).expect("moved");
        assert!(queue.reopen() && queue.push(Box::new(record())));
        drop(queue);
        log.finish();
        for path in [path, moved] {
            assert_eq!(std::fs::read_to_string(&path).expect("written").lines().count(), 1);
        }
    }

    #[test]
    fn a_log_that_cannot_be_opened_is_named() {
        let error = AccessLog::start(Path::new("/nonexistent/log"), AccessLogFormat::Common);
        assert_eq!(
            error.expect_err("no such directory").to_string(),
            "cannot open the access log /nonexistent/log"
        );
    }
}
