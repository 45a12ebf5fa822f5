//! The monitor protocol of QEMU (QMP): JSON, one value a line, over a socket in the machine's directory or over pipes. Only
//! one client is served at a time, so sessions are short.
//!
//! What comes back is bounded: a machine that took its QEMU over could send anything.

use std::io::{self, IoSlice, Read, Write};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};
use serde_json::{Value, json};

use super::socket;
use crate::error::HypervisorError;

/// The longest line that is read.
const LONGEST_LINE: usize = 8 << 20;
/// How long an answer may take. Commands that take longer are jobs, whose state is asked for.
const PATIENCE: Duration = Duration::from_secs(20);
/// Between two looks at a job.
const POLL: Duration = Duration::from_millis(20);

/// A session with a monitor; `S` is both directions.
pub(super) struct Monitor<S> {
    name: String,
    stream: S,
    received: Vec<u8>,
}

impl Monitor<UnixStream> {
    /// Connects to the monitor of a machine.
    ///
    /// # Errors
    /// If nobody answers within `limit`.
    pub(super) fn connect(name: &str, socket: &Path, limit: Duration) -> Result<Self, HypervisorError> {
        let failed = HypervisorError::io("connect to", socket);
        let stream = socket::connect(socket)
            .and_then(|stream| {
                stream.set_read_timeout(Some(limit))?;
                stream.set_write_timeout(Some(limit))?;
                Ok(stream)
            })
            .map_err(failed)?;
        let mut monitor = Self { name: name.to_owned(), stream, received: vec![] };
        monitor.greet()?;
        let patient = monitor.stream.set_read_timeout(Some(PATIENCE));
        patient.map_err(HypervisorError::io("connect to", socket))?;
        Ok(monitor)
    }

    /// Hands an open file over; commands then know it as `fd:NAME`.
    pub(super) fn hand_over(&mut self, file: BorrowedFd<'_>, name: &str) -> Result<(), HypervisorError> {
        let line = format!("{}\n", json!({ "execute": "getfd", "arguments": { "fdname": name } }));
        let files = [file];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut ancillary = SendAncillaryBuffer::new(&mut space);
        ancillary.push(SendAncillaryMessage::ScmRights(&files));
        let parts = [IoSlice::new(line.as_bytes())];
        let sent = sendmsg(self.stream.as_fd(), &parts, &mut ancillary, SendFlags::NOSIGNAL);
        match sent {
            Ok(count) if count == line.len() => self.answer("getfd").map(drop),
            Ok(_) => Err(self.failed("getfd", "only a part of the command was taken")),
            Err(error) => Err(self.failed("getfd", &io::Error::from(error).to_string())),
        }
    }
}

impl<S: Read + Write> Monitor<S> {
    /// A session over other streams.
    pub(super) fn over(name: &str, stream: S) -> Result<Self, HypervisorError> {
        let mut monitor = Self { name: name.to_owned(), stream, received: vec![] };
        monitor.greet()?;
        Ok(monitor)
    }

    fn greet(&mut self) -> Result<(), HypervisorError> {
        let greeting = self.line("greeting")?;
        if greeting.get("QMP").is_none() {
            return Err(self.failed("greeting", "it is not QEMU's monitor"));
        }
        self.execute("qmp_capabilities", &json!({})).map(drop)
    }

    /// Runs a command and returns what it returned.
    pub(super) fn execute(&mut self, command: &str, arguments: &Value) -> Result<Value, HypervisorError> {
        let line = format!("{}\n", json!({ "execute": command, "arguments": arguments }));
        let sent = self.stream.write_all(line.as_bytes()).and_then(|()| self.stream.flush());
        sent.map_err(|error| self.failed(command, &error.to_string()))?;
        self.answer(command)
    }

    /// Runs a command that starts the job `id`, and waits until that has ended well.
    pub(super) fn job(
        &mut self,
        id: &str,
        command: &str,
        mut arguments: Value,
        limit: Duration,
    ) -> Result<(), HypervisorError> {
        // One that somebody did not see the end of comes first.
        self.end_of_job(id, command, limit)?;
        arguments["job-id"] = id.into();
        self.execute(command, &arguments)?;
        match self.end_of_job(id, command, limit)? {
            Some(Some(error)) => Err(self.failed(command, &error)),
            Some(None) => Ok(()),
            None => Err(self.failed(command, "its job is gone")),
        }
    }

