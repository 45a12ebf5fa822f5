//! One connection to a faulty server: reads requests one after the other and has them answered.

use std::io::{self, BufRead, BufReader, Read as _};
use std::net::TcpStream;

use super::{State, answer};

/// A request as it came in.
#[derive(Clone, Debug)]
pub struct Request {
    /// `GET` and so on.
    pub method: String,
    /// The path, for a proxy the whole address.
    pub path: String,
    /// Names in lower case, and values, in order.
    pub headers: Vec<(String, String)>,
}

impl Request {
    /// The first value of a header; the name in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(other, _)| other == name).map(|(_, value)| value.as_str())
    }
}

/// The first line and the headers of a request or an answer.
pub(super) struct Head {
    pub(super) first: String,
    pub(super) headers: Vec<(String, String)>,
}

impl Head {
    /// The status of an answer.
    pub(super) fn status(&self) -> u16 {
        self.first.split(' ').nth(1).and_then(|code| code.parse().ok()).unwrap_or(502)
    }

    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(other, _)| other == name).map(|(_, value)| value.as_str())
    }
}

/// Answers requests until the peer, a fault or the end of the server closes the connection.
pub(super) fn serve(stream: &TcpStream, state: &State) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut reader = BufReader::new(stream);
    while let Some(head) = read_head(&mut reader)? {
        let mut words = head.first.split(' ');
        let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        let request = Request { method: method.into(), path: path.into(), headers: head.headers };
        let mut body = Vec::new();
        if let Some(length) = request.header("content-length").and_then(|length| length.parse::<u64>().ok()) {
            reader.by_ref().take(length).read_to_end(&mut body)?;
        }
        let mut inner = state.lock();
        let rule =
            inner.rules.iter_mut().find_map(|rule| rule.take(method, path).then(|| rule.fault.clone()));
        inner.requests.push(request.clone());
        inner.in_flight += 1;
        inner.most_in_flight = inner.most_in_flight.max(inner.in_flight);
        drop(inner);
        let result = answer::answer(stream, state, (&request, &body), rule);
        state.lock().in_flight -= 1;
        if !result? || state.stopped() {
            return Ok(());
        }
    }
    Ok(())
}

/// Reads up to the empty line behind the headers; `None` at the end of the connection.
pub(super) fn read_head(reader: &mut impl BufRead) -> io::Result<Option<Head>> {
    let mut lines = Vec::new();
    loop {
        let mut line = String::new();
        // A client that sends megabytes of headers is broken.
        if reader.by_ref().take(1 << 20).read_line(&mut line)? == 0 {
            return Ok(None);
        }
        let line = line.trim_end_matches(['\r', '\n']);
        if line.is_empty() {
            break;
        }
        lines.push(line.to_owned());
    }
    let mut lines = lines.into_iter();
    let first = lines.next().unwrap_or_default();
    let headers = lines
        .filter_map(|line| {
            let (name, value) = line.split_once(':')?;
            Some((name.to_ascii_lowercase(), value.trim().to_owned()))
        })
        .collect();
    Ok(Some(Head { first, headers }))
}