    /// Waits for the end of the job `id`: `None` if there is none, else perhaps what was wrong with it.
    pub(super) fn end_of_job(
        &mut self,
        id: &str,
        command: &str,
        limit: Duration,
    ) -> Result<Option<Option<String>>, HypervisorError> {
        let end = Instant::now() + limit;
        loop {
            let jobs = self.execute("query-jobs", &json!({}))?;
            let ours = jobs.as_array().and_then(|jobs| jobs.iter().find(|job| job["id"] == id));
            let Some(ours) = ours else { return Ok(None) };
            if ours["status"] == "concluded" {
                let error = ours["error"].as_str().map(str::to_owned);
                self.execute("job-dismiss", &json!({ "id": id }))?;
                return Ok(Some(error));
            }
            if Instant::now() > end {
                return Err(self.failed(command, &format!("not done after {} s", limit.as_secs())));
            }
            std::thread::sleep(POLL);
        }
    }

    /// The next line that is an answer.
    fn answer(&mut self, command: &str) -> Result<Value, HypervisorError> {
        let end = Instant::now() + PATIENCE;
        loop {
            let mut value = self.line(command)?;
            if let Some(returned) = value.get_mut("return") {
                return Ok(returned.take());
            }
            if let Some(error) = value.get("error") {
                let said = error["desc"].as_str().unwrap_or("it failed").to_owned();
                return Err(self.failed(command, &said));
            }
            // What else comes are events.
            if Instant::now() > end {
                return Err(self.failed(command, "no answer, only events"));
            }
        }
    }

    fn line(&mut self, command: &str) -> Result<Value, HypervisorError> {
        loop {
            if let Some(end) = self.received.iter().position(|&byte| byte == b'\n') {
                let line: Vec<u8> = self.received.drain(..=end).collect();
                return serde_json::from_slice(&line)
                    .map_err(|error| self.failed(command, &format!("its answer is not JSON: {error}")));
            }
            if self.received.len() > LONGEST_LINE {
                return Err(self.failed(command, "its answer is too long"));
            }
            let mut piece = [0; 4096];
            match self.stream.read(&mut piece) {
                Ok(0) => return Err(self.failed(command, "it hung up")),
                Ok(count) => self.received.extend_from_slice(&piece[..count]),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {
                    return Err(self.failed(command, "no answer in time"));
                }
                Err(error) => return Err(self.failed(command, &error.to_string())),
            }
        }
    }

    fn failed(&self, command: &str, said: &str) -> HypervisorError {
        HypervisorError::Monitor {
            name: self.name.clone(),
            command: command.to_owned(),
            said: said.to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a monitor says, whatever it is asked.
    struct Said(io::Cursor<Vec<u8>>);

    impl Read for Said {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            self.0.read(buffer)
        }
    }

    impl Write for Said {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn session(lines: &str) -> Result<Monitor<Said>, HypervisorError> {
        Monitor::over("m", Said(io::Cursor::new(lines.as_bytes().to_vec())))
    }

    const GREETING: &str = "{\"QMP\":{}}\n{\"return\":{}}\n";

    #[test]
    fn answers_are_found_among_events() {
        let lines = format!("{GREETING}{{\"event\":\"STOP\"}}\n{{\"return\":{{\"status\":\"paused\"}}}}\n");
        let status = session(&lines).and_then(|mut session| session.execute("query-status", &json!({})));
        assert_eq!(status.expect("because it answered")["status"], "paused");
    }

    #[test]
    fn refusals_are_told_in_qemus_words() {
        let lines = format!("{GREETING}{{\"error\":{{\"class\":\"x\",\"desc\":\"no such thing\"}}}}\n");
        let error = session(&lines).and_then(|mut session| session.execute("x", &json!({})));
        let error = error.expect_err("because it refused").to_string();
        assert!(error.contains("no such thing"), "{error}");
    }

    #[test]
    fn nonsense_is_an_error() {
        for lines in ["", "{}\n", "hello\n", "{\"QMP\":{}}\n", "{\"QMP\":{}}\n[]\n{"] {
            assert!(session(lines).is_err(), "{lines}");
        }
    }
}
